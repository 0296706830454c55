"""The org's records in memory, with versions, alternate keys, deletions for change tracking, and roll-back."""

import time
import uuid
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from connector.sandbox.dynamics.errors import duplicate_key
from connector.sandbox.dynamics.tables import Key, Table

Row = dict[str, Any]
HISTORY = 200_000  # accepted writes that are kept for tests


def folded(value: Any) -> Any:
    """A value as alternate keys and filters compare it: texts without letter case."""
    return value.casefold() if isinstance(value, str) else value


def moment(seconds: float) -> str:
    """A time as the API writes it: in whole seconds."""
    return _written(int(seconds))


@lru_cache(maxsize=1000)
def _written(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Storage:
    """All tables with their records."""

    def __init__(self, tables: dict[str, Table], clock: Callable[[], float] = time.time) -> None:
        self.tables = tables
        self.clock = clock
        self.version = 1000
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in tables}
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self._by_key: dict[tuple[str, str], dict[tuple[Any, ...], str]] = {}
        self._changed: dict[str, list[tuple[int, str]]] = {}  # in order of version; a later change is a second entry
        self._deleted: dict[str, list[tuple[int, str]]] = {}
        self._kept: dict[str, Row] = {}  # deleted records by id, for as long as they can be restored
        self._undo: list[Callable[[], None]] | None = None
        self._written = 0
        self.reset()

    def reset(self) -> None:
        """Delete all records and the history."""
        self.rows = {name: {} for name in self.tables}
        self.history.clear()
        self._changed = {name: [] for name in self.tables}
        self._deleted = {name: [] for name in self.tables}
        self._kept = {}
        self._by_key = {(name, key.name): {} for name, table in self.tables.items() for key in table.keys.values()}

    def add_table(self, table: Table) -> None:
        """A new, empty table."""
        self.tables[table.name] = table
        self.rows[table.name] = {}
        self._changed[table.name] = []
        self._deleted[table.name] = []
        for key in table.keys.values():
            self._by_key[table.name, key.name] = {}

    def by_set(self, set_name: str) -> Table | None:
        """The table of an entity set; its letter case counts."""
        return next((one for one in self.tables.values() if one.set_name == set_name), None)

    def index(self, table: Table, key: Key) -> bool:
        """Build the index of a new key; False if two records have the same values."""
        found: dict[tuple[Any, ...], str] = {}
        for record_id, row in self.rows[table.name].items():
            values = _key_values(table, key, row)
            if values is None:
                continue
            if values in found:
                return False
            found[values] = record_id
        self._by_key[table.name, key.name] = found
        return True

    def drop_index(self, table: Table, key: Key) -> None:
        """Forget a key's index."""
        self._by_key.pop((table.name, key.name), None)

    def get(self, table: Table, record_id: str) -> Row | None:
        """The record of that id."""
        return self.rows[table.name].get(record_id)

    def find(self, table: Table, key: Key, values: Mapping[str, Any]) -> Row | None:
        """The record with these values of an alternate key."""
        wanted = tuple(folded(values[table.columns[name].stored_as]) for name in key.columns)
        record_id = self._by_key.get((table.name, key.name), {}).get(wanted)
        return None if record_id is None else self.rows[table.name][record_id]

    def named(self, table: Table, column: str, values: Iterable[Any]) -> list[Row] | None:
        """The records with one of these values in the id column, or in a column that is an alternate key; else None."""
        rows = self.rows[table.name]
        if column == table.primary_id:
            return [rows[value] for value in values if value in rows]
        key = next((one for one in table.keys.values() if one.columns == (column,) and one.status == "Active"), None)
        if key is None:
            return None
        by_key = self._by_key[table.name, key.name]
        return [rows[by_key[value,]] for value in values if (value,) in by_key]

    def create(
        self,
        table: Table,
        record_id: str,
        values: Row,
        user: str,
        late: float = 0.0,
        *,
        written: Row | None = None,
    ) -> Row:
        """Save a new record. Raises RefusedError for a duplicate key.

        `written`: what the caller wrote, if automation changed it. The history holds that.
        """
        self.version += 1
        stamp = moment(self.clock() - late)
        row: Row = {
            **table.defaults,
            "_ownerid_value": user,
            **values,
            table.primary_id: record_id,
            "createdon": stamp,
            "modifiedon": stamp,
            "_createdby_value": user,
            "_modifiedby_value": user,
            "versionnumber": self.version,
        }
        _compute(table, row)
        self._check_keys(table, row, record_id)
        self._keep(table, row, record_id)
        self._enter(table, row, record_id)
        self._log("created", table, record_id, values if written is None else written, user)
        self._on_undo(lambda: self._forget(table, record_id))
        return row

    def update(
        self, table: Table, row: Row, values: Row, user: str, late: float = 0.0, *, written: Row | None = None
    ) -> Row:
        """Save values of a record. Raises RefusedError for a duplicate key. `written`: see create()."""
        record_id = row[table.primary_id]
        new = {**row, **values}
        self.version += 1
        new |= {"modifiedon": moment(self.clock() - late), "_modifiedby_value": user, "versionnumber": self.version}
        _compute(table, new)
        keyed = bool(table.keys) and not table.by_property.keys().isdisjoint(values)
        if keyed:
            self._check_keys(table, new, record_id)
            self._leave(table, row)
        self._keep(table, new, record_id)
        if keyed:
            self._enter(table, new, record_id)
        self._log("updated", table, record_id, values if written is None else written, user)

        def back() -> None:
            self._leave(table, new)
            self.rows[table.name][record_id] = row
            self._enter(table, row, record_id)

        self._on_undo(back)
        return new

    def delete(self, table: Table, record_id: str, user: str) -> None:
        """Delete a record for good: Dataverse has no recycle bin by default."""
        row = self.rows[table.name].pop(record_id)
        self._leave(table, row)
        self.version += 1
        self._deleted[table.name].append((self.version, record_id))
        self._kept[record_id] = row
        self._log("deleted", table, record_id, {}, user)

        def back() -> None:
            self.rows[table.name][record_id] = row
            self._enter(table, row, record_id)
            self._deleted[table.name].pop()

        self._on_undo(back)

    def is_deleted(self, table: Table, record_id: str) -> bool:
        """Whether the record was deleted and can be restored."""
        return table.primary_id in self._kept.get(record_id, {})

    def deleted_rows(self, table: Table) -> list[Row]:
        """The deleted records of a table, as they were."""
        return [{**row, "deleted": True} for row in self._kept.values() if table.primary_id in row]

    def restore(self, table: Table, record_id: str, user: str) -> None:
        """Bring a deleted record back. Raises RefusedError for a key that another record has by now."""
        row = self._kept[record_id]
        self._check_keys(table, row, record_id)
        del self._kept[record_id]
        self.version += 1
        row = {**row, "versionnumber": self.version, "modifiedon": moment(self.clock())}
        self._keep(table, row, record_id)
        self._enter(table, row, record_id)
        self._log("restored", table, record_id, {}, user)
        self._on_undo(lambda: self._forget(table, record_id))

    def changed_since(self, table: Table, version: int) -> list[Row]:
        """The records with a later version, in order of version."""
        rows, changed = self.rows[table.name], self._changed[table.name]
        later = changed[bisect_right(changed, version, key=lambda one: one[0]) :]
        return [row for at, record_id in later if (row := rows.get(record_id)) and row["versionnumber"] == at]

    def deleted_since(self, table: Table, version: int) -> list[str]:
        """The ids of the records deleted after a version."""
        return [record_id for at, record_id in self._deleted[table.name] if at > version]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or none of the writes of the block; nested blocks belong to the outer one."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        try:
            yield
        except BaseException:
            for one in reversed(self._undo):
                one()
            raise
        finally:
            self._undo = None

    def _on_undo(self, back: Callable[[], None]) -> None:
        if self._undo is not None:
            self._undo.append(back)
            logged = self.history[-1]
            self._undo.append(lambda: self.history.remove(logged))

    def _keep(self, table: Table, row: Row, record_id: str) -> None:
        self.rows[table.name][record_id] = row
        self._changed[table.name].append((row["versionnumber"], record_id))

    def _forget(self, table: Table, record_id: str) -> None:
        self._leave(table, self.rows[table.name].pop(record_id))

    def _log(self, action: str, table: Table, record_id: str, values: Row, user: str) -> None:
        self._written += 1
        self.history.append(
            {
                "sequence": self._written,
                "action": action,
                "table": table.name,
                "id": record_id,
                "fields": values,
                "by": user,
            }
        )

    def _check_keys(self, table: Table, row: Row, record_id: str) -> None:
        for key in table.keys.values():
            if key.status != "Active":
                continue
            values = _key_values(table, key, row)
            other = self._by_key[table.name, key.name].get(values) if values is not None else None
            if other is not None and other != record_id:
                shown = ", ".join(str(row[table.columns[name].stored_as]) for name in key.columns)
                raise duplicate_key(", ".join(key.columns), shown, table.name)

    def _enter(self, table: Table, row: Row, record_id: str) -> None:
        for key in table.keys.values():
            values = _key_values(table, key, row)
            if values is not None and (table.name, key.name) in self._by_key:
                self._by_key[table.name, key.name][values] = record_id

    def _leave(self, table: Table, row: Row) -> None:
        for key in table.keys.values():
            values = _key_values(table, key, row)
            if values is not None:
                self._by_key.get((table.name, key.name), {}).pop(values, None)


def new_id() -> str:
    """A record id."""
    return str(uuid.uuid4())


def _key_values(table: Table, key: Key, row: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The values of a key; None if one is empty, which is not unique."""
    values = tuple(folded(row.get(table.columns[name].stored_as)) for name in key.columns)
    return None if None in values else values


def _compute(table: Table, row: Row) -> None:
    if table.name == "contact":
        row["fullname"] = " ".join(filter(None, (row.get("firstname"), row.get("lastname")))) or None
