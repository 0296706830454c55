"""Alarms that were sent to people and are still raised, so that a restart does not send them again."""

import sqlite3
from datetime import datetime

from connector.store.sql import micros
from connector.store.writer import Writer

ADD = "INSERT OR REPLACE INTO sent_alarms (kind, about, message, sent_at) VALUES (?, ?, ?, ?)"


class SentAlarms:
    """Reads and writes the alarms."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def all(self) -> list[tuple[str, str, str]]:
        """Kind, subject and message of each."""
        rows = self._reader.execute("SELECT kind, about, message FROM sent_alarms ORDER BY sent_at").fetchall()
        return [(kind, about, message) for kind, about, message in rows]

    async def add(self, kind: str, about: str, message: str, now: datetime) -> None:
        """Store an alarm that was sent."""
        row = kind, about, message, micros(now)
        await self._writer.run(lambda connection: connection.execute(ADD, row))

    async def remove(self, kind: str, about: str) -> None:
        """Delete an alarm whose cause no longer exists."""
        row = kind, about
        await self._writer.run(
            lambda connection: connection.execute("DELETE FROM sent_alarms WHERE kind = ? AND about = ?", row)
        )
