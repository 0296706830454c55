"""Stores what many events lead to, in one transaction. lanes.py decides which units go first."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connector.model.consent import NO_RULE, Phase
from connector.model.event import Verdict
from connector.model.outcome import Reason
from connector.model.plan import Unplanned
from connector.model.states import OPEN_UNITS, EventState, UnitState, event_state
from connector.store import agreements, consents, replan
from connector.store.documents import decision_to_json, operations_to_json, unplanned_to_json
from connector.store.lanes import Lane, enqueue, occupied
from connector.store.notes import put_notes
from connector.store.sql import as_list, execute_rows, micros, read_rows
from connector.store.units import NewUnit, Planned
from connector.store.writer import Writer

EVENTS = """SELECT json_group_array(json_array(inbox.id, inbox.key, inbox.received_at))
    FROM json_each(?) AS each CROSS JOIN inbox ON inbox.id = each.value AND inbox.state = 'pending'"""
MOVE = """WITH plan (id, state, detail, reason, mapping) AS (VALUES {rows})
    UPDATE inbox SET state = plan.state, detail = plan.detail, reason = plan.reason, mapping = plan.mapping
    FROM plan WHERE inbox.id = plan.id"""
INSERT = """INSERT OR FAIL INTO units
    (id, event_id, sink, lane, state, open, urgent, alone, operations, size, reason, settled_at) VALUES {rows}"""

UNPLANNED = "UPDATE units SET unmade = ?, detail = CASE WHEN state = 'dead' THEN ? END WHERE id = ?"


OLD_UNITS = """SELECT json_group_array(json_array(event_id, id, sink, lane, state, replan, operations, done, in_doubt)) FROM units
    INDEXED BY units_event WHERE event_id IN (SELECT value FROM json_each(?))"""


class Plans:
    """Stores plans."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def commit(self, plans: Sequence[Planned], *, now: datetime) -> None:
        """Store the plans, all or none. Raises ValueError if an event is not pending, Unreadable if an operation cannot be JSON."""
        documents = [_documents(plan) for plan in plans]

        def work(connection: sqlite3.Connection) -> None:
            events = {row[0]: (row[1], row[2]) for row in _pending_events(connection, plans)}
            old = _old_units(connection, list(events))
            fresh = [place for place, plan in enumerate(plans) if plan.event_id not in old]
            execute_rows(connection, MOVE, [_event_row(plans[place]) for place in fresh])
            _store_parts(
                connection, [plans[place] for place in fresh], [documents[place] for place in fresh], events, now
            )
            for plan in plans if old else ():
                if plan.event_id in old:
                    key, received_at = events[plan.event_id]
                    rest = replan.merge_plan(connection, plan, key, received_at, old[plan.event_id], now)
                    _store_parts(connection, [rest], [_documents(rest)], events, now)
                    replan.store_event_state(connection, plan)
            if begun := [one for plan in plans for one in plan.agreements]:
                agreements.put(connection, begun)

        await self._writer.run(work)


Documents = tuple[tuple[str, ...], tuple[str, ...]]  # of a plan's units and of its decisions, as JSON


def _documents(plan: Planned) -> Documents:
    """Raises Unreadable if an operation cannot be JSON."""
    units = tuple(operations_to_json(unit.operations) for unit in plan.units)
    return units, tuple(decision_to_json(decision) for decision in plan.decisions)


def _store_parts(
    connection: sqlite3.Connection,
    plans: Sequence[Planned],
    documents: Sequence[Documents],
    events: dict[int, tuple[str, int]],
    now: datetime,
) -> None:
    _put_units(connection, plans, [units for units, _ in documents], now)
    _put_decisions(connection, plans, [decisions for _, decisions in documents], events, now)
    if left_out := {plan.event_id: plan.left_out for plan in plans if plan.left_out}:
        put_notes(connection, left_out)


def _old_units(connection: sqlite3.Connection, event_ids: Sequence[int]) -> dict[int, list[replan.OldUnit]]:
    """The units that events have already, by event: only those of events that are planned again have any."""
    found: dict[int, list[replan.OldUnit]] = {}
    for row in read_rows(connection, OLD_UNITS, (as_list(list(event_ids)),)):
        found.setdefault(row[0], []).append(replan.OldUnit(*row))
    return found


def _pending_events(connection: sqlite3.Connection, plans: Sequence[Planned]) -> list[Any]:
    ids = [plan.event_id for plan in plans]
    rows = read_rows(connection, EVENTS, (as_list(ids),))
    if len({row[0] for row in rows}) != len(ids):
        missing = sorted(set(ids) - {row[0] for row in rows}) or ids
        raise ValueError(f"not pending, or planned twice: events {missing}")
    return rows


