"""Lanes: units of one sink and one person, in order. Opt-outs first, then by event id. Only the head of a lane is sent.

Everything here runs inside the writer, for many lanes in one statement. The cost does not grow with the number of
waiting units.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from connector.store.sql import as_list, micros, read_rows

Lane = tuple[str, str]  # sink, lane

LANES = "WITH lane (sink, name) AS (SELECT value ->> 0, value ->> 1 FROM json_each(:lanes))"
# The first unit of the lane, whatever its state is now.
FIRST = (
    "(SELECT first.id FROM units AS first WHERE first.sink = lane.sink AND first.lane = lane.name AND first.open = 1 "
    "ORDER BY first.urgent DESC, first.event_id LIMIT 1)"
)
# The index is named because SQLite, without statistics, could choose one that reads all waiting units.
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
# A unit that is late: a newer one of its lane was sent, may have been sent, or is being sent.
MARK_LATE = """
    UPDATE units SET late = 1 WHERE id IN (SELECT value FROM json_each(:ids)) AND EXISTS (
        SELECT 1 FROM units AS newer INDEXED BY units_lane
        WHERE newer.sink = units.sink AND newer.lane = units.lane AND newer.event_id > units.event_id
        AND (newer.wrote = 1 OR newer.in_doubt = 1 OR newer.state = 'claimed'))"""
# It may be planned, or be retried as a dead letter, only after the opt-out that overtakes it.
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
    """Add units that were just stored as waiting to their lanes; `urgent` says whether one of them is."""
    ids = {"ids": as_list(unit_ids)}
    connection.execute(MARK_LATE, ids)
    connection.execute(MARK_OVERTAKEN, ids)
    if urgent:
        connection.execute(OVERTAKE, ids)
    seats = _parameters(lanes, now)
    connection.execute(DEMOTE, seats)
    connection.execute(PROMOTE, seats)


def promote(connection: sqlite3.Connection, lanes: Iterable[Lane], now: datetime) -> None:
    """Give each lane without a head one: its first unit, ready, or resting until its own delay is over.

    While a unit of a lane is claimed the lane has no head, so that the claimed unit stays ahead of everything else. If
    the clock was set back before the start of a delay, the delay ends.
    """
    connection.execute(PROMOTE, _parameters(lanes, now))


def occupied(connection: sqlite3.Connection, lanes: Iterable[Lane]) -> set[Lane]:
    """Those of the lanes that have open units."""
    return {(sink, name) for sink, name in read_rows(connection, OCCUPIED, {"lanes": as_list(list(set(lanes)))})}


def _parameters(lanes: Iterable[Lane], now: datetime) -> dict[str, str | int]:
    return {"lanes": as_list(list(set(lanes))), "now": micros(now)}
