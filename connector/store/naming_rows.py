"""Finds the rows of all tables that name a phone number, and removes the number from rows of other people."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from connector.model.phone import Phone
from connector.store.database import open_reader
from connector.store.mentions import Mentions
from connector.store.personal_data import TEXTS

UNIT_IS_OPEN = "EXISTS (SELECT 1 FROM units INDEXED BY units_event WHERE units.event_id = inbox.id AND open = 1)"
# An opt-out, or what may be one, about which nothing is decided yet.
UNDECIDED = """(state = 'dead' AND verdict IN ('opt_out', 'maybe_stop') AND NOT EXISTS (
    SELECT 1 FROM ledger INDEXED BY ledger_decided WHERE ledger.event_id = inbox.id AND phase = 'decided'))"""
PAGE = 500  # rows that are searched at once, so that other threads run in between
# Searched besides the columns of personal_data.py: rows that go if they name the number.
SEARCHED: Mapping[str, tuple[str, ...]] = {
    **TEXTS,
    "shadows": ("fields", "last_write"),
    "links": ("key",),
    "stop_answers": ("text", "keyword"),
    "ledger": ("detail", "decision"),
    "charges": ("detail",),
    "charge_log": ("detail",),
}
REMEMBER_RECORD = """INSERT INTO erased_records (crm, object, record, opted_out) VALUES (?1, ?2, pseudonym(?3), coalesce(
        (SELECT opted_out FROM shadows WHERE crm = ?1 AND object = ?2 AND record_id = ?3), 0))
    ON CONFLICT (crm, object, record) DO UPDATE SET opted_out = excluded.opted_out"""
DELETED_WHOLE = frozenset({"shadows", "links", "stop_answers"})


class Hit(Struct, frozen=True):
    """A row that names the number."""

    table: str
    key: tuple[Any, ...]  # values of its primary key, or its rowid


def search(path: Path, phone: Phone) -> list[Hit]:
    """The rows of all texts of the database that name the number. It reads the whole database: call it in a thread."""
    mentions = Mentions(phone)
    with closing(open_reader(path)) as reader:
        return [hit for table, columns in SEARCHED.items() for hit in _search(reader, table, columns, mentions)]


def _search(reader: sqlite3.Connection, table: str, columns: Sequence[str], mentions: Mentions) -> Iterator[Hit]:
    key = _key_of(reader, table)
    rows = reader.execute(f"SELECT {', '.join((*key, *columns))} FROM {table}")  # noqa: S608 - names of our own tables.
    while page := rows.fetchmany(PAGE):
        # All texts of a page are searched together first, because nearly always the number is in none of them.
        if not mentions.may_be_in([value for row in page for value in row[len(key) :] if value]):
            continue
        for row in page:
            if any(mentions.are_in(value) for value in row[len(key) :]):
                yield Hit(table, row[: len(key)])


def _key_of(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    columns = sorted((pk, name) for _, name, _, _, _, pk in connection.execute(f"PRAGMA table_info({table})") if pk)
    return tuple(name for _, name in columns) or ("rowid",)


def event_of(connection: sqlite3.Connection, hit: Hit) -> int:
    """The event that a row of the inbox or the outbox belongs to; 0 if the row is gone."""
    if hit.table == "inbox":
        return int(hit.key[0])
    row = connection.execute("SELECT event_id FROM units WHERE id = ?", hit.key).fetchone()
    return int(row[0]) if row else 0


def is_open_event_of_another(connection: sqlite3.Connection, hit: Hit, given: Mapping[str, Any]) -> bool:
    """Whether the row belongs to another person's event that is still under way: its content must not change now."""
    event_id = event_of(connection, hit)
    query = f"""SELECT 1 FROM inbox WHERE id = :id AND id <= :last AND msisdn IS NOT :number
        AND (state IN ('pending', 'delivering') OR {UNIT_IS_OPEN} OR (msisdn IS NULL AND {UNDECIDED}))"""  # noqa: S608 - constants.
    return connection.execute(query, {**given, "id": event_id}).fetchone() is not None


def remove_number(connection: sqlite3.Connection, hit: Hit, mentions: Mentions, given: Mapping[str, Any]) -> None:
    """Remove the number from a row that stays, or delete the row. What came after the request stays unchanged."""
    columns, key = SEARCHED[hit.table], _key_of(connection, hit.table)
    where = " AND ".join(f"{name} IS ?" for name in key)
    row = connection.execute(f"SELECT {', '.join(columns)} FROM {hit.table} WHERE {where}", hit.key).fetchone()  # noqa: S608
    if row is None or not any(mentions.are_in(value) for value in row):
        return
    if hit.table in {"inbox", "units"}:
        event_id = event_of(connection, hit)
        query = "SELECT msisdn IS :number OR id > :last, event IS NULL FROM inbox WHERE id = :id"
        new, unread = connection.execute(query, {**given, "id": event_id}).fetchone()
        if new:
            return
        if unread and hit.table == "inbox":
            connection.execute("DELETE FROM inbox WHERE id = ?", hit.key)
            return
    if hit.table == "ledger":
        query = "SELECT msisdn IS :number FROM ledger WHERE id = :id"
        if connection.execute(query, {**given, "id": hit.key[0]}).fetchone()[0]:
            return
    if hit.table == "shadows":
        connection.execute(REMEMBER_RECORD, hit.key)
    if hit.table in DELETED_WHOLE:
        connection.execute(f"DELETE FROM {hit.table} WHERE {where}", hit.key)  # noqa: S608 - names of our own tables.
        return
    changed = {
        name: mentions.without(value) for name, value in zip(columns, row, strict=True) if mentions.are_in(value)
    }
    sets = ", ".join(f"{name} = ?" for name in changed)
    connection.execute(f"UPDATE {hit.table} SET {sets} WHERE {where}", (*changed.values(), *hit.key))  # noqa: S608
