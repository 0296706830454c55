"""One question before a batch is sent: what is known of the records that its writes name."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from connector.model.operation import ID_FIELD, Operation, RecordWrite
from connector.model.remembered import Remembered
from connector.ports import Task
from connector.store.records import links_with_moves, opted_out_by_phone, shadows

Keys = tuple[str, str, str]  # sink, object, key field
Object = tuple[str, str]  # sink, object


class KnownRecords:
    """What is known of the records that some writes name. It makes the tasks of these writes, also of folded ones."""

    def __init__(self, reader: sqlite3.Connection, operations: Iterable[Operation]) -> None:
        self._ids: dict[Keys, Mapping[str, str]] = {}  # by key: the record that it names
        self._moved: dict[Keys, Mapping[str, str]] = {}  # by key: the record that it named until a merge
        self._shadows: dict[Keys, Mapping[str, Mapping[str, Any]]] = {}  # by key, of records whose flag is cleared
        self._opted_out: dict[Object, Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}  # by number and record id
        keys: dict[Keys, list[str]] = {}
        clearing: dict[Keys, list[str]] = {}
        numbers: dict[Object, list[str]] = {}
        for one in operations:
            if not isinstance(one, RecordWrite):
                continue
            group = one.sink, one.object, one.key_field
            keys.setdefault(group, []).append(one.key)
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

    def task(self, operation: Operation) -> Task:
        """The operation for a sink, with what is known of its record."""
        if not isinstance(operation, RecordWrite):
            return Task(operation)
        group, key = (operation.sink, operation.object, operation.key_field), operation.key
        ids, moved = self._ids.get(group, {}), self._moved.get(group, {})
        record_id = None if key in moved else ids.get(key)
        shadow = self._shadows[group].get(key) if operation.clears_flag else None
        if operation.match is None:
            # Only these are written otherwise when their record is new.
            known = record_id if operation.create or operation.clears_flag else None
            return Task(operation, shadow=shadow, gone=moved.get(key), record_id=known)
        others = self._opted_out.get(group[:2], {}).get(operation.match.phone.e164, {})
        return Task(operation, shadow, Remembered(record_id=record_id, shadows=others), moved.get(key))

    def _shadows_of(self, reader: sqlite3.Connection, group: Keys, keys: list[str]) -> Mapping[str, Mapping[str, Any]]:
        crm, name, key_field = group
        if key_field == ID_FIELD:
            return shadows(reader, crm, name, keys)
        ids = self._ids[group]
        known = shadows(reader, crm, name, [ids[key] for key in keys if key in ids])
        return {key: known[ids[key]] for key in keys if ids.get(key) in known}
