"""`records:` of a mapping file: a record that is described once, and written by several rules.

`- record: donor` in a rule is replaced by the description before the file is checked, so that all that reads rules knows of
upserts and updates alone. A part that comes from the description keeps its place there.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connector.config.validation import did_you_mean, load
from connector.config.validation_errors import OwnField
from connector.config.yaml_document import Document, Where
from connector.mapping.language.rules import MappingFile
from connector.model.problem import Problem, ProblemsFound, Severity

GROUPS = ("set", "create")  # of these the rule's own fields are added to the described ones


def load_mapping(document: Document, own_field: OwnField | None = None) -> tuple[MappingFile, Document]:
    """The file as a model, with its records put into its rules, and the document with their places. Raises ProblemsFound.

    `own_field` makes an example of a field's name from its label (CrmTraits).
    """
    expanded, problems = _expanded(document)
    try:
        model = load(expanded, MappingFile, own_field)
    except ProblemsFound as found:
        # What is wrong in a record is found once for each rule that writes it.
        raise ProblemsFound(list(dict.fromkeys([*problems, *found.problems]))) from None
    if any(one.severity is Severity.ERROR for one in problems):
        raise ProblemsFound([*problems, *document.warnings])
    return model, replace(expanded, warnings=(*document.warnings, *problems))


def _expanded(document: Document) -> tuple[Document, list[Problem]]:
    """The document with each `record:` replaced by its description, and what is wrong with their names."""
    value = document.value
    records = value.get("records") if isinstance(value, Mapping) else None
    rules = value.get("rules") if isinstance(value, Mapping) else None
    if not isinstance(rules, list):
        return document, []
    described = records if isinstance(records, Mapping) else {}
    problems: list[Problem] = []
    places: dict[Where, Where] = {}  # where a part is after it was put into a rule → where it is written
    used: set[str] = set()
    made = []
    for number, rule in enumerate(rules):
        items = rule.get("do") if isinstance(rule, Mapping) else None
        if not isinstance(items, list):
            made.append(rule)
            continue
        done = []
        for place, item in enumerate(items):
            where: Where = ("rules", number, "do", place)
            name = item.get("record") if isinstance(item, Mapping) else None
            if not isinstance(name, str):
                done.append(item)
            elif isinstance(described.get(name), Mapping):
                used.add(name)
                done.append(_joined(described[name], item, where, name, places))
            elif name not in described:
                hint = did_you_mean(name, described) or "describe it under `records:` at the head of the file"
                problems.append(
                    document.problem((*where, "record"), "unknown-record", f"no record has the name `{name}`", hint)
                )
                done.append({"update": "Unknown", "id": "-"})
            else:
                done.append({"update": "Unknown", "id": "-"})  # the description itself is refused
        made.append({**rule, "do": done})
    problems += [_unused(document, name) for name in described if name not in used]
    return document.moved({**value, "rules": made}, places), problems


def _joined(
    described: Mapping[str, Any], item: Mapping[str, Any], where: Where, name: str, places: dict[Where, Where]
) -> dict[str, Any]:
    """The description with the rule's own parts. A field that the rule sets is not one for new records alone."""
    base: Where = ("records", name)
    own = {word: part for word, part in item.items() if word != "record"}
    made: dict[str, Any] = {**described, **own}
    places.update({(*where, word): (*base, word) for word in described if word not in own})
    for group in GROUPS:
        theirs, ours = described.get(group), own.get(group)
        if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
            made[group] = {**theirs, **ours}
            places.update({(*where, group, field): (*base, group, field) for field in theirs if field not in ours})
    create, always = made.get("create"), own.get("set")
    if isinstance(create, Mapping) and isinstance(always, Mapping):
        made["create"] = {
            field: one for field, one in create.items() if field not in always or field in own.get("create", {})
        }
    return made


def _unused(document: Document, name: str) -> Problem:
    message, hint = (
        f"no rule writes the record `{name}`",
        f"write `- record: {name}` under `do:` of a rule, or take it out",
    )
    return document.problem(("records", name), "unused-record", message, hint, key=True, severity=Severity.WARNING)
