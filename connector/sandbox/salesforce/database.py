"""The org's records in SQLite: one table per object with real columns, and the history of all accepted writes.

It handles tables and transactions; writing.py decides what may be written.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from connector.sandbox.salesforce import org
from connector.sandbox.salesforce.fields import Field, Kind, SObject
from connector.sandbox.salesforce.identifiers import record_id
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.triggers import Triggers
from connector.sandbox.salesforce.values import as_moment
from connector.sandbox.salesforce.wording import Wording

MOST_PARAMETERS = 500  # values in one IN (…); well below SQLite's limit, with few distinct statements to prepare
CACHED_STATEMENTS = 512

CASELESS = frozenset({Kind.TEXT, Kind.LONG_TEXT, Kind.EMAIL, Kind.PHONE, Kind.PICKLIST})
SQL_TYPES = {Kind.BOOLEAN: "INTEGER", Kind.CURRENCY: "REAL", Kind.NUMBER: "REAL"}

HISTORY = """
CREATE TABLE IF NOT EXISTS "~history" (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL, object TEXT, id TEXT, user TEXT, action TEXT, fields TEXT)
"""


def compare_without_case(left: str, right: str) -> int:
    """Negative, zero or positive, as SQLite requires: Å equals å."""
    left, right = left.casefold(), right.casefold()
    return (left > right) - (left < right)


def column(field: Field) -> str:
    """The SQL definition of a field's column."""
    parts = [f'"{field.name}"', SQL_TYPES.get(field.kind, "TEXT")]
    if field.kind in CASELESS:
        parts.append("COLLATE ANYCASE")
    if field.formula:
        parts.append(f"GENERATED ALWAYS AS ({field.formula}) VIRTUAL")
    elif isinstance(field.default, bool):
        parts.append(f"NOT NULL DEFAULT {int(field.default)}")
    elif field.default is not None:
        parts.append(f"DEFAULT '{field.default}'")
    return " ".join(parts)


def folded(field: Field) -> str:
    """The SQL expression for a keyed field's value in its comparison form."""
    return f'"{field.name}"' if field.case_sensitive else f'lower("{field.name}")'


def columns(sobject: SObject) -> Iterator[tuple[str, str]]:
    """The columns of an object's table, by name; the row number comes first."""
    for field in sobject.fields:
        yield field.name, column(field)
        if field.keyed and field.kind is not Kind.ID:
            yield field.folded, f'"{field.folded}" TEXT'


def tables(sobject: SObject) -> Iterator[str]:
    """The statements that create an object's table, then its indexes."""
    definitions = ['"row" INTEGER PRIMARY KEY', *(definition for _, definition in columns(sobject))]
    yield f'CREATE TABLE IF NOT EXISTS "{sobject.name}" ({", ".join(definitions)})'
    yield f'CREATE UNIQUE INDEX IF NOT EXISTS "{sobject.name}~id" ON "{sobject.name}" ("Id")'
    yield f'CREATE INDEX IF NOT EXISTS "{sobject.name}~stamp" ON "{sobject.name}" ("SystemModstamp", "Id")'
    for field in sobject.fields:
        if field.keyed and field.kind is not Kind.ID:
            # A deleted record frees its key.
            unique, living = ("UNIQUE ", ' WHERE "IsDeleted" = 0') if field.unique else ("", "")
            name = f"{sobject.name}~{field.folded}"
            yield f'CREATE {unique}INDEX IF NOT EXISTS "{name}" ON "{sobject.name}" ("{field.folded}"){living}'


class Attempt:
    """Lets a part of a transaction be undone."""

    def __init__(self) -> None:
        self.undone = False

    def undo(self) -> None:
        """Undo the part when its block ends."""
        self.undone = True


