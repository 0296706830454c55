"""Checks rules as a whole: unreachable, without effect, or reading a field that is not there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.config.validation import did_you_mean
from connector.config.yaml_document import Where
from connector.mapping.compile.conditions import covers
from connector.mapping.compile.context import Findings
from connector.mapping.compile.sources import CHANGE, sources_of
from connector.mapping.language.field_forms import Transform
from connector.mapping.language.paths import BadPath, Path, parse_path
from connector.mapping.language.rules import Command, FeedSettings, MappingFile, Rule, Test, Update, Upsert, When
from connector.mapping.language.templates import parse_template
from connector.mapping.values.values import fold
from connector.model.operation import ID_FIELD
from connector.model.problem import Severity

KeyFields = Mapping[str, Mapping[str, Sequence[str]]]  # CRM → watched object → external ID fields


def check_rules(model: MappingFile, findings: Findings) -> None:
    """Check each rule by itself, and against the rules before it."""
    lines: dict[str, int] = {}
    for number, rule in enumerate(model.rules):
        where = ("rules", number)
        line = findings.document.at(where).line
        if rule.name in lines:
            findings.add(
                (*where, "name"),
                "rule-twice",
                f"a rule in line {lines[rule.name]} has this name",
                "give each rule its own",
            )
        lines.setdefault(rule.name, line)
        if rule.ignore and rule.do:
            findings.add(
                (*where, "ignore"),
                "ignore-and-do",
                "a rule ignores an event or does something",
                "take one out",
                key=True,
            )
        if not rule.ignore and not rule.do and rule.consent is None:
            findings.add(where, "no-effect", f"the rule `{rule.name}` does nothing", "add `do:`, or `ignore: true`")
        for earlier in model.rules[:number]:
            if (
                earlier.when is not None
                and covers(earlier.when, rule.when)
                and _is_evaluated_with(earlier, rule, model)
            ):
                findings.add(
                    where,
                    "unreachable",
                    f"this rule is never reached: `{earlier.name}` before it matches all its events",
                    "move it up, or narrow the other",
                )
                break
    _check_last(model, findings)
    _check_expected_rules(model, findings)


def _check_last(model: MappingFile, findings: Findings) -> None:
    """Report a rule without conditions that is not the last one, once for all the rules behind it."""
    for number, rule in enumerate(model.rules[:-1]):
        if rule.when is None:
            behind = model.rules[number + 1 :]
            names = f"`{behind[0].name}`" if len(behind) == 1 else f"`{behind[0].name}` and {len(behind) - 1} more"
            findings.add(
                ("rules", number),
                "unreachable",
                f"this rule has no `when:` and matches all events: {names} behind it are never reached"
                if len(behind) > 1
                else f"this rule has no `when:` and matches all events: {names} behind it is never reached",
                "add a `when:` to it, or move it to the end",
            )
            return


def _check_expected_rules(model: MappingFile, findings: Findings) -> None:
    """Report a test that expects a rule which the file does not have."""
    names = [rule.name for rule in model.rules]
    if len({*names}) < len(names):
        return  # one of two rules with the same name is meant to have another, which tests may expect
    for number, case in enumerate(model.tests):
        wanted = case.expect.rule
        if wanted is not None and wanted not in names:
            hint = did_you_mean(wanted, names) or "write the `name:` of a rule of this file"
            where = ("tests", number, "expect", "rule")
            message = f"no rule has the name `{wanted}`, so this test fails"
            findings.problems.append(
                findings.document.problem(where, "unknown-rule", message, hint, severity=Severity.WARNING)
            )


def _is_evaluated_with(earlier: Rule, later: Rule, model: MappingFile) -> bool:
    """Whether the earlier rule is evaluated for every change for which the later one is: see apply.first_match()."""
    if model.feed is None:
        return True
    first, second = (_record_fields(rule.when) for rule in (earlier, later))
    return not first or first == second


def _record_fields(when: When | None) -> set[str]:
    return {fold(path.key) for _, path in _when_paths(when, ()) if path.root == "record"}


def check_record_paths(models: Sequence[tuple[MappingFile, Findings]], keys: KeyFields) -> None:
    """Check that a feed reads every record field that a rule reads. `keys` are the fields read for all files."""
    for model, findings in models:
        if model.feed is not None:
            _check_record_paths(model, model.feed, findings, keys)


def _check_record_paths(model: MappingFile, feed: FeedSettings, findings: Findings, keys: KeyFields) -> None:
    known = {fold(name) for name in (ID_FIELD, *feed.fields)}
    for source in sources_of(model):
        crm, _, shape = source.rpartition(".")
        for name, fields in keys.get(crm, {}).items() if shape == CHANGE else ():
            if fold(name) == fold(feed.object):
                known |= {fold(field) for field in fields}
    for where, path in _paths(model):
        if path.root == "record" and fold(path.key) not in known:
            name = path.key
            message = f"`{name}` is not among the fields of the feed"
            hint = did_you_mean(name, feed.fields)
            cure = "add it to `feed: fields`" + (f"; {hint}" if hint.startswith("did") else "")
            findings.add(where, "unwatched-field", message, cure, key=fold(str(where[-1])).startswith("record"))


def _paths(model: MappingFile) -> Iterator[tuple[Where, Path]]:
    """All paths of a file with their places. Invalid paths are reported elsewhere."""
    for number, rule in enumerate(model.rules):
        where: Where = ("rules", number)
        yield from _when_paths(rule.when, (*where, "when"))
        for place, item in enumerate(rule.do):
            here = (*where, "do", place)
            yield from _when_paths(item.when, (*here, "when"))
            if isinstance(item, Command):
                for name in ("phone", "short_number", "keyword", "price"):
                    yield from _value_paths(getattr(item, name), (*here, name))
                continue
            for name in ("id", "to", "event", "contact"):
                yield from _value_paths(getattr(item, name, None), (*here, name))
            for group in ("key", "set", "create"):
                for name, value in (getattr(item, group, None) or {}).items():
                    yield from _value_paths(value, (*here, group, name))


def _when_paths(when: When | None, where: Where) -> Iterator[tuple[Where, Path]]:
    if when is None:
        return
    for written in when.model_extra or {}:
        yield from _read([written], (*where, written))
    for number, one in enumerate(when.any or ()):
        yield from _when_paths(one, (*where, "any", number))
    yield from _when_paths(when.not_, (*where, "not"))


def _value_paths(value: Any, where: Where) -> Iterator[tuple[Where, Path]]:
    if isinstance(value, Transform):
        yield from _read(value.source if isinstance(value.source, list) else [value.source], (*where, "from"))
        yield from _value_paths(value.default, (*where, "default"))
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _value_paths(one, (*where, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _value_paths(one, (*where, number))
    elif isinstance(value, str):
        try:
            yield from ((where, path) for path in parse_template(value).paths)
        except BadPath:
            return


def writes_of(model: MappingFile) -> Iterator[tuple[Upsert | Update, Where]]:
    """All upserts and updates of a file, each with its place."""
    for number, rule in enumerate(model.rules):
        for place, item in enumerate(rule.do):
            if isinstance(item, Upsert | Update):
                yield item, ("rules", number, "do", place)


def compared_values(model: MappingFile) -> Iterator[tuple[Path, Any, Where]]:
    """The values that conditions name, each with its path and its place."""
    for path, wanted, where in conditions_of(model):
        literals = wanted if isinstance(wanted, list) else [] if isinstance(wanted, Test) else [wanted]
        yield from ((path, value, where) for value in literals)


def conditions_of(model: MappingFile) -> Iterator[tuple[Path, Any, Where]]:
    """All conditions of a file: the path, the value, list of values or test that it must meet, and its place."""
    for number, rule in enumerate(model.rules):
        where: Where = ("rules", number)
        yield from _conditions(rule.when, (*where, "when"))
        for place, item in enumerate(rule.do):
            yield from _conditions(item.when, (*where, "do", place, "when"))


def _conditions(when: When | None, where: Where) -> Iterator[tuple[Path, Any, Where]]:
    if when is None:
        return
    for written, wanted in (when.model_extra or {}).items():
        yield from ((path, wanted, place) for place, path in _read([written], (*where, written)))
    for number, one in enumerate(when.any or ()):
        yield from _conditions(one, (*where, "any", number))
    yield from _conditions(when.not_, (*where, "not"))


def _read(written: list[str], where: Where) -> Iterator[tuple[Where, Path]]:
    for one in written:
        try:
            yield where, parse_path(one)
        except BadPath:
            continue
