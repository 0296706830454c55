"""Rewrites references to merged parent records to the record that the merge kept."""

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from connector.crm.salesforce.client.api import RECORD_ID
from connector.crm.salesforce.client.record_ids import MERGEABLE, comparable, mergeable
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.merged_records import (
    KeptRecord,
    find_kept,
    is_deleted,
    soql,
)
from connector.crm.salesforce.write.writes import Write
from connector.model.operation import ID_FIELD, Parent, RecordWrite, Value
from connector.model.outcome import Reason, Rejected, Retry

KEYS = 100  # of one query
FOREIGN = re.compile(r"Foreign key external ID: .* not found for field (\w+) in entity (\w+)", re.DOTALL)


def missing_key(detail: str) -> str:
    """The external ID field by which Salesforce did not find a parent; empty if the text is about something else."""
    return _missing_parent(detail)[0]


def parent_was_merged(outcome: Retry | Rejected) -> bool:
    """Whether it was rejected for a parent, named by external ID, that may have been merged."""
    return outcome.reason is Reason.PARENT_MISSING and mergeable(_missing_parent(outcome.detail)[1])


async def follow_ids(rest: RestClient, writes: Mapping[Write, RecordWrite]) -> dict[Write, RecordWrite]:
    """The writes that name a merged record by Id, changed to name the kept record. Raises RequestFailed."""
    record_ids = {record_id for record_write in writes.values() for record_id in _mergeable_ids(record_write)}
    kept_records: dict[str, KeptRecord] = {}
    for prefix, name in MERGEABLE.items():
        ids = {record_id for record_id in record_ids if record_id.startswith(prefix)}
        if ids:
            kept_records |= await find_kept(rest, name, ids, ())

    def follow(value: Value) -> Value:
        record_id = _mergeable_id(value)
        kept = kept_records.get(comparable(record_id)) if record_id else None
        if kept is None or record_id is None or comparable(kept.record_id) == comparable(record_id):
            return value
        return replace(value, key=kept.record_id) if isinstance(value, Parent) else kept.record_id

    return _with_new_values(writes, follow)


async def follow_keys(
    rest: RestClient, writes: Mapping[Write, tuple[RecordWrite, Retry | Rejected]]
) -> dict[Write, RecordWrite]:
    """The writes whose missing parent was merged, changed to name the kept record. Raises RequestFailed."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for record_write, outcome in writes.values():
        field, name = _missing_parent(outcome.detail)
        keys = {parent.key for parent in record_write.parents if parent.key_field.casefold() == field.casefold()}
        wanted.setdefault((name, field), set()).update(keys)
    kept_by_key: dict[tuple[str, str], str] = {}  # external ID field and key → Id of the kept record
    for (name, field), keys in wanted.items():
        found = await _kept_by_key(rest, name, field, sorted(keys))
        kept_by_key |= {(field.casefold(), key): record_id for key, record_id in found.items()}

    def follow(value: Value) -> Value:
        if not isinstance(value, Parent):
            return value
        kept = kept_by_key.get((value.key_field.casefold(), value.key.lower()))
        return value if kept is None else Parent(key_field=ID_FIELD, key=kept)

    return _with_new_values({write: record_write for write, (record_write, _) in writes.items()}, follow)


async def _kept_by_key(rest: RestClient, name: str, field: str, keys: Sequence[str]) -> dict[str, str]:
    """The Ids of the kept records for deleted records with these keys, by key (case-folded)."""
    queries = [soql(name, [field], field, keys[start : start + KEYS]) for start in range(0, len(keys), KEYS)]
    answers = await rest.rows_of(queries)
    gone = {
        str(row.get(ID_FIELD)): str(KeptRecord(record_id="", row=row).value(field)).lower()
        for rows in answers
        for row in rows
        if is_deleted(row)
    }
    kept_records = await find_kept(rest, name, gone, ())
    return {
        key: kept_records[comparable(record_id)].record_id
        for record_id, key in gone.items()
        if comparable(record_id) in kept_records
    }


def _missing_parent(detail: str) -> tuple[str, str]:
    """The external ID field and the object in a message about a missing parent."""
    named = FOREIGN.search(detail)
    return (named[1], named[2]) if named else ("", "")


def _mergeable_id(value: Value) -> str | None:
    """The value if it is an Id of an object that can be merged; else None."""
    record_id = value.key if isinstance(value, Parent) and value.key_field == ID_FIELD else value
    if isinstance(record_id, str) and record_id[:3] in MERGEABLE and RECORD_ID.fullmatch(record_id):
        return record_id
    return None


def _mergeable_ids(record_write: RecordWrite) -> set[str]:
    values = [*record_write.set.values(), *record_write.create.values()]
    return {record_id for value in values if (record_id := _mergeable_id(value)) is not None}


def _with_new_values(writes: Mapping[Write, RecordWrite], follow: Callable[[Value], Value]) -> dict[Write, RecordWrite]:
    changed: dict[Write, RecordWrite] = {}
    for write, record_write in writes.items():
        new = replace(
            record_write,
            set={name: follow(value) for name, value in record_write.set.items()},
            create={name: follow(value) for name, value in record_write.create.items()},
        )
        if new != record_write:
            changed[write] = new
    return changed
