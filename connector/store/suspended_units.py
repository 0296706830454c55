"""Units that wait for suspended rules: they are planned again when the mappings change."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from connector.model.operation import Operation
from connector.model.plan import Note, Unplanned
from connector.store.documents import (
    done_from_json,
    done_to_json,
    operations_from_json,
    operations_to_json,
    unplanned_from_json,
    unplanned_to_json,
)
from connector.store.notes import drop_notes, put_notes
from connector.store.sql import as_list, micros, read_rows
from connector.store.writer import Writer

COLUMNS = "json_array(unit.id, unit.event_id, unit.sink, unit.operations, unit.done, unit.unmade)"
# The units of whole events: when one of them is planned again, its event counts as planned by the new mappings.
SUSPENDED = f"""SELECT json_group_array({COLUMNS}) FROM units AS unit INDEXED BY units_suspended
    WHERE unit.open = 1 AND unit.reason = 'configuration' AND unit.state <> 'claimed' AND unit.event_id IN (
        SELECT DISTINCT event_id FROM units INDEXED BY units_suspended JOIN inbox ON inbox.id = event_id
        WHERE units.open = 1 AND units.reason = 'configuration' AND units.state <> 'claimed' AND event_id > :after
        AND inbox.mapping IS NOT :mapping ORDER BY event_id LIMIT :limit)"""  # noqa: S608 - a constant of this file.
OUTDATED = """SELECT 1 FROM json_each(:ids) AS each JOIN inbox ON inbox.id = each.value
    WHERE inbox.mapping IS NOT :mapping LIMIT 1"""
# What is claimed meanwhile goes out as it was planned.
UNCLAIMED = "SELECT done FROM units WHERE id = ? AND state IN ('waiting', 'ready', 'resting')"
REPLACE = "UPDATE units SET operations = ?, done = ?, size = ?, unmade = ?, due_at = min(due_at, ?) WHERE id = ?"


class PlannedUnit(Struct, frozen=True, kw_only=True):
    """A unit as it was planned, with the positions of its delivered operations."""

    id: int
    event_id: int
    sink: str
    operations: tuple[Operation, ...]
    done: frozenset[int]
    unplanned: Unplanned | None

    @property
    def delivered(self) -> list[Operation]:
        """Its delivered operations."""
        return [one for index, one in enumerate(self.operations) if index in self.done]

    @property
    def left(self) -> list[Operation]:
        """The other operations."""
        return [one for index, one in enumerate(self.operations) if index not in self.done]


class Replacement(Struct, frozen=True, kw_only=True):
    """What a unit still has to do by these mappings."""

    unit: PlannedUnit
    mapping: str  # the version of the mappings
    operations: Sequence[Operation]
    unplanned: Unplanned | None = None  # what of its event still cannot be planned
    left_out: Sequence[Note] = ()  # fields that were left out of all operations of its event


class SuspendedUnits:
    """Reads and replaces the units that wait for suspended rules."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def planned_otherwise(self, mapping: str, *, after: int, limit: int) -> list[PlannedUnit]:
        """The units of the next events after `after` that other mappings have planned.

        `limit` counts the events. They come in the order of their events.
        """
        rows = read_rows(self._reader, SUSPENDED, {"mapping": mapping, "after": after, "limit": limit})
        return sorted(map(_planned_unit, rows), key=lambda unit: (unit.event_id, unit.id))

    def outdated(self, event_ids: Sequence[int], mapping: str) -> bool:
        """Whether one of these events was planned by other mappings."""
        values = {"ids": as_list(event_ids), "mapping": mapping}
        return self._reader.execute(OUTDATED, values).fetchone() is not None

    async def replace(self, replacements: Sequence[Replacement], *, now: datetime) -> None:
        """Replace what is left of these units, and make them due."""

        def work(connection: sqlite3.Connection) -> None:
            for one in replacements:
                _replace(connection, one, now)

        await self._writer.run(work)


def _planned_unit(row: Sequence[Any]) -> PlannedUnit:
    unit_id, event_id, sink, operations, done, unplanned = row
    return PlannedUnit(
        id=unit_id,
        event_id=event_id,
        sink=sink,
        operations=operations_from_json(operations),
        done=done_from_json(done),
        unplanned=unplanned_from_json(unplanned),
    )


def _replace(connection: sqlite3.Connection, one: Replacement, now: datetime) -> None:
    stored: tuple[str | None] | None = connection.execute(UNCLAIMED, (one.unit.id,)).fetchone()
    if stored is None or done_from_json(stored[0]) != one.unit.done:
        return
    kept = one.unit.delivered
    unplanned = unplanned_to_json(one.unplanned) if one.unplanned else None
    connection.execute(
        REPLACE,
        (
            operations_to_json([*kept, *one.operations]),
            done_to_json(range(len(kept))),
            len(one.operations),
            unplanned,
            micros(now),
            one.unit.id,
        ),
    )
    event_id = one.unit.event_id
    connection.execute("UPDATE inbox SET mapping = ? WHERE id = ?", (one.mapping, event_id))
    drop_notes(connection, event_id)
    put_notes(connection, {event_id: one.left_out})
