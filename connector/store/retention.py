"""Retention: deletes what was settled long ago, in small steps. It never deletes the ledger, a dead letter or anything open."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from connector.model.states import EventState
from connector.store.sql import as_list, micros
from connector.store.writer import Writer

REPEATS = timedelta(hours=72)  # a provider's repeat is recognised for at least this long
STEP = 1000  # events in one transaction: callbacks wait a few tens of milliseconds for it at most
GONE = (
    EventState.DELIVERED, EventState.IGNORED, EventState.UNMATCHED, EventState.NO_CHANGE, EventState.SUPERSEDED,
)  # fmt: skip
SETTLED = ", ".join(f"'{state.value}'" for state in GONE)
# Ids are assigned in the order of arrival, so a walk by id follows time and needs no index.
OLD = f"""SELECT id, received_at, state IN ({SETTLED}), raw IS NOT NULL FROM inbox
    WHERE id > ? AND received_at < ? ORDER BY id LIMIT ?"""  # noqa: S608 - the states above.
# An opt-out that some system has not received yet: its event is kept, so that it can be replayed.
WITH_OPEN_OBLIGATION = (
    "SELECT event_id FROM obligations WHERE event_id IN (SELECT value FROM json_each(?)) AND closed_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    events: int
    bodies: int
    nonces: int


class Retention:
    """Deletes old data."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def sweep(
        self, now: datetime, *, keep_delivered: timedelta, keep_raw: timedelta, deleted_kept: timedelta
    ) -> Swept:
        """Delete settled events older than `keep_delivered` (at least 72 hours) and raw bodies older than `keep_raw`.

        The raw body of what is unreadable, dead or open stays. The number of deleted events is kept by state (Inbox.swept).
        What is known of deleted records is deleted after `deleted_kept`.
        """
        events_before = micros(now - max(keep_delivered, REPEATS))
        raw_before = micros(now - keep_raw)
        events = bodies = last = 0
        while rows := self._reader.execute(OLD, (last, max(events_before, raw_before), STEP)).fetchall():
            last = rows[-1][0]
            old = [row[0] for row in rows if row[2] and row[1] < events_before]
            bare = [row[0] for row in rows if row[2] and row[1] >= events_before and row[1] < raw_before and row[3]]
            if old:
                events += await self._writer.run(partial(_delete, event_ids=old))
            if bare:
                bodies += await self._writer.run(partial(_strip, event_ids=bare))
        nonces = await self._writer.run(
            lambda connection: connection.execute("DELETE FROM nonces WHERE expires_at < ?", (micros(now),)).rowcount
        )
        await self._writer.run(
            lambda connection: connection.execute("DELETE FROM erased_events WHERE expires_at < ?", (micros(now),))
        )
        gone_before = micros(now - deleted_kept)
        await self._writer.run(
            lambda connection: connection.execute("DELETE FROM shadows WHERE gone_at < ?", (gone_before,))
        )
        return Swept(events, bodies, nonces)


def _delete(connection: sqlite3.Connection, event_ids: list[int]) -> int:
    """Delete events and all rows that belong to them. Checks their state again: a person may have replayed one meanwhile."""
    with_open_obligation = {row[0] for row in connection.execute(WITH_OPEN_OBLIGATION, (as_list(event_ids),))}
    ids = as_list([one for one in event_ids if one not in with_open_obligation])
    connection.execute(
        f"""DELETE FROM units WHERE event_id IN (SELECT inbox.id FROM json_each(?) AS each
        CROSS JOIN inbox ON inbox.id = each.value AND inbox.state IN ({SETTLED}))""",  # noqa: S608 - the states above.
        (ids,),
    )
    connection.execute(
        "DELETE FROM obligations WHERE event_id IN (SELECT value FROM json_each(?)) AND closed_at IS NOT NULL", (ids,)
    )
    return connection.execute(
        f"DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(?)) AND state IN ({SETTLED})",  # noqa: S608 - the same.
        (ids,),
    ).rowcount


def _strip(connection: sqlite3.Connection, event_ids: list[int]) -> int:
    return connection.execute(
        f"UPDATE inbox SET raw = NULL WHERE id IN (SELECT value FROM json_each(?)) AND state IN ({SETTLED})",  # noqa: S608 - the same.
        (as_list(event_ids),),
    ).rowcount
