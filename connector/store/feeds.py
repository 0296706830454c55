"""Following a feed: one page's events, shadows and cursor are one transaction, and what is compared is read inside of it."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.model.operation import RecordWrite
from connector.store.change_notices import Pointer, looked, point, pointed
from connector.store.consents import restored, take_back
from connector.store.inbox import Arrival, Entry, Kept, add, arrival
from connector.store.links import unlink_records
from connector.store.outbox import in_doubt_writes
from connector.store.records import Gone, KnownRecord, ShadowWrite, mark_deleted, records_of, write_shadows
from connector.store.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known when a page is judged."""

    records: Mapping[str, KnownRecord]  # by record id, of those of which anything is known
    pointed: frozenset[str]  # record ids that are to be looked at by themselves
    in_doubt: tuple[RecordWrite, ...]  # writes of ours that are under way, or may have been done


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStep:
    """What a page leads to. Rows that are no change have a shadow at the most."""

    entries: tuple[Entry, ...] = ()
    shadows: tuple[ShadowWrite, ...] = ()
    unlink: tuple[str, ...] = ()  # ids of records with another number: only what is told anew still names them
    gone: tuple[Gone, ...] = ()
    look_again: tuple[str, ...] = ()  # record ids of rows that could not be judged
    taken_back: Mapping[str, str] = field(
        default_factory=dict
    )  # numbers (E.164) of opt-outs whose flag the CRM's automation has unset, and their records
    out: tuple[str, ...] = ()  # numbers whose records say "out"
    deleted: tuple[str, ...] = ()  # numbers whose records are gone
    cursor: str | None = None  # None leaves it as it is


class Following:
    """Where feeds are followed, and where they are in them."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def follow(
        self,
        feed: str,
        decide: Callable[[Seen], FollowStep],
        *,
        crm: str,
        object: str,  # noqa: A002 - the CRM's own word.
        record_ids: Sequence[str],
        pointers: Sequence[Pointer] = (),
        now: datetime,
    ) -> tuple[Kept, ...]:
        """Let `decide` judge a page of these records, and store all that follows and the cursor of `feed`, or nothing.

        The page answers to `pointers`: they are done with.
        `decide` runs in the writer's thread: it computes, and does nothing else.
        """

        def work(connection: sqlite3.Connection) -> tuple[Kept, ...]:
            step = decide(_seen(connection, crm, object, record_ids))
            kept = _keep(connection, arrival(step.entries)) if step.entries else ()
            unlink_records(connection, crm, object, step.unlink)
            write_shadows(connection, step.shadows, now)
            mark_deleted(connection, crm, object, step.gone, now)
            restored(connection, crm, step.out, "the record says so again", now)
            restored(connection, crm, step.deleted, "the record was deleted", now)
            take_back(connection, crm, step.taken_back, now)
            looked(connection, pointers)
            point(connection, crm, object, step.look_again)
            if step.cursor is not None:
                put_cursor(connection, feed, step.cursor)
            return kept

        return await self._writer.run(work, new=True)

    def seen(self, crm: str, name: str, record_ids: Sequence[str]) -> Seen:
        """What is known now, for one who judges a page of these records and keeps nothing of it."""
        return _seen(self._reader, crm, name, record_ids)

    def cursor(self, name: str) -> str | None:
        """Where a feed (or anything else that has a place) was left."""
        row = self._reader.execute("SELECT value FROM cursors WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    async def set_cursor(self, name: str, value: str | None) -> None:
        """Note a place; None forgets it."""

        def work(connection: sqlite3.Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM cursors WHERE name = ?", (name,))
            else:
                put_cursor(connection, name, value)

        await self._writer.run(work)


def _seen(connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]) -> Seen:
    return Seen(
        records=records_of(connection, crm, name, record_ids),
        pointed=pointed(connection, crm, name, record_ids),
        in_doubt=in_doubt_writes(connection, crm, name),
    )


def put_cursor(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Note a place. Runs inside the writer."""
    connection.execute(
        "INSERT INTO cursors (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def _keep(connection: sqlite3.Connection, brought: Arrival) -> tuple[Kept, ...]:
    (answer,) = add(connection, [brought])
    if isinstance(answer, Exception):
        raise answer
    return answer
