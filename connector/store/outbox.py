"""The outbox: units on their way to the sinks. Claiming costs the same however many units wait or rest."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from connector.consent.guard import without_consent
from connector.model.operation import Operation, RecordWrite
from connector.model.states import UnitState
from connector.store.documents import (
    done_from_json,
    operations_from_json,
    unplanned_from_json,
)
from connector.store.lanes import promote
from connector.store.settle import park, settle
from connector.store.sql import as_list, micros, moment, read_rows
from connector.store.units import Settlement, Unit, Written
from connector.store.writer import Writer

# Due: the delay is over, or the clock was set back before its start. It selects all opt-outs, and of the others as many
# as one claim takes.
WAKE = """UPDATE units SET state = 'ready' WHERE id IN (
    SELECT id FROM units INDEXED BY units_due WHERE sink = :sink AND state = 'resting' AND urgent = 1 AND due_at <= :now
    UNION ALL
    SELECT id FROM units INDEXED BY units_started WHERE sink = :sink AND state = 'resting' AND urgent = 1 AND started_at > :now
    UNION ALL
    SELECT id FROM (SELECT id FROM units INDEXED BY units_due
        WHERE sink = :sink AND state = 'resting' AND urgent = 0 AND due_at <= :now ORDER BY due_at LIMIT :limit)
    UNION ALL
    SELECT id FROM (SELECT id FROM units INDEXED BY units_started
        WHERE sink = :sink AND state = 'resting' AND urgent = 0 AND started_at > :now LIMIT :limit))"""
LANE_HEADS = """SELECT json_group_array(json_array(id, lane, urgent, size)) FROM (
    SELECT id, lane, urgent, size FROM units INDEXED BY units_ready
    WHERE sink = :sink AND state = 'ready' AND urgent >= :least ORDER BY urgent DESC, event_id LIMIT :limit)"""
NEXT_IN_LANES = """SELECT json_group_array(json_array(
    head.id, -unit.urgent, unit.event_id, unit.id, unit.lane, unit.size, unit.due_at > :now AND unit.started_at <= :now))
    FROM json_each(:lanes) AS head
    CROSS JOIN units AS unit ON unit.id IN (
        SELECT next.id FROM units AS next INDEXED BY units_order
        WHERE next.sink = :sink AND next.lane = head.value AND next.open = 1 AND next.state = 'waiting'
        AND next.urgent >= :least
        ORDER BY next.urgent DESC, next.event_id LIMIT :each)"""
# Units in doubt together are sent together again: the older one alone could undo the newer. Opt-outs are separate.
SENT_TOGETHER = """WITH doubt (lane, urgent, last) AS (
        SELECT lane, urgent, max(event_id) FROM units INDEXED BY units_doubt
        WHERE sink = :sink AND in_doubt = 1 AND state = 'waiting' GROUP BY lane, urgent)
    SELECT json_group_array(json_array(unit.id, unit.lane, unit.urgent, unit.size)) FROM doubt
    CROSS JOIN units AS unit INDEXED BY units_order
    ON unit.sink = :sink AND unit.lane = doubt.lane AND unit.open = 1 AND unit.urgent = doubt.urgent
    AND unit.event_id <= doubt.last WHERE unit.state = 'waiting'"""
TAKE = """UPDATE units SET state = 'claimed', claim = :start, first_try_at = coalesce(first_try_at, :now),
    started_at = NULL, due_at = NULL WHERE id IN (SELECT value FROM json_each(:ids))"""
CLAIMED_UNITS = """SELECT json_group_array(json_array(unit.id, unit.event_id, inbox.key, unit.lane, unit.operations, unit.done,
    unit.attempts, unit.urgent, unit.overtaken_by, unit.late, unit.in_doubt, inbox.received_at, unit.first_try_at,
    unit.unmade))
    FROM json_each(?) AS each CROSS JOIN units AS unit ON unit.id = each.value
    CROSS JOIN inbox ON inbox.id = unit.event_id"""
NEWER = """SELECT json_group_array(json_array(event_id, operations, done, state)) FROM units INDEXED BY units_lane
    WHERE sink = ? AND lane = ? AND event_id > ? AND wrote = 1"""
PERHAPS_DONE = "the connector was stopped while this was sent: check whether it was done, then release or discard it"
# Units with a call that must not be made twice (`once` of SinkCall). Inside a text the quotes would be escaped.
ONCE = """SELECT id, event_id, sink, lane FROM units INDEXED BY units_claimed
    WHERE state = 'claimed' AND {} AND instr(operations, '"once":true') > 0"""
RELEASE = """UPDATE units INDEXED BY units_claimed SET state = 'waiting', in_doubt = 1, claim = NULL
    WHERE state = 'claimed' AND {} RETURNING sink, lane"""
OF_OTHER_STARTS, OF_THIS_NAME = "substr(claim, 1, length(?1)) <> ?1", "claim = ?1"
CLAIMS = "SELECT claim, count(*) FROM units INDEXED BY units_claimed WHERE state = 'claimed' GROUP BY claim"
CLAIMED_BY = """SELECT id FROM units INDEXED BY units_claimed WHERE state = 'claimed' AND claim = ?
    ORDER BY urgent DESC, event_id"""
GIVE_BACK = """UPDATE units SET state = 'waiting', claim = NULL
    WHERE state = 'claimed' AND id IN (SELECT value FROM json_each(?)) RETURNING sink, lane"""
DOUBTFUL = """SELECT id, event_id, lane, operations, done FROM units INDEXED BY units_doubt WHERE sink = :sink AND in_doubt = 1
    UNION ALL
    SELECT id, event_id, lane, operations, done FROM units INDEXED BY units_claimed
    WHERE sink = :sink AND state = 'claimed' AND in_doubt = 0"""
CLEARING = """SELECT operations, done, first_try_at FROM units INDEXED BY units_doubt WHERE sink = :sink AND in_doubt = 1
    AND first_try_at IS NOT NULL AND instr(operations, '"clears_flag":true') > 0"""
NEXT_DUE = """SELECT min(due_at), max(started_at) FROM (
    SELECT min(due_at) AS due_at, NULL AS started_at FROM units INDEXED BY units_due
        WHERE sink = :sink AND state = 'resting' AND urgent = 0
    UNION ALL SELECT min(due_at), NULL FROM units INDEXED BY units_due
        WHERE sink = :sink AND state = 'resting' AND urgent = 1
    UNION ALL SELECT NULL, max(started_at) FROM units INDEXED BY units_started
        WHERE sink = :sink AND state = 'resting' AND urgent = 0
    UNION ALL SELECT NULL, max(started_at) FROM units INDEXED BY units_started
        WHERE sink = :sink AND state = 'resting' AND urgent = 1)"""


class Outbox:
    """Claims and settles units, and reads the outbox."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def claim(self, sink: str, limit: int, claim: str, now: datetime, *, only_urgent: bool = False) -> list[Unit]:
        """Claim units with up to `limit` operations, opt-outs first (or alone), then the oldest; within a lane in its order.

        A unit with more operations than that comes alone, and so does a run of units in doubt together. `claim` names
        who takes them, and begins with the id of this start of the process: claims of another start are free
        (free_claims).
        """

        def work(connection: sqlite3.Connection) -> tuple[list[Any], dict[int, dict[Written, Any]]]:
            ids = _claim_units(connection, sink, limit, claim, now, int(only_urgent))
            rows = read_rows(connection, CLAIMED_UNITS, (as_list(ids),)) if ids else []
            outdated = [(row[0], row[1], row[3]) for row in rows if _may_be_outdated(row)]
            return rows, _written_by_newer_units(connection, sink, outdated)

        rows, newer = await self._writer.run(work)
        units = [_unit(sink, row, newer.get(row[0], {}), now) for row in rows]
        return sorted(units, key=lambda unit: (not unit.urgent, unit.event_id))

    async def free_claims(self, start_id: str, now: datetime) -> int:
        """Put back, in doubt, what earlier starts left claimed; returns how many units there were."""
        return await self._put_back_in_doubt(OF_OTHER_STARTS, start_id, now)

    async def release(self, claim: str, now: datetime) -> int:
        """Put back, in doubt, what is claimed under this name; returns how many units there were."""
        return await self._put_back_in_doubt(OF_THIS_NAME, claim, now)

    def claims(self) -> dict[str, int]:
        """The names under which units are claimed, and how many units each has."""
        return dict(self._reader.execute(CLAIMS).fetchall())

    def claimed_by(self, claim: str) -> list[int]:
        """The ids of the units that are claimed under this name, in their order."""
        return [unit_id for (unit_id,) in self._reader.execute(CLAIMED_BY, (claim,))]

    async def give_back(self, units: Sequence[Unit], now: datetime) -> None:
        """Put back what was claimed and has not been sent."""
        await self._put_back(GIVE_BACK, as_list([unit.id for unit in units]), now)

    async def _put_back_in_doubt(self, claims: str, name: str, now: datetime) -> int:
        """Put units back. Those with a call that must not be made twice are parked: a person decides."""

        def work(connection: sqlite3.Connection) -> int:
            once = connection.execute(ONCE.format(claims), (name,)).fetchall()
            if once:
                park(connection, [(unit_id, event_id) for unit_id, event_id, *_ in once], PERHAPS_DONE, now)
            lanes = [*connection.execute(RELEASE.format(claims), (name,)).fetchall(), *(one[2:] for one in once)]
            promote(connection, lanes, now)
            return len(lanes)

        return await self._writer.run(work)

    async def _put_back(self, statement: str, which: str, now: datetime) -> int:
        def work(connection: sqlite3.Connection) -> int:
            lanes = connection.execute(statement, (which,)).fetchall()
            promote(connection, lanes, now)
            return len(lanes)

        return await self._writer.run(work)

    async def settle(self, settlements: Sequence[Settlement], *, now: datetime) -> None:
        """Store what became of claimed units, all or none; see settle.py."""
        await self._writer.run(lambda connection: settle(connection, settlements, now))

    def counts(self, sink: str) -> dict[UnitState, int]:
        """The sink's units by state."""
        rows = self._reader.execute("SELECT state, n FROM unit_totals WHERE sink = ?", (sink,)).fetchall()
        return dict.fromkeys(UnitState, 0) | {UnitState(state): n for state, n in rows}

    def oldest(self, sink: str) -> datetime | None:
        """When the event of the sink's oldest open unit was received."""
        row = self._reader.execute(
            "SELECT inbox.received_at FROM units INDEXED BY units_age JOIN inbox ON inbox.id = units.event_id "
            "WHERE units.sink = ? AND units.open = 1 ORDER BY units.event_id LIMIT 1",
            (sink,),
        ).fetchone()
        return moment(row[0]) if row else None

    def next_due(self, sink: str, now: datetime) -> timedelta | None:
        """How long until a unit of the sink can be claimed: zero for now, None if none is ready or resting."""
        ready = self._reader.execute(
            "SELECT 1 FROM units INDEXED BY units_ready WHERE sink = ? AND state = 'ready' LIMIT 1", (sink,)
        ).fetchone()
        due_at, started_at = self._reader.execute(NEXT_DUE, {"sink": sink}).fetchone()
        if ready or (started_at is not None and started_at > micros(now)):
            return timedelta(0)
        return max(moment(due_at) - now, timedelta(0)) if due_at is not None else None


