"""How many API calls were made to each CRM, hour by hour, so that the count survives a restart."""

import sqlite3
from collections.abc import Mapping

from connector.store.sql import execute_rows
from connector.store.writer import Writer

KEPT = 24  # hours; older counts no longer matter
ADD = """INSERT INTO calls (crm, hour, n) VALUES {rows}
    ON CONFLICT (crm, hour) DO UPDATE SET n = n + excluded.n"""


class Calls:
    """Reads and writes the counts. Hours are counted since 1970."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def of(self, crm: str) -> dict[int, int]:
        """The calls by hour."""
        return dict(self._reader.execute("SELECT hour, n FROM calls WHERE crm = ?", (crm,)).fetchall())

    async def add(self, crm: str, calls: Mapping[int, int]) -> None:
        """Add calls, and delete counts that are then older than a day."""

        def work(connection: sqlite3.Connection) -> None:
            execute_rows(connection, ADD, [(crm, hour, n) for hour, n in calls.items()])
            connection.execute("DELETE FROM calls WHERE crm = ? AND hour <= ?", (crm, max(calls) - KEPT))

        await self._writer.run(work)
