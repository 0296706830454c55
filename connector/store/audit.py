"""The audit log: who did what in the console, and who looked at unmasked numbers. It holds ids, never a number."""

import sqlite3
from datetime import datetime

from msgspec import Struct

from connector.store.sql import micros, moment
from connector.store.writer import Writer

ADD = "INSERT INTO audit (at, who, role, action, about, why) VALUES (?, ?, ?, ?, ?, ?)"
LISTING = "SELECT id, at, who, role, action, about, why FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
MAX_ID = 2**63 - 1


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One action or look. `about` are ids of events or people, `why` is what the person wrote."""

    at: datetime
    who: str
    role: str
    action: str
    about: str = ""
    why: str = ""
    id: int = 0  # given by the database


class Audit:
    """Reads and writes the audit log."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, entry: AuditEntry) -> None:
        """Store an entry."""
        row = micros(entry.at), entry.who, entry.role, entry.action, entry.about, entry.why
        await self._writer.run(lambda connection: connection.execute(ADD, row))

    def listing(self, *, limit: int, before: int = MAX_ID) -> list[AuditEntry]:
        """The newest entries with an id below `before`, the newest first."""
        rows = self._reader.execute(LISTING, (before, limit)).fetchall()
        return [
            AuditEntry(id=number, at=moment(at), who=who, role=role, action=action, about=about, why=why)
            for number, at, who, role, action, about, why in rows
        ]
