"""Settling: a sink's answers become the state of units, lanes, events, shadows and the ledger, in one transaction."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from connector.model.consent import Phase
from connector.model.states import OPEN_UNITS, EventState, UnitState, event_state
from connector.store import consents
from connector.store.agreements import change_amounts
from connector.store.change_notices import add_notices
from connector.store.documents import done_from_json, done_to_json, operations_from_json, operations_to_json
from connector.store.lanes import promote
from connector.store.links import unlink_key
from connector.store.records import write_links, write_shadows
from connector.store.sql import MICROSECOND, as_list, execute_rows, micros, read_rows
from connector.store.units import Settlement

SETTLED = frozenset({UnitState.DELIVERED, UnitState.DEAD, UnitState.RESTING, UnitState.READY})
CLAIMED = """SELECT json_group_array(json_array(id, event_id, sink, lane, done, size, wrote, alone))
    FROM units WHERE id IN (SELECT value FROM json_each(?)) AND state = 'claimed'"""
SETTLE = """WITH new (id, state, open, reason, detail, started_at, due_at, spent, done, size, wrote, in_doubt, settled_at)
    AS (VALUES {rows})
    UPDATE units SET state = new.state, open = new.open, reason = new.reason, detail = new.detail,
        started_at = new.started_at, due_at = new.due_at, attempts = units.attempts + new.spent, done = new.done, size = new.size,
        wrote = new.wrote, in_doubt = new.in_doubt OR (new.open AND units.in_doubt), settled_at = new.settled_at, claim = NULL
    FROM new WHERE units.id = new.id"""
UNITS_OF = """SELECT json_group_array(json_array(event_id, state, reason, detail)) FROM units INDEXED BY units_event
    WHERE event_id IN (SELECT value FROM json_each(?))"""
MOVE = """WITH new (id, state, reason, detail) AS (VALUES {rows})
    UPDATE inbox SET state = new.state, reason = new.reason, detail = coalesce(new.detail, inbox.detail)
    FROM new WHERE inbox.id = new.id AND inbox.state <> 'pending' AND (inbox.state <> new.state OR inbox.reason IS NOT new.reason)"""

PARK = """UPDATE units SET state = 'dead', open = 0, in_doubt = 1, reason = 'needs_person', detail = ?, claim = NULL,
    started_at = NULL, due_at = NULL, settled_at = ? WHERE id IN (SELECT value FROM json_each(?))"""

EventStateChange = tuple[EventState, str | None, str | None]  # state, reason, detail


def settle(connection: sqlite3.Connection, settlements: Sequence[Settlement], now: datetime) -> None:
    """Store what became of claimed units. Runs inside the writer; raises ValueError for a unit that is not claimed."""
    units = {row[0]: row for row in read_rows(connection, CLAIMED, (as_list([each.unit_id for each in settlements]),))}
    if len(units) != len(settlements):
        strange = sorted({each.unit_id for each in settlements} - units.keys())
        raise ValueError(f"not claimed, or settled twice: units {strange}")
    execute_rows(connection, SETTLE, [_unit_row(each, units[each.unit_id], now) for each in settlements])
    for each in settlements:
        if each.partly_delivered:
            _keep_partly_delivered(connection, each)
    _record_cause(connection, settlements)
    _drop_priority(connection, settlements)
    promote(connection, {(unit[2], unit[3]) for unit in units.values()}, now)
    changes, shared = _event_changes(settlements, units)
    move_events(connection, changes | event_states(connection, shared))
    for each in settlements:
        for gone in each.unlinked:
            unlink_key(connection, gone.crm, gone.object, gone.key_field, gone.key)
    for crm, name, record_id in write_shadows(
        connection, (shadow for each in settlements for shadow in each.shadows), now
    ):
        add_notices(connection, crm, name, [record_id])
    write_links(connection, (link for each in settlements for link in each.links))
    if amounts := [amount for each in settlements for amount in each.amounts]:
        change_amounts(connection, amounts)
    _update_obligations(connection, settlements, units, now)


def _event_changes(
    settlements: Sequence[Settlement], units: Mapping[int, Sequence[Any]]
) -> tuple[dict[int, EventStateChange], set[int]]:
    """The new states of events that have one unit, and the ids of those that have several."""
    changes: dict[int, EventStateChange] = {}
    shared: set[int] = set()
    for each in settlements:
        _, event_id, *_, alone = units[each.unit_id]
        if not alone:
            shared.add(event_id)
        elif each.state is UnitState.DELIVERED:
            changes[event_id] = (EventState.DELIVERED, None, None)
        elif each.state is UnitState.DEAD:
            changes[event_id] = (EventState.DEAD, each.reason, each.detail)
    return changes, shared


def _keep_partly_delivered(connection: sqlite3.Connection, settlement: Settlement) -> None:
    """Record that the consent fields of some operations are delivered. The rest replaces the operations; what was done comes last."""
    text, done_text = connection.execute(
        "SELECT operations, done FROM units WHERE id = ?", (settlement.unit_id,)
    ).fetchone()
    operations, done = list(operations_from_json(text)), set(done_from_json(done_text))
    for one in settlement.partly_delivered:
        if one.rest is None:
            operations[one.index] = one.done
            continue
        operations[one.index] = one.rest
        done.add(len(operations))
        # It is done: no match is searched for it again.
        operations.append(replace(one.done, match=None))
    connection.execute(
        "UPDATE units SET operations = ?, done = ?, wrote = 1 WHERE id = ?",
        (operations_to_json(operations), done_to_json(done), settlement.unit_id),
    )


def _record_cause(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> None:
    """Store whose operation a dead letter is, and the sink's own code: dead letters are grouped by them."""
    dead = [(each.unit_id, each.rule, each.code) for each in settlements if each.state is UnitState.DEAD]
    execute_rows(connection, "INSERT OR REPLACE INTO causes (unit_id, rule, code) VALUES {rows}", dead)