class Database:
    """One org's data in a file or in memory, its schema, and its automation."""

    def __init__(self, path: str, schema: Schema | None = None, triggers: Triggers | None = None) -> None:
        self.schema = schema or Schema(org.OBJECTS)
        self.triggers = triggers or Triggers()
        self.wording = Wording()
        self.connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=CACHED_STATEMENTS
        )
        # SQLite's NOCASE only knows English letters.
        self.connection.create_collation("ANYCASE", compare_without_case)
        # The sandbox's data may be lost with the machine; it must not slow down measurements of the connector.
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute(HISTORY)
        self._rows: dict[str, int] = {}
        for sobject in self.schema.objects.values():
            self._make(sobject)
        self._seed()

    def put(self, sobject: SObject) -> None:
        """Create the table of a new object, or add the missing columns of a changed one."""
        before = self.schema.objects.get(sobject.name)
        self._make(sobject)
        for field in sobject.fields if before else ():
            old = before.by_name.get(field.name) if before else None
            if old is not None and old.keyed and field.keyed and old.case_sensitive != field.case_sensitive:
                self.connection.execute(f'UPDATE "{sobject.name}" SET "{field.folded}" = {folded(field)}')  # noqa: S608 - names are ours
        self.schema.put(sobject)

    def _make(self, sobject: SObject) -> None:
        table, *indexes = tables(sobject)
        self.connection.execute(table)
        there = {row[1] for row in self.connection.execute(f'PRAGMA table_xinfo("{sobject.name}")')}
        lacking = [(name, definition) for name, definition in columns(sobject) if name not in there]
        for _, definition in lacking:
            self.connection.execute(f'ALTER TABLE "{sobject.name}" ADD COLUMN {definition}')
        for field in sobject.fields:
            # A field that becomes an external ID may already have values.
            if field.name in there and any(field.folded == name for name, _ in lacking):
                self.connection.execute(f'UPDATE "{sobject.name}" SET "{field.folded}" = {folded(field)}')  # noqa: S608 - names are ours
        for index in indexes:
            self.connection.execute(index)
        (last,) = self.connection.execute(f'SELECT coalesce(max("row"), 0) FROM "{sobject.name}"').fetchone()  # noqa: S608 - the name is ours
        self._rows[sobject.name] = max(last, self._rows.get(sobject.name, 0))

    def _seed(self) -> None:
        start = as_moment(0)
        for name, records in org.SEED.items():
            for record, fields in records.items():
                columns = ", ".join(f'"{one}"' for one in ("Id", "SystemModstamp", *fields))
                marks = ", ".join("?" * (len(fields) + 2))
                self.connection.execute(
                    f'INSERT OR IGNORE INTO "{name}" ({columns}) VALUES ({marks})',  # noqa: S608 - names are ours
                    (record, start, *fields.values()),
                )

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def reset(self) -> None:
        """Delete all records and the history; the counters continue, so that no id is used twice."""
        with self.transaction():
            for name in (*self.schema.objects, "~history"):
                self.connection.execute(f'DELETE FROM "{name}"')  # noqa: S608 - the name is ours
            self._seed()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the whole block, or nothing after an exception."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @contextmanager
    def attempt(self) -> Iterator["Attempt"]:
        """A part of a transaction that is undone if it raises or requests it; attempts may be nested."""
        attempt = Attempt()
        self.connection.execute("SAVEPOINT attempt")
        try:
            yield attempt
        except BaseException:
            attempt.undo()
            raise
        finally:
            if attempt.undone:
                self.connection.execute("ROLLBACK TO attempt")
            self.connection.execute("RELEASE attempt")

    def next_id(self, sobject: SObject) -> tuple[int, str]:
        """The row number and the id of a new record."""
        self._rows[sobject.name] += 1
        number = self._rows[sobject.name]
        return number, record_id(sobject.prefix, number)

    def take_rows(self, sobject: SObject, count: int) -> range:
        """Reserve the row numbers of this many new records."""
        first = self._rows[sobject.name] + 1
        self._rows[sobject.name] += count
        return range(first, first + count)

    def lookup(self, sql: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows of `sql`, in which `{}` stands for the values; queried in portions."""
        for start in range(0, len(values), MOST_PARAMETERS):
            portion = values[start : start + MOST_PARAMETERS]
            yield from self.connection.execute(sql.format(", ".join("?" * len(portion))), portion)

    def record(self, time: float, name: str, user: str, entries: Iterable[tuple[str, str, Any]]) -> None:
        """Append (id, action, fields) entries to the history."""
        self.connection.executemany(
            'INSERT INTO "~history" (time, object, id, user, action, fields) VALUES (?, ?, ?, ?, ?, ?)',
            [(time, name, found, user, action, orjson.dumps(fields).decode()) for found, action, fields in entries],
        )

    def history(self, name: str | None, since: int) -> list[dict[str, Any]]:
        """Every accepted write after sequence number `since`, in order."""
        rows = self.connection.execute(
            'SELECT seq, time, object, id, user, action, fields FROM "~history" '
            "WHERE seq > ? AND (? IS NULL OR object = ?) ORDER BY seq",
            (since, name, name),
        )
        names = ("seq", "time", "object", "id", "by", "action")
        return [{**dict(zip(names, row, strict=False)), "fields": orjson.loads(row[6])} for row in rows]

    def counts(self) -> dict[str, int]:
        """The number of records of each object that are not deleted."""
        return {
            name: self.connection.execute(f'SELECT count(*) FROM "{name}" WHERE "IsDeleted" = 0').fetchone()[0]  # noqa: S608 - the name is ours
            for name in self.schema.objects
        }
