"""Actions of people on several events. They are kept for a while, to show later what became of each event."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

import orjson
from msgspec import Struct

from connector.model.outcome import Reason
from connector.model.states import EventState
from connector.store.dead_letters import DISCARDED
from connector.store.sql import as_list, micros, moment
from connector.store.writer import Writer

KEPT = timedelta(days=30)
NEWEST = 50  # actions in which an event is looked for: one may have thousands of events
ADD = "INSERT INTO actions (at, who, words, events) VALUES (?, ?, ?, ?)"
GET = "SELECT id, at, who, words, events FROM actions"
LISTING = "SELECT id, at, who, words FROM actions"
OF_EVENTS = f"""{LISTING} WHERE id > (SELECT coalesce(max(id), 0) FROM actions) - {NEWEST} AND EXISTS (
    SELECT 1 FROM json_each(actions.events) AS each WHERE each.value IN (SELECT value FROM json_each(?))) ORDER BY id DESC"""  # noqa: S608 - constants.
STATES = """SELECT state, reason IS 'needs_person', detail IS :discarded, count(*) FROM json_each(:events) AS each
    CROSS JOIN inbox ON inbox.id = each.value GROUP BY 1, 2, 3"""
# What failed comes first, then what waits. A dead event may have several units: the detail is that of the first dead one.
LINES = """SELECT inbox.id, inbox.state, coalesce(units.reason, inbox.reason), coalesce(units.detail, inbox.detail), units.sink,
    coalesce((SELECT code FROM causes WHERE causes.unit_id = units.id), '') FROM json_each(:events) AS each
    CROSS JOIN inbox ON inbox.id = each.value LEFT JOIN units ON units.id = (SELECT id FROM units AS one
        WHERE one.event_id = inbox.id AND one.state IN ('dead', 'resting') ORDER BY one.state, one.id LIMIT 1)
    ORDER BY CASE inbox.state WHEN 'dead' THEN 0 WHEN 'pending' THEN 1 WHEN 'delivering' THEN 1 ELSE 2 END, inbox.id LIMIT :limit"""


class Action(Struct, frozen=True, kw_only=True):
    """What a person did to events. `words` say it in a sentence without personal data."""

    id: int
    at: datetime
    who: str
    words: str


class ActionEvents(Struct, frozen=True):
    """An action with the ids of its events."""

    action: Action
    event_ids: tuple[int, ...]


class StateCount(Struct, frozen=True, kw_only=True):
    """How many events of an action are in a state now."""

    state: EventState
    waits: bool  # for a person's decision
    discarded: bool
    count: int


class EventNow(Struct, frozen=True, kw_only=True):
    """One event of an action as it is now. `reason`, `detail`, `sink` and `code` are those of what failed or rests, if anything."""

    event_id: int
    state: EventState
    reason: Reason | None
    detail: str | None
    sink: str | None
    code: str


class Actions:
    """Reads and writes the actions."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, who: str, words: str, event_ids: Sequence[int], now: datetime) -> int:
        """Store an action; returns its id. Those that are too old are deleted."""
        row = micros(now), who, words, as_list(list(event_ids))

        def work(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM actions WHERE at < ?", (micros(now - KEPT),))
            return int(connection.execute(ADD, row).lastrowid or 0)

        return await self._writer.run(work)

    def get(self, action_id: int) -> ActionEvents | None:
        """One action; None if there is none, or it is no longer kept."""
        row = self._reader.execute(f"{GET} WHERE id = ?", (action_id,)).fetchone()
        return ActionEvents(_action(row[:4]), tuple(orjson.loads(row[4]))) if row else None

    def newest(self, limit: int) -> list[Action]:
        """The newest actions, the newest first."""
        return [
            _action(row) for row in self._reader.execute(f"{LISTING} ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        ]

    def of_events(self, event_ids: Sequence[int]) -> list[Action]:
        """The newest actions that concerned one of these events, the newest first."""
        return [_action(row) for row in self._reader.execute(OF_EVENTS, (as_list(list(event_ids)),)).fetchall()]

    def states(self, event_ids: Sequence[int]) -> list[StateCount]:
        """How many of these events are in each state now. Deleted events are not counted."""
        rows = self._reader.execute(STATES, {"events": as_list(list(event_ids)), "discarded": DISCARDED}).fetchall()
        return [
            StateCount(state=EventState(state), waits=bool(waits), discarded=bool(discarded), count=count)
            for state, waits, discarded, count in rows
        ]

    def lines(self, event_ids: Sequence[int], limit: int) -> list[EventNow]:
        """These events as they are now, those that failed first."""
        rows = self._reader.execute(LINES, {"events": as_list(list(event_ids)), "limit": limit}).fetchall()
        return [
            EventNow(
                event_id=event_id,
                state=EventState(state),
                reason=Reason(reason) if reason else None,
                detail=detail,
                sink=sink,
                code=code,
            )
            for event_id, state, reason, detail, sink, code in rows
        ]


def _action(row: tuple[int, int, str, str]) -> Action:
    action_id, at, who, words = row
    return Action(id=action_id, at=moment(at), who=who, words=words)
