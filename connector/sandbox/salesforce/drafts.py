"""A record to be written: parsed from JSON, checked as far as possible without other records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from connector.sandbox.salesforce.fields import Field, Kind, SObject
from connector.sandbox.salesforce.refusals import RecordRefusedError, RequestRefusedError, no_such_column, undecodable
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.values import CONVERTERS, Stored, wrong_target

Record = Mapping[str, Any]
SILENT = frozenset({"attributes"})


class Limit(Protocol):
    """Something that rejects a transaction as a whole."""

    def check(self, sobject: SObject, drafts: Sequence["Draft"]) -> None:
        """Reject these drafts if they are too many together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who writes and when, and the faults that affect the write.

    `stamp` is the SystemModstamp in the API's form, `time` the clock's seconds. The following are functions of a
    record: `locked` whether another transaction holds it; `spoiling` whether it makes the JSON reader fail; `overtaken`
    whether somebody else creates it just before; `refused` the rejection that a test has chosen. With `allow_save`,
    duplicates that a rule only warns about are saved. `limits` are the limits of the org's triggers.
    """

    user: str
    time: float
    stamp: str
    locked: Callable[[Record], bool] | None = None
    spoiling: Callable[[Record], bool] | None = None
    overtaken: Callable[[Record], bool] | None = None
    refused: Callable[[SObject, Record], RecordRefusedError | None] | None = None
    allow_save: bool = False
    limits: tuple["Limit", ...] = ()


@dataclass(slots=True)
class ParentLink:
    """A parent named by an external ID instead of its id: `"Contact__r": {"SMS_Key__c": "k1"}`."""

    child: Field
    target: SObject
    field: Field
    value: str


@dataclass(slots=True)
class Draft:
    """One record of a request; `refusal` is set once it is known that it cannot be written."""

    record: Record
    values: dict[str, Stored] = field(default_factory=dict)
    parents: list[ParentLink] | None = None
    references: list[tuple[Field, str]] | None = None
    cleared: list[str] | None = None
    key: str | None = None
    id: str | None = None
    row: int = 0
    created: bool = False
    signed: str | None = None  # the user named as last modifier; None: the one who wrote it
    refusal: RecordRefusedError | None = None


def read(schema: Schema, sobject: SObject, record: Record, *, ignore: frozenset[str] = SILENT) -> Draft:
    """Parse one record's fields.

    Raises:
        RequestRefusedError: a field does not exist or a value has the wrong type; the whole request fails.
    """
    draft = Draft(record)
    by_name = sobject.by_name
    values = draft.values
    for name, value in record.items():
        if name in ignore:
            continue
        found = by_name.get(name) or sobject.any_case.get(name.lower())
        if found is None:
            _read_parent(schema, sobject, draft, name, value)
            continue
        if not found.writable:
            draft.refusal = draft.refusal or unwritable(found)
            continue
        try:
            value = CONVERTERS[found.kind](found, value)  # noqa: PLW2901 - from here on only the stored form is used
        except RecordRefusedError as refusal:
            draft.refusal = draft.refusal or refusal
            continue
        values[found.name] = value
        if found.keyed:
            values[found.folded] = fold(found, value)
        if value is None:
            if found.required:
                draft.cleared = [*(draft.cleared or ()), found.name]
        elif found.kind is Kind.REFERENCE:
            _refer(schema, draft, found, str(value))
    return draft


def _refer(schema: Schema, draft: Draft, found: Field, value: str) -> None:
    target = schema.of_id(value)
    if target is None or target.name not in found.targets:
        draft.refusal = draft.refusal or wrong_target(found, value)
        return
    draft.references = [*(draft.references or ()), (found, value)]


def fold(field: Field, value: Stored) -> str | None:
    """A key in its comparison form; null stays null."""
    return None if value is None else field.fold(str(value))


def unwritable(found: Field) -> RecordRefusedError:
    """The rejection of a field that the API may not set."""
    if found.kind is Kind.ID:
        return RecordRefusedError("INVALID_FIELD", "The Id field should not be specified in the sobject data.", "Id")
    return RecordRefusedError(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"Unable to create/update fields: {found.name}. Please check the security settings of this field and verify "
        "that it is read/write for your profile or permission set.",
        found.name,
    )


def _read_parent(schema: Schema, sobject: SObject, draft: Draft, name: str, value: Any) -> None:
    child = sobject.relationships.get(name.lower())
    if child is None:
        raise no_such_column(name, sobject.name)
    if not child.writable:
        draft.refusal = draft.refusal or unwritable(child)
        return
    if not isinstance(value, dict):
        raise undecodable(child.targets[0] if len(child.targets) == 1 else "sobject", value)
    if child.name in draft.record:
        draft.refusal = RecordRefusedError(
            "INVALID_FIELD",
            f"Cannot specify both an external ID reference {child.relationship} and a salesforce id, {child.name}",
            child.name,
        )
        return
    target = _target(schema, child, value)
    named = [(field_name, key) for field_name, key in value.items() if field_name != "attributes"]
    if len(named) != 1:
        raise RequestRefusedError(400, "INVALID_FIELD", f"Exactly one field of {child.relationship} must be specified")
    field_name, key = named[0]
    found = target.find(field_name)
    if found is None:
        raise no_such_column(field_name, target.name)
    if not found.keyed:
        draft.refusal = RecordRefusedError(
            "INVALID_FIELD",
            f"Field name provided, {found.name} does not match an External ID, Salesforce Id, or indexed field for {target.name}",
            found.name,
        )
        return
    if not isinstance(key, str):
        raise undecodable("string", key)
    draft.parents = [*(draft.parents or ()), ParentLink(child, target, found, key.strip())]


def _target(schema: Schema, child: Field, value: Record) -> SObject:
    if len(child.targets) == 1:
        return schema.objects[child.targets[0]]
    attributes = value.get("attributes")
    if not isinstance(attributes, dict) or "type" not in attributes:
        raise RequestRefusedError(
            400,
            "INVALID_FIELD",
            "Nested object for polymorphic foreign key must have an attributes field before any other fields.",
        )
    target = schema.find(str(attributes["type"]))
    if target is None or target.name not in child.targets:
        raise RequestRefusedError(
            400, "INVALID_FIELD", f"{attributes['type']} is not a valid type for {child.relationship}"
        )
    return target