def _first_state(unit: NewUnit) -> UnitState:
    return UnitState.DEAD if unit.parked or not unit.operations else UnitState.WAITING


def _first_reason(unit: NewUnit) -> Reason | None:
    """Why it is a dead letter from the start; None if it is not."""
    if unit.parked:
        return Reason.NEEDS_PERSON
    return unit.unplanned.reason if unit.unplanned and not unit.operations else None


def _event_row(plan: Planned) -> tuple[Any, ...]:
    state, reason = plan.state, plan.reason
    if plan.units:
        state = event_state([_first_state(unit) for unit in plan.units])
        if state is EventState.DEAD:
            reason = next(filter(None, map(_first_reason, plan.units)), reason)
    return plan.event_id, state.value, plan.detail, reason.value if reason else None, plan.mapping


def _put_units(
    connection: sqlite3.Connection, plans: Sequence[Planned], documents: Sequence[tuple[str, ...]], now: datetime
) -> None:
    units = [
        (plan, unit, document)
        for plan, texts in zip(plans, documents, strict=True)
        for unit, document in zip(plan.units, texts, strict=True)
    ]
    if not units:
        return
    queued = [(plan, unit) for plan, unit, _ in units if _first_state(unit) is not UnitState.DEAD]
    heads = _lane_heads(connection, queued)
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'units'").fetchone()
    rows: list[tuple[Any, ...]] = []
    ids: list[int] = []
    unplanned: list[tuple[int, Unplanned]] = []
    for number, (plan, unit, document) in enumerate(units, last + 1):
        state = _first_state(unit)
        if heads.get((unit.sink, unit.lane)) == plan.event_id and state is not UnitState.DEAD:
            state = UnitState.READY
        is_open = state in OPEN_UNITS
        if is_open:
            ids.append(number)
        if unit.unplanned is not None:
            unplanned.append((number, unit.unplanned))
        reason = _first_reason(unit)
        rows.append(
            (
                number,
                plan.event_id,
                unit.sink,
                unit.lane,
                state.value,
                int(is_open),
                int(unit.urgent),
                int(len(plan.units) == 1),
                document,
                len(unit.operations),
                reason.value if reason else None,
                None if is_open else micros(now),
            )
        )
    execute_rows(connection, INSERT, rows)
    for number, one in unplanned:
        connection.execute(UNPLANNED, (unplanned_to_json(one), one.detail, number))
        connection.execute("INSERT INTO causes (unit_id, rule, code) VALUES (?, ?, '')", (number, one.rule))
    occupied = {(unit.sink, unit.lane) for _, unit in queued} - heads.keys()
    enqueue(connection, ids, occupied, now, urgent=any(unit.urgent for _, unit in queued))


def _lane_heads(connection: sqlite3.Connection, queued: Sequence[tuple[Planned, NewUnit]]) -> dict[Lane, int]:
    """The events whose units come first in lanes that were empty: they are ready at once, which saves a second write."""
    first: dict[Lane, tuple[bool, int]] = {}
    for plan, unit in queued:
        lane, place = (unit.sink, unit.lane), (not unit.urgent, plan.event_id)
        first[lane] = min(first.get(lane, place), place)
    taken = occupied(connection, first)
    return {lane: event_id for lane, (_, event_id) in first.items() if lane not in taken}


def _put_decisions(
    connection: sqlite3.Connection,
    plans: Sequence[Planned],
    documents: Sequence[tuple[str, ...]],
    events: dict[int, tuple[str, int]],
    now: datetime,
) -> None:
    at = micros(now)
    decided: list[tuple[int, str, str, str, str, int]] = []
    duties: list[consents.Duty] = []
    answers: list[consents.Answer] = []
    for plan, texts in zip(plans, documents, strict=True):
        key, received_at = events[plan.event_id]
        for decision, text in zip(plan.decisions, texts, strict=True):
            decided.append((plan.event_id, key, decision.phone.e164, Phase.DECIDED.value, text, at))
        if any(decision.word is Verdict.OPT_OUT for decision in plan.decisions):
            duties.extend((plan.event_id, key, unit.sink, received_at) for unit in plan.units)
            duties.extend((plan.event_id, key, name + NO_RULE, received_at) for name in plan.not_reached)
        answers.extend((plan.event_id, each.sink, each.phase.value, each.detail, at) for each in plan.answers)
    consents.append_decisions(connection, decided)
    joined = [one.phone.e164 for plan in plans for one in plan.decisions if one.word is Verdict.OPT_IN]
    if joined:
        consents.close_after_opt_in(connection, joined, now)
    consents.open_obligations(connection, duties)
    consents.append_answers(connection, answers)
