"""One question before a batch is sent: what is known of the records that its writes name."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from connector.model.operation import ID_FIELD, Operation, RecordWrite
from connector.model.remembered import Remembered
from connector.ports import Task
from connector.store.records import links_with_moves, opted_out_by_phone, shadows
from connector.store.sql import as_list, read_rows

Keys = tuple[str, str, str]  # sink, object, key field
Object = tuple[str, str]  # sink, object

# The digits of other alphabets: no query of a CRM finds them as the digits that they are.
ODDLY_WRITTEN = (
    "SELECT json_group_array(json_array(phone, record_id)) FROM shadows INDEXED BY shadows_phone "
    "WHERE crm = ? AND object = ? AND gone_at IS NULL AND phone <> '' AND phone IN (SELECT value FROM json_each(?)) "
    "AND fields GLOB '*[^ -~]*'"
)


class KnownRecords:
    """What is known of the records that some writes name. It makes the tasks of these writes, also of folded ones."""

    def __init__(
        self, reader: sqlite3.Connection, operations: Iterable[Operation], tried: Collection[tuple[str, str, str]] = ()
    ) -> None:
        """`tried` are the records that an earlier attempt may have written."""
        self._tried = tried
        self._ids: dict[Keys, Mapping[str, str]] = {}  # by key: the record that it names
        self._moved: dict[Keys, Mapping[str, str]] = {}  # by key: the record that it named until a merge
        self._shadows: dict[Keys, Mapping[str, Mapping[str, Any]]] = {}  # by key, of records whose flag is cleared
        self._opted_out: dict[Object, Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}  # by number and record id
        self._oddly_written: dict[Object, Mapping[str, list[str]]] = {}  # by number: record ids
        matched: dict[Object, list[str]] = {}
        keys: dict[Keys, list[str]] = {}
        clearing: dict[Keys, list[str]] = {}
        numbers: dict[Object, list[str]] = {}
        for one in [one for one in operations if isinstance(one, RecordWrite)]:
            group = one.sink, one.object, one.key_field
            keys.setdefault(group, []).append(one.key)
            if one.match is not None:
                matched.setdefault(group[:2], []).append(one.match.phone.e164)
            if one.clears_flag:
                clearing.setdefault(group, []).append(one.key)
                if one.match is not None:
                    numbers.setdefault(group[:2], []).append(one.match.phone.e164)
        for group, several in keys.items():
            if group[2] != ID_FIELD:
                self._ids[group], self._moved[group] = links_with_moves(reader, *group, several)
        for group, several in clearing.items():
            self._shadows[group] = self._shadows_of(reader, group, several)
        for place, phones in numbers.items():
            self._opted_out[place] = opted_out_by_phone(reader, *place, phones)
        for place, phones in matched.items():
            self._oddly_written[place] = _oddly_written_by_phone(reader, *place, phones)

    def task(self, operation: Operation) -> Task:
        """The operation for a sink, with what is known of its record."""
        if not isinstance(operation, RecordWrite):
            return Task(operation)
        group, key = (operation.sink, operation.object, operation.key_field), operation.key
        ids, moved = self._ids.get(group, {}), self._moved.get(group, {})
        record_id = None if key in moved else ids.get(key)
        shadow = self._shadows[group].get(key) if operation.clears_flag else None
        if operation.match is None:
            # Other writes are the same for a new and for an existing record, and do not need its id.
            known = record_id if operation.create or operation.clears_flag else None
            tried = bool(self._tried) and operation.record in self._tried
            return Task(operation, shadow=shadow, gone=moved.get(key), record_id=known, tried=tried)
        number = operation.match.phone.e164
        remembered = Remembered(
            record_id=record_id,
            shadows=self._opted_out.get(group[:2], {}).get(number, {}),
            oddly_written=tuple(self._oddly_written[group[:2]].get(number, ())),
        )
        return Task(operation, shadow, remembered, moved.get(key))

    def _shadows_of(self, reader: sqlite3.Connection, group: Keys, keys: list[str]) -> Mapping[str, Mapping[str, Any]]:
        crm, name, key_field = group
        if key_field == ID_FIELD:
            return shadows(reader, crm, name, keys)
        ids = self._ids[group]
        known = shadows(reader, crm, name, [ids[key] for key in keys if key in ids])
        return {key: known[ids[key]] for key in keys if ids.get(key) in known}


def _oddly_written_by_phone(
    connection: sqlite3.Connection, crm: str, name: str, numbers: Sequence[str]
) -> dict[str, list[str]]:
    """The ids of records with one of these numbers (E.164) whose fields have other characters than ASCII, by number."""
    found: dict[str, list[str]] = {}
    for phone, record_id in read_rows(connection, ODDLY_WRITTEN, (crm, name, as_list(numbers))):
        found.setdefault(phone, []).append(record_id)
    return found
