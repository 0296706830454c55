"""Retention: deletes old data, by kind and in small steps. It never deletes the ledger, the agreements, or anything open.

An opt-out that some system has not received, or about which nothing is decided yet, stays however old it is.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path

from msgspec import Struct

from connector.model.states import EventState
from connector.store.database import open_reader
from connector.store.naming_rows import UNDECIDED, UNIT_IS_OPEN
from connector.store.sql import as_list, micros, moment
from connector.store.writer import Writer

REPEATS = timedelta(hours=72)  # a provider's repeat is recognised for at least this long
STEP = 1000  # events in one transaction: callbacks wait a few tens of milliseconds for it at most
WARNED = timedelta(days=14)  # an alarm is raised so long before dead letters and unreadable bodies are deleted


class Kind(StrEnum):
    """What has a retention of its own, under the name that it has in the config."""

    RAW = "raw"
    DELIVERED = "delivered"
    IGNORED = "ignored"
    DEAD = "dead"
    UNREADABLE = "unreadable"
    GONE_RECORDS = "gone_records"
    AUDIT = "audit"
    SESSIONS = "sessions"


STATES: Mapping[Kind, tuple[EventState, ...]] = {
    Kind.DELIVERED: (EventState.DELIVERED,),
    Kind.IGNORED: (EventState.IGNORED, EventState.UNMATCHED, EventState.NO_CHANGE, EventState.SUPERSEDED),
    Kind.DEAD: (EventState.DEAD,),
    Kind.UNREADABLE: (EventState.UNREADABLE,),
}
KIND_OF = {state.value: kind for kind, states in STATES.items() for state in states}
NEEDS_BODY = frozenset({Kind.DEAD, Kind.UNREADABLE})  # a person may still need the body as received
# Ids are assigned in the order of arrival, so a walk by id follows time and needs no index.
OLD = "SELECT id, received_at, state, raw IS NOT NULL FROM inbox WHERE id > ? AND received_at < ? ORDER BY id LIMIT ?"
# Of these events: those that may be deleted. A person may have replayed one meanwhile.
DELETABLE = f"""SELECT id FROM inbox WHERE id IN (SELECT value FROM json_each(?)) AND state NOT IN ('pending', 'delivering')
    AND NOT {UNDECIDED} AND NOT {UNIT_IS_OPEN} AND NOT EXISTS (
        SELECT 1 FROM obligations WHERE obligations.event_id = inbox.id AND closed_at IS NULL)"""  # noqa: S608 - constants.
STRIP = """UPDATE inbox SET raw = NULL WHERE id IN (SELECT value FROM json_each(?))
    AND state NOT IN ('pending', 'delivering', 'dead', 'unreadable')"""
# Deleted records. A merged one stays as long as the kept one: an opt-out there is for its number too.
NOT_NEEDED = """gone_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM shadows AS kept WHERE kept.crm = shadows.crm
    AND kept.object = shadows.object AND kept.record_id = shadows.merged_into AND kept.gone_at IS NULL)"""
# Rows with a time of their own, and which of them are deleted when they are old. `gone_at` is NULL for what is there.
TIMED: Mapping[Kind, tuple[str, str, str]] = {
    Kind.GONE_RECORDS: (
        "shadows",
        "gone_at",
        NOT_NEEDED,
    ),
    Kind.AUDIT: ("audit", "at", "true"),
    Kind.SESSIONS: ("console_sessions", "seen_at", "true"),
}
EXPIRING = {"nonces": "expires_at", "erased_events": "expires_at"}  # deleted when they have expired


class Keep(Struct, frozen=True, kw_only=True):
    """How long each kind is kept, counted from its arrival; of a deleted record, since it was seen deleted."""

    raw: timedelta
    delivered: timedelta
    ignored: timedelta
    dead: timedelta
    unreadable: timedelta
    gone_records: timedelta
    audit: timedelta
    sessions: timedelta

    def of(self, kind: Kind) -> timedelta:
        """How long a kind is kept. Events are kept for at least as long as a provider may repeat a callback."""
        kept: timedelta = getattr(self, kind.value)
        return max(kept, REPEATS) if kind in STATES else kept


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    events: int
    bodies: int
    nonces: int


class Held(Struct, frozen=True, kw_only=True):
    """What is held of one kind now."""

    kind: Kind
    count: int
    oldest: datetime | None
    due: int  # what a sweep would delete now
    soon: int  # the same, after WARNED


class Retention:
    """Deletes old data, and says what is held."""

    def __init__(self, path: Path, writer: Writer, reader: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader

    async def sweep(self, now: datetime, keep: Keep) -> Swept:
        """Delete what is older than its kind is kept. The number of deleted events is kept by state (Inbox.swept)."""
        before = {kind: micros(now - keep.of(kind)) for kind in Kind}
        events = bodies = last = 0
        while rows := self._reader.execute(OLD, (last, _newest_old(before), STEP)).fetchall():
            last = rows[-1][0]
            old = [row[0] for row in rows if _is_old(row, before)]
            bare = [row[0] for row in rows if _has_old_body(row, before) and not _is_old(row, before)]
            if old:
                events += await self._writer.run(partial(_delete, event_ids=old))
            if bare:
                bodies += await self._writer.run(partial(_strip, event_ids=bare))
        for kind, (table, column, where) in TIMED.items():
            await self._writer.run(
                partial(_delete_before, table=table, column=column, before=before[kind], where=where)
            )
        done = [
            await self._writer.run(partial(_delete_before, table=table, column=column, before=micros(now)))
            for table, column in EXPIRING.items()
        ]
        return Swept(events, bodies, done[0])

    async def held(self, now: datetime, keep: Keep) -> list[Held]:
        """What is held of each kind, and what a sweep takes. It may read much of the database, in a thread."""
        return await asyncio.to_thread(_held, self._path, now, keep)


def _newest_old(before: Mapping[Kind, int]) -> int:
    return max(before[kind] for kind in (*STATES, Kind.RAW))


def _is_old(row: Sequence[int | str], before: Mapping[Kind, int]) -> bool:
    kind = KIND_OF.get(str(row[2]))
    return kind is not None and int(row[1]) < before[kind]


def _has_old_body(row: Sequence[int | str], before: Mapping[Kind, int]) -> bool:
    kind = KIND_OF.get(str(row[2]))
    return bool(row[3]) and kind is not None and kind not in NEEDS_BODY and int(row[1]) < before[Kind.RAW]


def _delete(connection: sqlite3.Connection, event_ids: list[int]) -> int:
    """Delete events and all rows that belong to them, if nothing of them is open."""
    ids = as_list([row[0] for row in connection.execute(DELETABLE, (as_list(event_ids),))])
    connection.execute("DELETE FROM units WHERE event_id IN (SELECT value FROM json_each(?))", (ids,))
    connection.execute(
        "DELETE FROM obligations WHERE event_id IN (SELECT value FROM json_each(?)) AND closed_at IS NOT NULL", (ids,)
    )
    return connection.execute("DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(?))", (ids,)).rowcount


def _strip(connection: sqlite3.Connection, event_ids: list[int]) -> int:
    return connection.execute(STRIP, (as_list(event_ids),)).rowcount


def _delete_before(connection: sqlite3.Connection, table: str, column: str, before: int, where: str = "true") -> int:
    return connection.execute(f"DELETE FROM {table} WHERE {column} < ? AND {where}", (before,)).rowcount  # noqa: S608 - constants.


def _held(path: Path, now: datetime, keep: Keep) -> list[Held]:
    before = {kind: micros(now - keep.of(kind)) for kind in Kind}
    soon = {kind: micros(now + WARNED - keep.of(kind)) for kind in Kind}
    with closing(open_reader(path)) as reader:
        reader.execute("BEGIN")
        events = [_held_events(reader, kind, before[kind], soon[kind]) for kind in STATES]
        raw = _counted(
            reader, Kind.RAW, "inbox", "received_at", f"raw IS NOT NULL AND state IN ({_states(*SETTLED)})",
            before[Kind.RAW], soon[Kind.RAW],
        )  # fmt: skip
        timed = [
            _counted(reader, kind, table, column, where, before[kind], soon[kind])
            for kind, (table, column, where) in TIMED.items()
        ]
    return [raw, *events, *timed]


SETTLED = (*STATES[Kind.DELIVERED], *STATES[Kind.IGNORED])


def _states(*states: EventState) -> str:
    return ", ".join(f"'{one.value}'" for one in states)


def _held_events(reader: sqlite3.Connection, kind: Kind, before: int, soon: int) -> Held:
    where = f"state IN ({_states(*STATES[kind])})"
    if kind is Kind.DEAD:
        where += f" AND NOT {UNDECIDED} AND NOT {UNIT_IS_OPEN}"
    return _counted(reader, kind, "inbox", "received_at", where, before, soon)


def _counted(
    reader: sqlite3.Connection, kind: Kind, table: str, column: str, where: str, before: int, soon: int
) -> Held:
    query = f"SELECT count(*), min({column}), total({column} < ?), total({column} < ?) FROM {table} WHERE {where}"  # noqa: S608
    count, oldest, due, later = reader.execute(query, (before, soon)).fetchone()
    return Held(
        kind=kind, count=count, oldest=None if oldest is None else moment(oldest), due=int(due), soon=int(later)
    )
