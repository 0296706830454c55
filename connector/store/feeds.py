"""Following a feed: one transaction reads what a page is compared with, and stores its events, shadows and cursor."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from connector.consent.ledger_state import fold_ledger
from connector.model.operation import RecordWrite
from connector.store.change_notices import StoredNotice, add_notices, delete_notices, records_with_notice
from connector.store.consents import close_restored, read_ledger, take_back
from connector.store.gone_records import Gone, mark_deleted, merged_numbers
from connector.store.inbox import Arrival, Entry, Kept, add, arrival, undecided_opt_outs
from connector.store.links import keys_of, unlink_changed_keys, unlink_records
from connector.store.outbox import clearing_in_doubt, in_doubt_writes
from connector.store.records import KnownRecord, ShadowWrite, erased_records, records_of, write_shadows
from connector.store.sql import put_value
from connector.store.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known when a page is judged."""

    records: Mapping[str, KnownRecord]  # by record id; only records of which something is known
    with_notice: frozenset[str]  # record ids of which a change notice has come
    # Records of which nothing is known because a person was forgotten, and whether each said "opted out" then.
    erased: Mapping[str, bool]
    # Our writes that are under way, or may have been done, each with its lane.
    in_doubt: tuple[tuple[str, RecordWrite], ...]
    # Those of them that clear a flag and may have been done, each with the time of its first attempt.
    clearing_in_doubt: tuple[tuple[RecordWrite, datetime], ...] = ()
    # Whether the person with this number (E.164) has opted out, or an opt-out of theirs in the CRM is not decided yet.
    opted_out: Callable[[str], bool]
    # By record id: the numbers (E.164) of the records that were merged into it.
    merged_numbers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # By record id: the keys (field and key) by which our writes find it. Only read while writes are in doubt.
    keys: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStep:
    """The result of a page. Rows that are no change have at most a shadow."""

    entries: tuple[Entry, ...] = ()
    shadows: tuple[ShadowWrite, ...] = ()
    unlink: tuple[
        str, ...
    ] = ()  # ids of records with another number: only keys that are confirmed again still name them
    keys: tuple[tuple[str, str, str], ...] = ()  # of the existing records: record id, key field, and the key or nothing
    gone: tuple[Gone, ...] = ()
    look_again: tuple[str, ...] = ()  # record ids of rows that could not be judged
    taken_back: Mapping[str, str] = field(
        default_factory=dict
    )  # numbers (E.164) of opt-outs whose flag the CRM's automation has unset, and their records
    out: tuple[str, ...] = ()  # numbers whose records say "out"
    deleted: tuple[str, ...] = ()  # numbers whose records are deleted
    cursor: str | None = None  # None leaves it unchanged


class Following:
    """Stores what follows from feed pages, and the position in each feed."""

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
        notices: Sequence[StoredNotice] = (),
        now: datetime,
    ) -> tuple[Kept, ...]:
        """Let `decide` judge a page of these records, and store all results and the cursor of `feed`, or nothing.

        The page handles `notices`; they are deleted. `decide` runs in the writer's thread: it only computes.
        """

        def work(connection: sqlite3.Connection) -> tuple[Kept, ...]:
            step = decide(_seen(connection, crm, object, record_ids))
            kept = _keep(connection, arrival(step.entries)) if step.entries else ()
            unlink_records(connection, crm, object, step.unlink)
            unlink_changed_keys(connection, crm, object, step.keys)
            write_shadows(connection, step.shadows, now)
            mark_deleted(connection, crm, object, step.gone, now)
            close_restored(connection, crm, step.out, "the record says so again", now)
            close_restored(connection, crm, step.deleted, "the record was deleted", now)
            take_back(connection, crm, step.taken_back, now)
            delete_notices(connection, notices)
            add_notices(connection, crm, object, step.look_again)
            if step.cursor is not None:
                put_value(connection, feed, step.cursor)
            return kept

        return await self._writer.run(work, new=True)

    def seen(self, crm: str, name: str, record_ids: Sequence[str]) -> Seen:
        """What is known now, for judging a page of these records without storing the result."""
        return _seen(self._reader, crm, name, record_ids)

    def cursor(self, name: str) -> str | None:
        """The stored position of a feed, or of anything else that has one."""
        row = self._reader.execute("SELECT value FROM cursors WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    async def set_cursor(self, name: str, value: str | None) -> None:
        """Store a position; None deletes it."""

        def work(connection: sqlite3.Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM cursors WHERE name = ?", (name,))
            else:
                put_value(connection, name, value)

        await self._writer.run(work)


def _seen(connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]) -> Seen:
    records = records_of(connection, crm, name, record_ids)
    in_doubt = in_doubt_writes(connection, crm, name)
    return Seen(
        records=records,
        erased=erased_records(connection, crm, name, [one for one in record_ids if one not in records]),
        with_notice=records_with_notice(connection, crm, name, record_ids),
        in_doubt=in_doubt,
        clearing_in_doubt=clearing_in_doubt(connection, crm, name) if in_doubt else (),
        opted_out=partial(_opted_out, connection, crm),
        merged_numbers=merged_numbers(connection, crm, name, record_ids),
        keys=keys_of(connection, crm, name, record_ids) if in_doubt else {},
    )


def _opted_out(connection: sqlite3.Connection, crm: str, number: str) -> bool:
    if fold_ledger(read_ledger(connection, number)).out:
        return True
    return bool(undecided_opt_outs(connection, crm, [number], after=0))


def _keep(connection: sqlite3.Connection, brought: Arrival) -> tuple[Kept, ...]:
    (answer,) = add(connection, [brought])
    if isinstance(answer, Exception):
        raise answer
    return answer
