"""Pages of events for people, and the numbers beside the filters. Both take a bounded time, however many events are stored.

A page is found by walking the ids from where the last page ended, in windows. What an index can tell is asked of it; for
the rest the walk ends after SEARCH_TIME, and the person may search on. Methods block: call them in a thread.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from connector.model.states import EventState
from connector.store.event_search import DISORDER, EventFilter, conditions, first_since, open_search
from connector.store.inbox import NOT_DELIVERED, PLANNABLE, STORED, StoredEvent, stored_event
from connector.store.sql import as_list, moment, read_rows

SEARCH_TIME = timedelta(milliseconds=120)
COUNT_TIME = timedelta(milliseconds=60)
COUNTED = 1000  # the most events that are read for the numbers beside the filters
WINDOW = 500  # ids that are searched first; four times as many next if that took less than QUICK
QUICK = 0.01  # seconds
OPEN = "INDEXED BY units_age WHERE sink IN (SELECT sink FROM unit_totals) AND open = 1"
PENDING = f"""id IN (SELECT id FROM inbox INDEXED BY inbox_pending WHERE {PLANNABLE} AND id >= :first AND id < :before
    UNION ALL SELECT event_id FROM questions WHERE event_id >= :first AND event_id < :before)"""  # noqa: S608 - constants.
DELIVERING = f"id IN (SELECT event_id FROM units {OPEN} AND event_id >= :first AND event_id < :before)"  # noqa: S608 - the same.
# Two queries: SQLite finds the first or the last row at once, but not both in one.
BOUNDS = "SELECT coalesce((SELECT min(id) FROM inbox), 0), coalesce((SELECT max(id) FROM inbox), 0) + 1"
RECEIVED = "SELECT received_at FROM inbox WHERE id >= ? ORDER BY id LIMIT 1"
TOTALS = (
    "SELECT state, n - coalesce((SELECT n FROM swept_totals AS s WHERE s.state = t.state), 0) FROM event_totals AS t"
)
RULES = """SELECT json_group_array(json_array(event_id, rule)) FROM (
    SELECT DISTINCT units.event_id, json_extract(one.value, '$.rule') AS rule FROM units INDEXED BY units_event,
    json_each(units.operations) AS one WHERE units.event_id IN (SELECT value FROM json_each(?)))"""


class EventPage(Struct, frozen=True, kw_only=True):
    """Events, the newest first. `older` and `newer`: the id from which the next page goes on; None if there is none.

    `searched_to` is set if the time of the search was over: when the last event was received that it looked at.
    """

    events: tuple[StoredEvent, ...]
    older: int | None
    newer: int | None
    searched_to: datetime | None


class FilterCounts(Struct, frozen=True, kw_only=True):
    """How many events each choice of a filter has, the other filters as they are."""

    states: dict[str, int]
    providers: dict[str, int]
    keywords: dict[str, int]
    rules: dict[str, int]
    all_states: bool  # the numbers of the states are of all stored events, and not of the newest COUNTED
    counted: int  # of how many events the other numbers are
    more: bool  # there are more events than were counted


class _Seen(Struct, frozen=True, kw_only=True):
    """An event that is counted."""

    state: str
    provider: str
    keyword: str | None
    is_wanted: bool  # text and action allow it
    rules: tuple[str, ...]  # that wrote something of it, or ignored it


class EventPages:
    """Finds pages of events. `clock` gives seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock

    def page(
        self, wanted: EventFilter, limit: int, *, before: int | None = None, after: int | None = None
    ) -> EventPage:
        """The newest events that meet all conditions; with `before` those of lower ids, with `after` the next of higher ids."""
        with closing(open_search(self._path)) as reader:
            low, high = _bounds(wanted, reader)
            if after is not None:
                return self._newer(reader, wanted, limit, max(low, after + 1), high)
            rows: list[Any] = []
            reached = high if before is None else min(high, before)
            for first, end in self._windows(low, reached, SEARCH_TIME, downwards=True):
                rows += _rows(reader, wanted, first, end, limit + 1 - len(rows), "DESC")
                reached = first
                if len(rows) > limit:
                    break
            events = tuple(stored_event(row) for row in rows[:limit])
            newer = None if before is None else events[0].id if events else before - 1
            if len(rows) > limit:
                return EventPage(events=events, older=events[-1].id, newer=newer, searched_to=None)
            searched_to = _received(reader, reached) if low < reached else None
            return EventPage(
                events=events, older=reached if searched_to else None, newer=newer, searched_to=searched_to
            )

    def _newer(self, reader: sqlite3.Connection, wanted: EventFilter, limit: int, low: int, high: int) -> EventPage:
        """The next newer events; what is older is there already."""
        rows: list[Any] = []
        reached = low
        for first, end in self._windows(low, high, SEARCH_TIME, downwards=False):
            rows += _rows(reader, wanted, first, end, limit + 1 - len(rows), "ASC")
            reached = end
            if len(rows) > limit:
                break
        events = tuple(stored_event(row) for row in reversed(rows[:limit]))
        older = events[-1].id if events else low
        if len(rows) > limit:
            return EventPage(events=events, older=older, newer=events[0].id, searched_to=None)
        searched_to = _received(reader, reached) if reached < high else None
        return EventPage(
            events=events, older=older, newer=reached - 1 if searched_to else None, searched_to=searched_to
        )

    def _windows(self, low: int, high: int, most: timedelta, *, downwards: bool) -> Iterator[tuple[int, int]]:
        """Parts of the ids from `low` to below `high`, one after another, until the time is over."""
        ends, size = self._clock() + most.total_seconds(), WINDOW
        while low < high and (began := self._clock()) < ends:
            if downwards:
                first, end = max(low, high - size), high
                high = first
            else:
                first, end = low, min(high, low + size)
                low = end
            yield first, end
            size *= 4 if self._clock() - began < QUICK else 1

    def counts(self, wanted: EventFilter) -> FilterCounts:
        """The numbers beside the filters: among the newest COUNTED events of the state, the time and the person."""
        with closing(open_search(self._path)) as reader:
            seen, more = self._seen(reader, wanted)
            exact = replace(wanted, states=()) == EventFilter()
            if exact:
                states = {state: n for state, n in reader.execute(TOTALS) if n > 0 and state != "received"}
            else:
                anyhow = self._seen(reader, replace(wanted, states=()))[0] if wanted.states else seen
                states = Counter(one.state for one in _fitting(anyhow, wanted, but="state"))
            rules = Counter(rule for one in _fitting(seen, wanted, but="rule") for rule in one.rules)
            return FilterCounts(
                states=dict(states),
                providers=dict(Counter(one.provider for one in _fitting(seen, wanted, but="provider"))),
                keywords=dict(
                    Counter(one.keyword for one in _fitting(seen, wanted, but="keyword") if one.keyword is not None)
                ),
                rules=dict(rules),
                all_states=exact,
                counted=len(seen),
                more=more,
            )

    def _seen(self, reader: sqlite3.Connection, wanted: EventFilter) -> tuple[list[_Seen], bool]:
        """The newest events of the state, the time and the person, and whether there are more."""
        base = EventFilter(states=wanted.states, phone=wanted.phone, since=wanted.since, until=wanted.until)
        where, parameters = conditions(base)
        rest, others = conditions(EventFilter(text=wanted.text, action=wanted.action))
        newest = f"""SELECT id, state, provider, json_extract(event, '$.keyword') AS keyword, detail, {rest} AS is_wanted
            FROM inbox {_source(base)} AND {where} AND id < :before ORDER BY id DESC LIMIT :size"""  # noqa: S608 - constants.
        query = f"SELECT json_group_array(json_array(id, state, provider, keyword, detail, is_wanted)) FROM ({newest})"  # noqa: S608 - the same.
        parameters = {**parameters, **others}
        low, high = _bounds(base, reader)
        rows: list[Any] = []
        for first, end in self._windows(low, high, COUNT_TIME, downwards=True):
            part = {**parameters, "first": first, "before": end, "size": COUNTED - len(rows)}
            rows += read_rows(reader, query, part)
            high = first
            if len(rows) >= COUNTED:
                break
        rules: dict[int, list[str]] = {row[0]: [row[4]] for row in rows if row[1] == EventState.IGNORED and row[4]}
        for event_id, rule in read_rows(reader, RULES, (as_list([row[0] for row in rows]),)):
            if rule:
                rules.setdefault(event_id, []).append(rule)
        seen = [
            _Seen(
                state=state,
                provider=provider,
                keyword=keyword,
                is_wanted=bool(is_wanted),
                rules=tuple(rules.get(event_id, ())),
            )
            for event_id, state, provider, keyword, _, is_wanted in rows
        ]
        return seen, low < high