def _drop_priority(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> None:
    """Make the rest of an opt-out normal when its consent part is done: a newer opt-out must be able to pass it."""
    without_priority = [each.unit_id for each in settlements if each.state is UnitState.RESTING and each.confirmations]
    if without_priority:
        connection.execute(
            "UPDATE units SET urgent = 0 WHERE id IN (SELECT value FROM json_each(?))", (as_list(without_priority),)
        )


def event_states(connection: sqlite3.Connection, event_ids: Iterable[int]) -> dict[int, EventStateChange]:
    """The states of events that follow from the states of all their units."""
    states: dict[int, list[UnitState]] = {}
    worst: dict[int, tuple[str | None, str | None]] = {}
    wanted = list(event_ids)
    for event_id, state, reason, detail in read_rows(connection, UNITS_OF, (as_list(wanted),)) if wanted else ():
        states.setdefault(event_id, []).append(UnitState(state))
        if state == UnitState.DEAD:
            worst[event_id] = (reason, detail)
    return {event_id: (event_state(units), *worst.get(event_id, (None, None))) for event_id, units in states.items()}


def move_events(connection: sqlite3.Connection, changes: dict[int, EventStateChange]) -> None:
    """Store the states of events that have units."""
    execute_rows(
        connection,
        MOVE,
        [(event_id, state.value, reason, detail) for event_id, (state, reason, detail) in changes.items()],
    )


def _unit_row(settlement: Settlement, unit: Sequence[Any], now: datetime) -> tuple[Any, ...]:
    unit_id, _, _, _, done_text, size, wrote, _ = unit
    state = settlement.state
    if state not in SETTLED:
        raise ValueError(f"a unit is never settled as {state}")
    if state is UnitState.RESTING and settlement.delay is None:
        raise ValueError("a unit that rests needs a delay")
    done = done_from_json(done_text)
    done_now = done | frozenset(settlement.done)
    delivered = state is UnitState.DELIVERED
    delay = settlement.delay if state is UnitState.RESTING else None
    at = micros(now)
    is_open = state in OPEN_UNITS
    return (
        unit_id,
        # The lane's head is chosen afterwards, for the whole lane.
        UnitState.WAITING.value if is_open else state.value,
        int(is_open),
        settlement.reason.value if settlement.reason else None,
        settlement.detail,
        None if delay is None else at,
        None if delay is None else at + delay // MICROSECOND,
        int(settlement.counts_attempt),
        done_to_json(done_now),
        size - len(done_now - done),
        int(delivered or wrote or bool(done_now)),
        int(settlement.in_doubt and not delivered),
        None if is_open else at,
    )


def _update_obligations(
    connection: sqlite3.Connection, settlements: Sequence[Settlement], units: dict[int, Any], now: datetime
) -> None:
    at = micros(now)
    answers: list[consents.Answer] = []
    done: list[tuple[int, str, int]] = []
    for each in settlements:
        _, event_id, sink, *_ = units[each.unit_id]
        answers.extend((event_id, sink, word.phase.value, word.detail, at) for word in each.confirmations)
        failed = any(word.phase is Phase.FAILED for word in each.confirmations)
        if each.state is UnitState.DELIVERED and not failed:
            done.append((event_id, sink, at))
    consents.append_answers(connection, answers)
    consents.close_obligations(connection, done)


def park(connection: sqlite3.Connection, units: Collection[tuple[int, int]], why: str, now: datetime) -> None:
    """Let a person decide about open units (id and event id). Runs inside the writer."""
    connection.execute(PARK, (why, micros(now), as_list([unit_id for unit_id, _ in units])))
    move_events(connection, event_states(connection, {event_id for _, event_id in units}))
