"""Read-only queries of the store, besides claiming and settling."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from connector.model.operation import Operation
from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.store.documents import done_from_json, operations_from_json
from connector.store.sql import micros, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitNow:
    """The current state of a unit: what an event leads to at one sink."""

    sink: str
    state: UnitState
    reason: Reason | None
    detail: str | None
    attempts: int
    in_doubt: bool
    due_at: datetime | None  # of one that rests
    settled_at: datetime | None
    operations: tuple[Operation, ...]
    done: frozenset[int]  # positions of its delivered operations, if the unit itself is not delivered


UNITS = """SELECT sink, state, reason, detail, attempts, in_doubt, due_at, settled_at, operations, done
    FROM units WHERE event_id = ? ORDER BY id"""

READY = """SELECT coalesce(sum(size), 0), coalesce(max(urgent), 0) FROM (
    SELECT size, urgent FROM units INDEXED BY units_ready
    WHERE sink = :sink AND state = 'ready' ORDER BY urgent DESC, event_id LIMIT :limit)"""
URGENT_DUE = """SELECT 1 FROM units INDEXED BY units_due
    WHERE sink = :sink AND state = 'resting' AND urgent = 1 AND due_at <= :now LIMIT 1"""


REFUSED = "SELECT 1 FROM units INDEXED BY units_age WHERE sink = ? AND open = 1 AND reason = ? LIMIT 1"


class Overview:
    """Read-only queries about units and sinks."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader

    def sinks(self) -> list[str]:
        """All sinks that ever had a unit, configured or not."""
        rows = self._reader.execute("SELECT DISTINCT sink FROM unit_totals ORDER BY sink").fetchall()
        return [row[0] for row in rows]

    def units_of(self, event_id: int) -> list[UnitNow]:
        """The units of one event."""
        rows = self._reader.execute(UNITS, (event_id,)).fetchall()
        return [
            UnitNow(
                sink=sink,
                state=UnitState(state),
                reason=Reason(reason) if reason else None,
                detail=detail,
                attempts=attempts,
                in_doubt=bool(in_doubt),
                due_at=None if due_at is None else moment(due_at),
                settled_at=None if settled_at is None else moment(settled_at),
                operations=operations_from_json(operations),
                done=done_from_json(done),
            )
            for sink, state, reason, detail, attempts, in_doubt, due_at, settled_at, operations, done in rows
        ]

    def refused_for(self, sink: str, reason: Reason) -> bool:
        """Whether an open unit of the sink was last refused for this reason."""
        return self._reader.execute(REFUSED, (sink, reason.value)).fetchone() is not None

    def ready(self, sink: str, limit: int, now: datetime) -> tuple[int, bool]:
        """How many operations a claim would find, counted up to so many units, and whether an opt-out is among them."""
        parameters = {"sink": sink, "limit": limit, "now": micros(now)}
        operations, urgent = self._reader.execute(READY, parameters).fetchone()
        return operations, bool(urgent or self._reader.execute(URGENT_DUE, parameters).fetchone())