def _fitting(seen: list[_Seen], wanted: EventFilter, *, but: str) -> list[_Seen]:
    """Those that meet all conditions, but for one."""
    states = {one.value for one in wanted.states}
    keyword = wanted.keyword.casefold() if wanted.keyword is not None else None
    return [
        one
        for one in seen
        if one.is_wanted
        and (but == "state" or not states or one.state in states)
        and (but == "provider" or wanted.provider in (None, one.provider))
        and (but == "keyword" or keyword is None or (one.keyword is not None and one.keyword.casefold() == keyword))
        and (but == "rule" or wanted.rule is None or any(_is_of(rule, wanted.rule) for rule in one.rules))
    ]


def _is_of(rule: str, named: str) -> bool:
    """Whether a rule is the named one, or of the named file."""
    return rule == named or rule.startswith(f"{named}: ")


def _bounds(wanted: EventFilter, reader: sqlite3.Connection) -> tuple[int, int]:
    """The ids that may be meant: from the first to below the second."""
    low, high = reader.execute(BOUNDS).fetchone()
    if wanted.since is not None:
        low = max(low, first_since(wanted.since, reader))
    if wanted.until is not None:
        high = min(high, first_since(wanted.until, reader) + 2 * DISORDER)
    return low, high


def _received(reader: sqlite3.Connection, event_id: int) -> datetime | None:
    row = reader.execute(RECEIVED, (event_id,)).fetchone()
    return moment(row[0]) if row else None


def _source(wanted: EventFilter) -> str:
    """The index by which SQLite reads the events, and WHERE with the condition that leads to it."""
    if wanted.phone is not None:
        return "INDEXED BY inbox_phone WHERE TRUE"
    match wanted.states:
        case (EventState.PENDING,):
            return f"WHERE {PENDING}"
        case (EventState.DELIVERING,):
            return f"WHERE {DELIVERING}"
        case (EventState.DEAD,):
            return "INDEXED BY inbox_dead_newest WHERE state = 'dead'"
        case (one,) if one is not EventState.DELIVERED:
            return f"{NOT_DELIVERED} AND state = '{one.value}'"
        case _:
            return "NOT INDEXED WHERE TRUE"


def _rows(reader: sqlite3.Connection, wanted: EventFilter, first: int, before: int, size: int, order: str) -> list[Any]:
    where, parameters = conditions(wanted)
    query = f"SELECT {STORED} FROM inbox {_source(wanted)} AND {where} AND id < :before ORDER BY id {order} LIMIT :size"  # noqa: S608 - constants.
    return reader.execute(query, {**parameters, "first": first, "before": before, "size": size}).fetchall()