def in_doubt_writes(connection: sqlite3.Connection, crm: str, name: str) -> tuple[tuple[str, RecordWrite], ...]:
    """Writes to records of the object that are under way, or were tried and may have been done, each with its lane."""
    units = [(*unit, done_from_json(done)) for *unit, done in connection.execute(DOUBTFUL, {"sink": crm}).fetchall()]
    newer = _written_by_newer_units(
        connection, crm, [(unit_id, event_id, lane) for unit_id, event_id, lane, _, done in units if done]
    )
    return tuple(
        (lane, operation)
        for unit_id, _, lane, text, done in units
        for _, operation in _still_to_send(operations_from_json(text), done, newer.get(unit_id, {}))
        if isinstance(operation, RecordWrite) and operation.object == name
    )


def clearing_in_doubt(connection: sqlite3.Connection, crm: str, name: str) -> tuple[tuple[RecordWrite, datetime], ...]:
    """Writes that clear a flag of the object and may have been done, each with the time of its first attempt."""
    return tuple(
        (operation, moment(tried_at))
        for text, done, tried_at in connection.execute(CLEARING, {"sink": crm}).fetchall()
        for _, operation in _still_to_send(operations_from_json(text), done_from_json(done), {})
        if isinstance(operation, RecordWrite) and operation.object == name and operation.clears_flag
    )


