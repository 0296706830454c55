"""Checks each `match:` by itself, and against what other rules and files do with the same object."""

from collections.abc import Iterator, Sequence

from connector.config.yaml_document import Where
from connector.mapping.checks.rules import writes_of
from connector.mapping.compile.context import Findings
from connector.mapping.language.rules import MappingFile, MatchForm, Update, Upsert
from connector.model.operation import IfNone


def check_match(item: Upsert | Update, match: MatchForm, where: Where, findings: Findings, sink: str) -> None:
    """Check one operation with a match. `sink` is its CRM."""
    if not findings.context.traits_of(sink).finds_by_number:
        findings.add(
            (*where, "match"),
            "no-match",
            f"{sink} cannot find a record by a phone number",
            "name the record by `key:` alone",
            key=True,
        )
    place = (*where, "match", "none")
    if match.none is IfNone.CREATE:
        if isinstance(item, Update):
            findings.add(place, "update-creates", "`update` never creates", "write `upsert`, or none: skip")
        elif item.key is None:
            findings.add(
                place,
                "create-without-key",
                "a record is made without an external ID, so that after a crash it could be made twice",
                'add key: {External_Id__c: "{msisdn}"} beside `match`, or write none: park',
            )
    elif isinstance(item, Upsert) and item.create:
        findings.add(
            (*where, "create"),
            "create-unused",
            f"none: {match.none} never creates",
            "write none: create, or take `create` out",
            key=True,
        )


def check_matches_agree(models: Sequence[tuple[MappingFile, Findings]]) -> None:
    """Check that all writes to an object that is matched anywhere identify its records in the same way.

    A write by key alone would create a second record of a person whom another file finds by the number. Two ways of
    matching could find two records.
    """
    first: dict[tuple[str, str], tuple[Upsert | Update, str]] = {}
    for item, where, findings in _writes(models):
        if item.match is not None:
            line = f"{findings.document.file}:{findings.document.at(where).line}"
            first.setdefault(_object(item, findings), (item, line))
    for item, where, findings in _writes(models):
        found = first.get(_object(item, findings))
        if found is None or item.id is not None:
            continue
        model, line = found
        if item.match is not None:
            if _way(item) != _way(model):
                findings.add(
                    (*where, "match"),
                    "matched-otherwise",
                    f"{line} matches {item.object_name} in another way, and so could find another record",
                    "use the same `phone`, `many` and key field in both",
                    key=True,
                )
        elif not isinstance(item, Update) or _key_field(item) != _key_field(model):
            findings.add(
                where,
                "not-matched",
                f"{line} matches {item.object_name} by phone; by its key alone this could make the same person twice",
                "give it the same `match:`",
            )


def _writes(models: Sequence[tuple[MappingFile, Findings]]) -> Iterator[tuple[Upsert | Update, Where, Findings]]:
    for model, findings in models:
        for item, where in writes_of(model):
            yield item, where, findings


def _object(item: Upsert | Update, findings: Findings) -> tuple[str, str]:
    return findings.context.crm_of(item.crm), item.object_name.casefold()


def _way(item: Upsert | Update) -> tuple[list[str], str, str]:
    """How a match identifies its record."""
    match = item.match
    return (match.phone, match.many, _key_field(item)) if match is not None else ([], "", "")


def _key_field(item: Upsert | Update) -> str:
    return next(iter(item.key), "").casefold() if item.key else ""
