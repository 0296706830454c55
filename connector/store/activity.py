"""How much came in and went out in each hour, and when that was last: for the console's picture of the last day.

The counts are kept in memory (telemetry/activity.py) and added here once a minute, so that no callback pays for them.
"""

import sqlite3

from connector.model.errors import StoreUnavailable
from connector.store.sql import execute_rows, micros, moment
from connector.store.writer import Writer
from connector.telemetry.activity import KEPT, Activity, Count

ADD = """INSERT INTO activity (hour, kind, name, n, last_at) VALUES {rows}
    ON CONFLICT (hour, kind, name) DO UPDATE SET n = n + excluded.n, last_at = max(last_at, excluded.last_at)"""
SWEEP = """DELETE FROM activity WHERE hour <= ? AND EXISTS (SELECT 1 FROM activity AS newer
    WHERE newer.kind = activity.kind AND newer.name = activity.name AND newer.hour > activity.hour)"""


class StoredActivity:
    """Reads and writes the counts. Hours are counted since 1970."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def all(self) -> list[Count]:
        """All counts that are kept: some hundred."""
        rows = self._reader.execute("SELECT hour, kind, name, n, last_at FROM activity").fetchall()
        return [
            Count(hour=hour, kind=kind, name=name, n=n, last_at=moment(last_at))
            for hour, kind, name, n, last_at in rows
        ]

    async def save(self, activity: Activity) -> None:
        """Add what was counted since the last time, and delete what is older than two days. Raises StoreUnavailable."""
        counts = activity.take_unsaved()
        if not counts:
            return
        rows = [(one.hour, one.kind, one.name, one.n, micros(one.last_at)) for one in counts]

        def work(connection: sqlite3.Connection) -> None:
            execute_rows(connection, ADD, rows)
            connection.execute(SWEEP, (max(one.hour for one in counts) - KEPT,))

        try:
            await self._writer.run(work)
        except StoreUnavailable:
            activity.not_saved(counts)
            raise
