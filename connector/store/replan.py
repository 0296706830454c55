"""Planning an event again that has units: its new plan replaces what was not delivered, and adds what it changes.

What was delivered stays delivered, and is not repeated. Only units that were marked change. Runs inside the writer.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from connector.model.consent import NO_RULE, Decision, Phase
from connector.model.event import Verdict
from connector.model.operation import Operation, RecordWrite
from connector.model.outcome import Reason
from connector.model.remaining import still_to_do
from connector.model.states import OPEN_UNITS, UnitState, event_state
from connector.store import consents
from connector.store.documents import (
    decision_from_json,
    done_from_json,
    done_to_json,
    operations_from_json,
    operations_to_json,
    unplanned_to_json,
)
from connector.store.lanes import enqueue
from connector.store.sql import as_list, micros
from connector.store.units import NewUnit, Planned

MARK_UNITS = "UPDATE units SET replan = 1 WHERE id IN (SELECT value FROM json_each(?))"
MARK_EVENTS = """UPDATE inbox SET state = 'pending', reason = NULL, detail = NULL, mapping = NULL
    WHERE id IN (SELECT value FROM json_each(?))"""
FORGET_NOTES = "DELETE FROM notes WHERE event_id IN (SELECT value FROM json_each(?))"
REPLACE = """UPDATE units SET lane = :lane, state = :state, open = :open, urgent = :urgent, operations = :operations, done = :done,
    size = :size, attempts = 0, late = 1, overtaken_by = NULL, reason = :reason, detail = :detail, unmade = :unmade,
    started_at = NULL, due_at = NULL, first_try_at = NULL, settled_at = :settled_at, replan = 0 WHERE id = :id"""
END_UNIT = (
    "UPDATE units SET state = ?, replan = 0, in_doubt = 0, reason = NULL, detail = NULL, unmade = NULL WHERE id = ?"
)
KEEP_UNIT = "UPDATE units SET replan = 0 WHERE id = ?"
NOT_ALONE = """UPDATE units SET alone = 0 WHERE event_id = ?1
    AND (SELECT count(*) FROM units AS other WHERE other.event_id = ?1) > 1"""
STATES = "SELECT state, reason, detail FROM units WHERE event_id = ?"
SET_EVENT_STATE = "UPDATE inbox SET state = ?, reason = ?, detail = ?, mapping = ? WHERE id = ?"
DECIDED = "SELECT decision FROM ledger INDEXED BY ledger_decided WHERE event_id = ? AND phase = 'decided'"
CLOSE_OTHERS = f"""UPDATE obligations SET closed_at = ? WHERE event_id = ? AND closed_at IS NULL
    AND sink NOT IN (SELECT value FROM json_each(?))
    AND substr(coalesce(failed, ''), 1, {len(consents.TAKEN_BACK)}) <> '{consents.TAKEN_BACK}'"""  # noqa: S608 - a constant.


class OldUnit(NamedTuple):
    """A unit that the event has already."""

    event_id: int
    id: int
    sink: str
    lane: str
    state: str
    replan: int
    operations: str
    done: str | None
    in_doubt: int

    def delivered_and_left(self) -> tuple[list[Operation], list[Operation]]:
        """The operations that were delivered, and the others."""
        done = done_from_json(self.done)
        every = operations_from_json(self.operations)
        if self.state == UnitState.DELIVERED:
            return list(every), []
        return [one for place, one in enumerate(every) if place in done], [
            one for place, one in enumerate(every) if place not in done
        ]


def mark_for_planning(connection: sqlite3.Connection, event_ids: Sequence[int], unit_ids: Sequence[int]) -> None:
    """Let the events be planned again, and their new plans change these units."""
    connection.execute(MARK_UNITS, (as_list(list(unit_ids)),))
    connection.execute(FORGET_NOTES, (as_list(list(event_ids)),))
    connection.execute(MARK_EVENTS, (as_list(list(event_ids)),))


def merge_plan(
    connection: sqlite3.Connection, plan: Planned, key: str, received_at: int, units: Sequence[OldUnit], now: datetime
) -> Planned:
    """Change the event's units by its new plan; returns what of the plan is new: other sinks' units, other decisions."""
    wanted = {one.sink: one for one in plan.units}
    owed: set[str] = set()  # sinks whose unit carries an opt-out now
    kept: set[str] = set()  # sinks whose unit is as it was, and may still be on its way
    for old in units:
        new = wanted.pop(old.sink, None)
        if not old.replan:
            kept.add(old.sink)
        elif _replace_unit(connection, old, new, now):
            owed.add(old.sink)
    opts_out = any(one.word is Verdict.OPT_OUT for one in plan.decisions)
    reached = (owed | wanted.keys()) if opts_out else set()
    missed = [name + NO_RULE for name in plan.not_reached] if opts_out else []
    consents.reopen_obligations(connection, [(plan.event_id, key, sink, received_at) for sink in (*reached, *missed)])
    still_open = as_list(sorted({*reached, *missed, *kept}))
    connection.execute(CLOSE_OTHERS, (micros(now), plan.event_id, still_open))
    known = {_content(decision_from_json(text)) for (text,) in connection.execute(DECIDED, (plan.event_id,))}
    decisions = tuple(one for one in plan.decisions if _content(one) not in known)
    return replace(
        plan,
        units=tuple(wanted.values()),
        decisions=decisions,
        # The ledger has the answers to a decision that it has.
        answers=plan.answers if decisions else tuple(one for one in plan.answers if one.phase is Phase.FAILED),
        not_reached=(),
    )


def _content(decision: Decision) -> tuple[Any, ...]:
    return decision.word, decision.phone, decision.scope, decision.subscription


def _replace_unit(connection: sqlite3.Connection, old: OldUnit, new: NewUnit | None, now: datetime) -> bool:
    """Change a unit by the new plan; returns whether it carries consent now."""
    done, left = old.delivered_and_left()
    todo = still_to_do(new.operations, done, left if old.in_doubt else ()) if new is not None else []
    if new is None or (not todo and new.unplanned is None):
        if old.state == UnitState.DELIVERED:
            connection.execute(KEEP_UNIT, (old.id,))
        else:
            connection.execute(END_UNIT, (UnitState.DELIVERED if done else UnitState.DISCARDED, old.id))
        return False
    state, reason, detail = UnitState.WAITING, None, None
    if new.parked:
        state, reason = UnitState.DEAD, Reason.NEEDS_PERSON
    elif not todo and new.unplanned is not None:
        state, reason, detail = UnitState.DEAD, new.unplanned.reason, new.unplanned.detail
    is_open = state in OPEN_UNITS
    connection.execute(
        REPLACE,
        {
            "id": old.id,
            "lane": new.lane,
            "state": state.value,
            "open": int(is_open),
            "urgent": int(new.urgent),
            "operations": operations_to_json([*done, *todo]),
            "done": done_to_json(range(len(done))),
            "size": len(todo),
            "reason": reason.value if reason else None,
            "detail": detail,
            "unmade": unplanned_to_json(new.unplanned) if new.unplanned else None,
            "settled_at": None if is_open else micros(now),
        },
    )
    connection.execute("DELETE FROM causes WHERE unit_id = ?", (old.id,))
    if new.unplanned is not None:
        connection.execute("INSERT INTO causes (unit_id, rule, code) VALUES (?, ?, '')", (old.id, new.unplanned.rule))
    if is_open:
        enqueue(connection, [old.id], {(old.sink, old.lane), (old.sink, new.lane)}, now, urgent=new.urgent)
    return any(not isinstance(one, RecordWrite) or bool(one.consent) for one in todo) or (
        new.unplanned is not None and new.unplanned.owes
    )


def store_event_state(connection: sqlite3.Connection, plan: Planned) -> None:
    """Store the state of an event that was planned again, after all its units are stored."""
    connection.execute(NOT_ALONE, (plan.event_id,))
    units = [
        (UnitState(state), reason, detail) for state, reason, detail in connection.execute(STATES, (plan.event_id,))
    ]
    living = [one for one in units if one[0] is not UnitState.DISCARDED]
    state, reason, detail = plan.state, plan.reason.value if plan.reason else None, plan.detail
    if living:
        state = event_state([one[0] for one in living])
        dead = next((one for one in living if one[0] is UnitState.DEAD), None)
        reason, detail = (dead[1], dead[2] or detail) if dead else (None, detail)
    connection.execute(SET_EVENT_STATE, (state.value, reason, detail, plan.mapping, plan.event_id))
