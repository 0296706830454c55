"""Finding events: by state, time, provider, keyword, action, rule, text and number.

A search may read millions of rows, so it has a connection of its own and runs in a thread.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct

from connector.model.states import EventState
from connector.store.database import open_reader
from connector.store.inbox import STORED, StoredEvent, stored_event
from connector.store.sql import as_list, micros, moment

# Events get their ids in nearly the order in which they are received. An event of this many ids before the first of a
# time may have been received later.
DISORDER = 1000
MAX_ID = 2**63 - 1
PAGE = 500  # events that are read at once
AT = "SELECT id, received_at FROM inbox WHERE id >= ? ORDER BY id LIMIT 1"
RULES_OF = """SELECT DISTINCT units.event_id, json_extract(one.value, '$.rule') AS rule FROM units INDEXED BY units_event,
    json_each(units.operations) AS one WHERE units.event_id IN (SELECT value FROM json_each(?)) AND rule <> '' ORDER BY 1, 2"""
# A rule is named in full, or by its file only. The detail of an ignored event is its rule.
NAMED = "({0} = :rule OR substr({0}, 1, length(:rule) + 2) = :rule || ': ')"
RULE = "json_extract(one.value, '$.rule')"
OF_RULE = f"""(EXISTS (SELECT 1 FROM units INDEXED BY units_event, json_each(units.operations) AS one
    WHERE units.event_id = inbox.id AND {NAMED.format(RULE)}) OR {NAMED.format("coalesce(detail, '')")})"""  # noqa: S608 - constants.

HAS_TEXT = """(CASE WHEN event IS NULL THEN instr(fold(CAST(raw AS TEXT)), fold(:text))
    ELSE instr(fold(coalesce(json_extract(event, '$.text'), '')), fold(:text)) OR instr(fold(coalesce(
        json_extract(event, '$.properties'), '') || coalesce(json_extract(event, '$.record'), '')), fold(:quoted)) END)"""


class EventFilter(Struct, frozen=True, kw_only=True):
    """Which events; a condition that is None selects all. Letter case makes no difference in keyword and action."""

    states: tuple[EventState, ...] = ()  # empty: all
    provider: str | None = None
    keyword: str | None = None
    action: str | None = None
    rule: str | None = None  # `file: rule`, or the file: it wrote something of the event, or ignored it
    phone: str | None = None  # E.164
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = (
        None  # it stands in what the person wrote, in a form or record, or in a body that could not be read
    )


class Events:
    """Finds events. Its methods block: call them in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, wanted: EventFilter, limit: int) -> list[StoredEvent]:
        """The newest events that meet all conditions, the newest first."""
        return next(self._pages(wanted, "DESC", limit), [])

    def count(self, wanted: EventFilter) -> int:
        """How many events meet all conditions."""
        with closing(open_search(self._path)) as reader:
            where, parameters = _where(wanted, reader)
            (count,) = reader.execute(f"SELECT count(*) FROM inbox WHERE {where}", parameters).fetchone()  # noqa: S608 - constants of this file.
        return int(count)

    def pages(self, wanted: EventFilter, *, newest_first: bool = False) -> Iterator[list[StoredEvent]]:
        """All events that meet the conditions in pages, oldest first unless `newest_first` is set."""
        yield from self._pages(wanted, "DESC" if newest_first else "ASC", PAGE)

    def rules_of(self, event_ids: Sequence[int]) -> dict[int, list[str]]:
        """The rules that made the operations of each event."""
        rules: dict[int, list[str]] = {}
        with closing(open_reader(self._path)) as reader:
            for event_id, rule in reader.execute(RULES_OF, (as_list(list(event_ids)),)):
                rules.setdefault(event_id, []).append(rule)
        return rules

    def _pages(self, wanted: EventFilter, order: str, size: int) -> Iterator[list[StoredEvent]]:
        with closing(open_search(self._path)) as reader:
            where, parameters = _where(wanted, reader)
            query = f"SELECT {STORED} FROM inbox WHERE {where} AND id < :before ORDER BY id {order} LIMIT :size"  # noqa: S608 - constants of this file.
            parameters |= {"before": MAX_ID, "size": size}
            rows: list[Any] = []
            while not rows or len(rows) == size:
                rows = reader.execute(query, parameters).fetchall()
                if not rows:
                    return
                yield [stored_event(row) for row in rows]
                # One bound on each side: with two, SQLite may read all rows of the pages before.
                parameters |= {"before": rows[-1][0]} if order == "DESC" else {"first": rows[-1][0] + 1}


def open_search(path: Path) -> sqlite3.Connection:
    """A connection for searches: it knows the function `fold`."""
    reader = open_reader(path)
    reader.create_function("fold", 1, _fold, deterministic=True)
    return reader


def _fold(value: str | float | None) -> str | float | None:
    return value.casefold() if isinstance(value, str) else value


def _where(wanted: EventFilter, reader: sqlite3.Connection) -> tuple[str, dict[str, Any]]:
    """The conditions of a query, and their parameters with the first id that may be meant."""
    where, parameters = conditions(wanted)
    return where, {**parameters, "first": 0 if wanted.since is None else first_since(wanted.since, reader)}


def conditions(wanted: EventFilter) -> tuple[str, dict[str, Any]]:
    """The conditions of a query, one of which is `id >= :first`, and their parameters but for that one."""
    several = ["id >= :first"]
    parameters: dict[str, Any] = {}
    if wanted.states:
        # Written out, so that SQLite sees that a partial index fits.
        several.append(f"state IN ({', '.join(repr(one.value) for one in wanted.states)})")
    for column, value in (("msisdn", wanted.phone), ("provider", wanted.provider)):
        if value is not None:
            several.append(f"{column} = :{column}")
            parameters[column] = value
    for name, value in (("keyword", wanted.keyword), ("action", wanted.action)):
        if value is not None:
            several.append(f"fold(json_extract(event, '$.{name}')) = fold(:{name})")
            parameters[name] = value
    if wanted.rule is not None:
        several.append(OF_RULE)
        parameters["rule"] = wanted.rule
    if wanted.since is not None:
        several.append("received_at >= :since")
        parameters["since"] = micros(wanted.since)
    if wanted.until is not None:
        several.append("received_at < :until")
        parameters["until"] = micros(wanted.until)
    if wanted.text is not None:
        several.append(HAS_TEXT)
        # Texts in a document are stored as JSON strings.
        parameters |= {"text": wanted.text, "quoted": orjson.dumps(wanted.text).decode()[1:-1]}
    return " AND ".join(several), parameters


def first_since(since: datetime, reader: sqlite3.Connection) -> int:
    """An id before which no event was received since then: found by halving, because the time has no index."""
    low, high = 0, reader.execute("SELECT coalesce(max(id), 0) FROM inbox").fetchone()[0] + 1
    while low < high:
        middle = (low + high) // 2
        row = reader.execute(AT, (middle,)).fetchone()
        if row is None or moment(row[1]) >= since:
            high = middle
        else:
            low = row[0] + 1
    return max(0, low - DISORDER)