def _claim_units(
    connection: sqlite3.Connection, sink: str, limit: int, start: str, now: datetime, least: int
) -> list[int]:
    parameters = {"sink": sink, "limit": limit, "now": micros(now), "least": least}
    connection.execute(WAKE, parameters)
    first_units = read_rows(connection, LANE_HEADS, parameters)
    bound = _sent_with_head(connection, sink) if first_units else {}
    room = limit
    lanes: list[str] = []
    ids: list[int] = []
    for unit_id, lane, urgent, size in first_units:
        several = [(unit_id, size), *bound.get((lane, urgent), ())]
        whole = sum(size for _, size in several)
        if ids and whole > room:
            break
        ids += [each for each, _ in several]
        room -= whole
        # A run in doubt that follows an opt-out is not claimed in part.
        if not urgent or (lane, 0) not in bound:
            lanes.append(lane)
    _mark_claimed(connection, ids, start, now)
    if lanes and room > 0:
        behind = read_rows(
            connection, NEXT_IN_LANES, parameters | {"lanes": as_list(lanes), "each": -(-room // len(lanes))}
        )
        fitting = _next_in_lanes(behind, room)
        _mark_claimed(connection, fitting, start, now)
        ids += fitting
    return ids


def _sent_with_head(connection: sqlite3.Connection, sink: str) -> dict[tuple[str, int], list[tuple[int, int]]]:
    """The units (id, size) that are sent with the head of their lane in any case, by lane and urgency."""
    bound: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for unit_id, lane, urgent, size in read_rows(connection, SENT_TOGETHER, {"sink": sink}):
        bound.setdefault((lane, urgent), []).append((unit_id, size))
    return bound


def _mark_claimed(connection: sqlite3.Connection, ids: Sequence[int], start_id: str, now: datetime) -> None:
    if ids:
        connection.execute(TAKE, {"start": start_id, "now": micros(now), "ids": as_list(list(ids))})


def _next_in_lanes(behind: Iterable[list[Any]], room: int) -> list[int]:
    """Units after claimed first units, while there is room; none after one of its lane that does not fit, or has to rest."""
    ids: list[int] = []
    full: set[str] = set()
    # An aggregate guarantees no order, so it is sorted here: by head, then the order of the lane.
    for *_, unit_id, lane, size, resting in sorted(behind):
        if lane in full or resting or size > room:
            full.add(lane)
            continue
        room -= size
        ids.append(unit_id)
    return ids


def _written_by_newer_units(
    connection: sqlite3.Connection, sink: str, units: Iterable[tuple[int, int, str]]
) -> dict[int, dict[Written, Any]]:
    """By unit: what newer units of its lane have written, with the latest value of each field.

    `units` are given by id, event id and lane.
    """
    lanes: dict[str, list[tuple[int, int]]] = {}
    for unit_id, event_id, lane in units:
        lanes.setdefault(lane, []).append((unit_id, event_id))
    newer: dict[int, dict[Written, Any]] = {}
    for lane, several in lanes.items():
        oldest = min(event_id for _, event_id in several)
        # An aggregate guarantees no order, so it is sorted here.
        written = [
            (event_id, fields)
            for event_id, text, done, state in sorted(read_rows(connection, NEWER, (sink, lane, oldest)))
            for fields in _written(text, None if state == UnitState.DELIVERED else done_from_json(done))
        ]
        for unit_id, own_event_id in several:
            newer[unit_id] = dict(fields for event_id, fields in written if event_id > own_event_id)
    return newer


def _may_be_outdated(row: Sequence[Any]) -> bool:
    """Whether something newer may have been written: the unit was overtaken, is late, or was delivered in part."""
    return row[8] is not None or bool(row[9]) or bool(done_from_json(row[5]))


def _written(text: str, only: frozenset[int] | None) -> Iterator[tuple[Written, Any]]:
    for index, operation in enumerate(operations_from_json(text)):
        if only is None or index in only:
            name, key_field, key = operation.record
            fields = operation.set if isinstance(operation, RecordWrite) else {"": None}
            for field, value in fields.items():
                yield Written(object=name, key_field=key_field, key=key, field=field), value


def _delivered_parents(
    planned: Sequence[Operation],
    delivered: Iterable[int],
    left: Iterable[tuple[int, Operation]],
    newer: Mapping[Written, Any],
) -> Iterator[tuple[int, Operation]]:
    """Delivered writes that are sent again with what is left of their unit, because a child needs its parent.

    It may know it only through a match. And a parent that was deleted since is made again, with the latest values; one
    that is there stays as it is. What they said about consent is not sent again, because a newer decision may apply.
    """
    children = [one for _, one in left if isinstance(one, RecordWrite)]
    parents = {(way.key_field, way.key) for child in children for one in child.parents for way in one.ways}
    for index in delivered:
        one = planned[index]
        if not isinstance(one, RecordWrite):
            continue
        if one.match is not None:
            yield index, without_consent(one)
        elif one.may_create and (one.key_field, one.key) in parents:
            kept, (name, key_field, key) = without_consent(one), one.record
            latest = {
                field: newer.get(Written(object=name, key_field=key_field, key=key, field=field), value)
                for field, value in kept.set.items()
            }
            yield index, replace(kept, create={**kept.create, **latest}, set={})


def _still_to_send(
    planned: Sequence[Operation], delivered: frozenset[int], newer: Mapping[Written, Any]
) -> list[tuple[int, Operation]]:
    """The operations of a unit that are sent now, with their positions."""
    left = [(index, one) for index, one in enumerate(planned) if index not in delivered]
    return (
        sorted([*left, *_delivered_parents(planned, delivered, left, newer)], key=itemgetter(0)) if delivered else left
    )


def _unit(sink: str, row: Sequence[Any], newer: Mapping[Written, Any], claimed_at: datetime) -> Unit:
    (
        unit_id, event_id, key, lane, operations, done, attempts, urgent, overtaken_by, late, in_doubt, received, first_try, unplanned,
    ) = row  # fmt: skip
    left = _still_to_send(operations_from_json(operations), done_from_json(done), newer)
    return Unit(
        id=unit_id,
        event_id=event_id,
        event_key=key,
        sink=sink,
        lane=lane,
        operations=tuple(each for _, each in left),
        indexes=tuple(index for index, _ in left),
        attempts=attempts,
        urgent=bool(urgent),
        overtaken_by=overtaken_by,
        late=bool(late),
        in_doubt=bool(in_doubt),
        received_at=moment(received),
        first_try_at=moment(first_try),
        tried=first_try != micros(claimed_at),
        newer=tuple(newer),
        unplanned=unplanned_from_json(unplanned),
    )
