"""The runs of recurring charges, one for each provider and day, and what holds a provider's charges as a whole."""

import sqlite3
from datetime import date, datetime
from typing import Any

from connector.model.charge import Control, Run, RunState
from connector.store.sql import micros, moment
from connector.store.writer import Writer

RUN = "SELECT provider, day, size, state, why, results, failures FROM charge_runs WHERE provider = ?"
CONTROL = "SELECT since, paused_at, paused_why, hold, restored_at FROM charge_control WHERE provider = ?"
MAY_SEND = """SELECT 1 FROM charge_runs AS run LEFT JOIN charge_control AS control ON control.provider = run.provider
    WHERE run.provider = ? AND run.day = ? AND run.state = 'approved' AND run.planned = 1 AND control.paused_at IS NULL"""


def may_send(connection: sqlite3.Connection, provider: str, day: date) -> bool:
    """Whether the day's run is approved and nothing is paused. Runs inside the writer."""
    return connection.execute(MAY_SEND, (provider, day.isoformat())).fetchone() is not None


def planned(connection: sqlite3.Connection, provider: str, day: date) -> None:
    """The charges of the run are stored. Runs inside the writer."""
    connection.execute("UPDATE charge_runs SET planned = 1 WHERE provider = ? AND day = ?", (provider, day.isoformat()))


def count(connection: sqlite3.Connection, provider: str, day: date, *, failed: bool) -> None:
    """Count one result of a run. Runs inside the writer."""
    connection.execute(
        "UPDATE charge_runs SET results = results + 1, failures = failures + ? WHERE provider = ? AND day = ?",
        (int(failed), provider, day.isoformat()),
    )


class ChargeRuns:
    """Reads and writes the runs."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def get(self, provider: str, day: date) -> Run | None:
        """The run of one day."""
        return _run(self._reader.execute(f"{RUN} AND day = ?", (provider, day.isoformat())).fetchone())

    def is_planned(self, provider: str, day: date) -> bool:
        """Whether the charges of a run are stored."""
        query = "SELECT 1 FROM charge_runs WHERE provider = ? AND day = ? AND planned = 1"
        return self._reader.execute(query, (provider, day.isoformat())).fetchone() is not None

    def newest_begun(self, provider: str) -> Run | None:
        """The newest run that has begun. One of a later day has begun only if the clock was wrong then, or is now."""
        query = f"{RUN} AND planned = 1 ORDER BY day DESC LIMIT 1"
        return _run(self._reader.execute(query, (provider,)).fetchone())

    def newest(self, provider: str, today: date) -> Run | None:
        """The newest run that has begun, or that waits since today or before."""
        query = f"{RUN} AND (planned = 1 OR (state <> 'approved' AND day <= ?)) ORDER BY day DESC LIMIT 1"
        return _run(self._reader.execute(query, (provider, today.isoformat())).fetchone())

    def last_with_charges(self, provider: str) -> Run | None:
        """The newest run that has begun and had new charges."""
        query = f"{RUN} AND size > 0 AND planned = 1 ORDER BY day DESC LIMIT 1"
        return _run(self._reader.execute(query, (provider,)).fetchone())

    def control(self, provider: str) -> Control:
        """What holds the provider's charges."""
        row = self._reader.execute(CONTROL, (provider,)).fetchone()
        if row is None:
            return Control()
        since, paused_at, paused_why, hold, restored_at = row
        return Control(
            since=date.fromisoformat(since) if since else None,
            paused_at=moment(paused_at) if paused_at is not None else None,
            paused_why=paused_why,
            hold=hold,
            restored_at=moment(restored_at) if restored_at is not None else None,
        )

    async def make(self, run: Run) -> None:
        """Store a day's run."""
        row = (run.provider, run.day.isoformat(), run.size, run.state.value, run.why)
        await self._writer.run(
            lambda connection: connection.execute(
                "INSERT INTO charge_runs (provider, day, size, state, why) VALUES (?, ?, ?, ?, ?)", row
            )
        )

    async def approve(self, run: Run, *, today: date) -> None:
        """Let a run begin that waits or was stopped, or one of a later day. Its results are counted from zero.

        What held the next run holds today's no more. A run of a later day does not decide about the runs before it.
        """
        row = (run.provider, run.day.isoformat(), run.size)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO charge_runs (provider, day, size, state) VALUES (?, ?, ?, 'approved') ON CONFLICT DO UPDATE"
                " SET state = excluded.state, size = excluded.size, why = '', results = 0, failures = 0",
                row,
            )
            if run.day <= today:
                connection.execute("UPDATE charge_control SET hold = NULL WHERE provider = ?", (run.provider,))

        await self._writer.run(work)

    async def wait(self, provider: str, day: date, why: str, *, size: int) -> None:
        """A run that was approved before its day waits again."""
        values = (why, size, provider, day.isoformat())
        await self._writer.run(
            lambda connection: connection.execute(
                "UPDATE charge_runs SET state = 'waiting', why = ?, size = ? WHERE provider = ? AND day = ?", values
            )
        )

    async def stop(self, provider: str, day: date, why: str) -> None:
        """Stop a run. Later ones that were approved before their day wait again."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE charge_runs SET state = 'stopped', why = ? WHERE provider = ? AND day = ?",
                (why, provider, day.isoformat()),
            )
            connection.execute(
                "UPDATE charge_runs SET state = 'waiting', why = ?"
                " WHERE provider = ? AND day > ? AND state = 'approved' AND planned = 0",
                (f"the run of {day} was stopped: {why}", provider, day.isoformat()),
            )

        await self._writer.run(work)

    async def _set(self, provider: str, **values: Any) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO charge_control (provider) VALUES (?)", (provider,))
            for name, value in values.items():
                connection.execute(f"UPDATE charge_control SET {name} = ? WHERE provider = ?", (value, provider))  # noqa: S608 - names of this file.

        await self._writer.run(work)

    async def switch_on(self, provider: str, day: date) -> None:
        """Charging was switched on: what was due before this day is not charged."""
        await self._set(provider, since=day.isoformat())

    async def hold(self, provider: str, why: str) -> None:
        """The next run waits for a person."""
        await self._set(provider, hold=why)

    async def after_restore(self, provider: str, restored_at: datetime, why: str) -> None:
        """The restore was dealt with; the next run waits for a person."""
        await self._set(provider, restored_at=micros(restored_at), hold=why)

    async def pause(self, provider: str, why: str, now: datetime) -> None:
        """Send no charges until resume()."""
        await self._set(provider, paused_at=micros(now), paused_why=why)

    async def resume(self, provider: str) -> None:
        """Send charges again."""
        await self._set(provider, paused_at=None, paused_why=None)


def _run(row: tuple[Any, ...] | None) -> Run | None:
    if row is None:
        return None
    provider, day, size, state, why, results, failures = row
    return Run(
        provider=provider,
        day=date.fromisoformat(day),
        size=size,
        state=RunState(state),
        why=why,
        results=results,
        failures=failures,
    )
