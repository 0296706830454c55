"""Lanes: units of one sink and one person, in order. An opt-out first, then by event id; one head, nothing waits for time but it.

Everything here runs inside the writer, for many lanes in one statement, and costs the same however many units wait.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from connector.store.sql import as_list, read_rows
from connector.store.timestamps import micros

Lane = tuple[str, str]  # sink, lane

LANES = "WITH lane (sink, name) AS (SELECT value ->> 0, value ->> 1 FROM json_each(:lanes))"
# Who comes first in the lane, whatever its state is now.
FIRST = (
    "(SELECT first.id FROM units AS first WHERE first.sink = lane.sink AND first.lane = lane.name AND first.open = 1 "
    "ORDER BY first.urgent DESC, first.event_id LIMIT 1)"
)
# The index is named where SQLite, knowing no statistics, could take one that walks through all that waits.
DEMOTE = f"""{LANES}
    UPDATE units SET state = 'waiting' WHERE id IN (
        SELECT head.id FROM lane CROSS JOIN units AS head INDEXED BY units_head
        ON head.sink = lane.sink AND head.lane = lane.name AND head.state IN ('ready', 'resting')
        WHERE head.id <> {FIRST} OR EXISTS (
            SELECT 1 FROM units AS held INDEXED BY units_claimed
            WHERE held.sink = lane.sink AND held.lane = lane.name AND held.state = 'claimed'))"""  # noqa: S608 - constants of this file.
PROMOTE = f"""{LANES}
    UPDATE units SET state = CASE WHEN due_at > :now AND started_at <= :now THEN 'resting' ELSE 'ready' END
    WHERE state = 'waiting' AND id IN (
        SELECT {FIRST} FROM lane WHERE NOT EXISTS (
            SELECT 1 FROM units AS held INDEXED BY units_claimed
            WHERE held.sink = lane.sink AND held.lane = lane.name AND held.state = 'claimed'))"""  # noqa: S608 - constants of this file.
OCCUPIED = f"""{LANES}
    SELECT json_group_array(json_array(sink, name)) FROM lane WHERE {FIRST} IS NOT NULL"""  # noqa: S608 - constants of this file.
# A unit that comes in behind its time: something newer of its lane has gone out, or may have, or is going out.
MARK_LATE = """
    UPDATE units SET late = 1 WHERE id IN (SELECT value FROM json_each(:ids)) AND EXISTS (
        SELECT 1 FROM units AS newer INDEXED BY units_lane
        WHERE newer.sink = units.sink AND newer.lane = units.lane AND newer.event_id > units.event_id
        AND (newer.wrote = 1 OR newer.in_doubt = 1 OR newer.state = 'claimed'))"""
# It may be planned, or come back from the dead, only after the opt-out that overtakes it.
MARK_OVERTAKEN = """
    UPDATE units SET overtaken_by = opt_out.event_id FROM (
        SELECT mine.id, min(newer.event_id) AS event_id
        FROM json_each(:ids) AS each CROSS JOIN units AS mine ON mine.id = each.value AND mine.urgent = 0
        CROSS JOIN units AS newer INDEXED BY units_lane
        ON newer.sink = mine.sink AND newer.lane = mine.lane AND newer.event_id > mine.event_id AND newer.urgent = 1
        GROUP BY mine.id) AS opt_out
    WHERE units.id = opt_out.id"""
OVERTAKE = """
    UPDATE units SET overtaken_by = opt_out.event_id FROM (
        SELECT old.id, min(mine.event_id) AS event_id
        FROM json_each(:ids) AS each CROSS JOIN units AS mine ON mine.id = each.value AND mine.urgent = 1
        CROSS JOIN units AS old INDEXED BY units_order
        ON old.sink = mine.sink AND old.lane = mine.lane AND old.open = 1 AND old.urgent = 0
        AND old.event_id < mine.event_id AND old.overtaken_by IS NULL
        GROUP BY old.id) AS opt_out
    WHERE units.id = opt_out.id"""


def enqueue(
    connection: sqlite3.Connection, unit_ids: Sequence[int], lanes: Iterable[Lane], now: datetime, *, urgent: bool
) -> None:
    """Seat units that were just put into these lanes as waiting; `urgent` says whether one of them is."""
    ids = {"ids": as_list(unit_ids)}
    connection.execute(MARK_LATE, ids)
    connection.execute(MARK_OVERTAKEN, ids)
    if urgent:
        connection.execute(OVERTAKE, ids)
    seats = _parameters(lanes, now)
    connection.execute(DEMOTE, seats)
    connection.execute(PROMOTE, seats)


def promote(connection: sqlite3.Connection, lanes: Iterable[Lane], now: datetime) -> None:
    """Give each lane that has none a head: its first unit, ready, or resting while its own delay is not over.

    While a unit of a lane is claimed the lane has no head, so that what is in hand stays ahead of everything else. A clock that
    was set back before the start of a delay ends it.
    """
    connection.execute(PROMOTE, _parameters(lanes, now))


def occupied(connection: sqlite3.Connection, lanes: Iterable[Lane]) -> set[Lane]:
    """Those of the lanes that have open units."""
    return {(sink, name) for sink, name in read_rows(connection, OCCUPIED, {"lanes": as_list(list(set(lanes)))})}


def _parameters(lanes: Iterable[Lane], now: datetime) -> dict[str, str | int]:
    return {"lanes": as_list(list(set(lanes))), "now": micros(now)}
