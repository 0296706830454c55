"""Enforces the model's tables of transitions in the database. The only place where they are enforced."""

import sqlite3
from collections.abc import Mapping
from typing import TypeVar

from connector.model.charge import CHARGE_TRANSITIONS, ChargeState
from connector.model.states import EVENT_TRANSITIONS, UNIT_TRANSITIONS, EventState, UnitState

State = TypeVar("State", EventState, UnitState, ChargeState)


def guard(connection: sqlite3.Connection) -> None:
    """Make this connection refuse (sqlite3.IntegrityError) every change of state that the model does not know.

    The guard belongs to the connection and not to the file, so that it is always that of the running model.
    """
    tables = {
        "inbox": _legal(EVENT_TRANSITIONS),
        "units": _legal(UNIT_TRANSITIONS),
        "charges": _legal(CHARGE_TRANSITIONS),
    }
    for table, legal in tables.items():
        connection.execute(
            f"CREATE TEMP TRIGGER {table}_guard BEFORE UPDATE OF state ON main.{table} "
            f"WHEN old.state <> new.state AND NOT {legal} "
            f"BEGIN SELECT RAISE(ABORT, 'not a transition of {table}'); END"
        )


def _legal(transitions: Mapping[State, frozenset[State]]) -> str:
    cases = " ".join(
        f"WHEN '{old!s}' THEN instr(' {' '.join(sorted(map(str, new)))} ', ' ' || new.state || ' ')"
        for old, new in transitions.items()
    )
    return f"coalesce(CASE old.state {cases} END, 0)"
