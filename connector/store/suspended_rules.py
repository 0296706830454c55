"""Suspended mappings, stored across restarts, and the units that rest because of them."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from connector.delivery.suspended_rules import Suspension, SuspensionChanges
from connector.model.outcome import Reason
from connector.store.sql import execute_rows, micros, moment
from connector.store.writer import Writer

FIELDS = "sink, rule, object, field, detail, since, probe_at"
PUT = (
    f"INSERT INTO stops ({FIELDS}) VALUES {{rows}} ON CONFLICT (sink, rule, object, field) "  # noqa: S608 - constants.
    "DO UPDATE SET detail = excluded.detail, probe_at = excluded.probe_at"
)
WAITING = (Reason.CONFIGURATION.value, Reason.PARENT_WAITING.value)
MAKE_DUE = (
    "UPDATE units SET due_at = :now WHERE sink = :sink AND state IN ('resting', 'waiting') AND open = 1 "
    "AND reason IN (:stopped, :behind) AND due_at > :now"
)


HELD = "SELECT count(*) FROM units INDEXED BY units_suspended WHERE open = 1 AND reason = 'configuration' AND sink = ?"
HELD_BY = """SELECT DISTINCT event_id FROM units INDEXED BY units_suspended WHERE open = 1 AND reason = 'configuration'
    AND EXISTS (SELECT 1 FROM json_each(units.operations) AS one WHERE json_extract(one.value, '$.rule') = ?)
    ORDER BY event_id LIMIT ?"""


class Suspensions:
    """Reads and writes the suspensions."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def of(self, sink: str) -> list[Suspension]:
        """The suspensions of one sink, oldest first."""
        return [one for one in self.all() if one.sink == sink]

    def all(self) -> list[Suspension]:
        """All suspensions, oldest first."""
        rows = self._reader.execute(f"SELECT {FIELDS} FROM stops ORDER BY since, rule, field").fetchall()  # noqa: S608 - constants.
        return [
            Suspension(
                sink=sink,
                rule=rule,
                object=name,
                field=field,
                detail=detail,
                since=moment(since),
                probe_at=moment(probe_at),
            )
            for sink, rule, name, field, detail, since, probe_at in rows
        ]

    def held(self, sink: str) -> int:
        """How many units rest or wait because of suspensions."""
        (n,) = self._reader.execute(HELD, (sink,)).fetchone()
        return int(n)

    def held_by(self, rule: str, limit: int) -> list[int]:
        """The oldest events of which a unit rests because this rule is suspended."""
        return [event_id for (event_id,) in self._reader.execute(HELD_BY, (rule, limit)).fetchall()]

    async def change(self, changes: SuspensionChanges, *, now: datetime) -> None:
        """Store suspensions that began or last, delete those that ended, and make their resting units due."""

        def work(connection: sqlite3.Connection) -> None:
            execute_rows(connection, PUT, [_row(suspension) for suspension in (*changes.began, *changes.again)])
            for suspension in changes.ended:
                connection.execute(
                    "DELETE FROM stops WHERE sink = ? AND rule = ? AND object = ? AND field = ?",
                    (suspension.sink, *suspension.key),
                )
            make_due(connection, {suspension.sink for suspension in changes.ended}, now)

        await self._writer.run(work)

    async def try_again(self, suspensions: Sequence[Suspension], *, now: datetime) -> None:
        """Make these suspensions and their resting units due at once."""

        def work(connection: sqlite3.Connection) -> None:
            for suspension in suspensions:
                connection.execute(
                    "UPDATE stops SET probe_at = ? WHERE sink = ? AND rule = ? AND object = ? AND field = ?",
                    (micros(now), suspension.sink, *suspension.key),
                )
            make_due(connection, {suspension.sink for suspension in suspensions}, now)

        await self._writer.run(work)


def make_due(connection: sqlite3.Connection, sinks: Iterable[str], now: datetime) -> None:
    """Make due what rests because of a suspension. Runs inside the writer."""
    stopped, behind = WAITING
    for sink in sinks:
        connection.execute(MAKE_DUE, {"sink": sink, "now": micros(now), "stopped": stopped, "behind": behind})


def _row(suspension: Suspension) -> tuple[str | int, ...]:
    return (suspension.sink, *suspension.key, suspension.detail, micros(suspension.since), micros(suspension.probe_at))
