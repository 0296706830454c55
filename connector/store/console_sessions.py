"""Sessions of the console. Only a hash of each session's secret is stored: a copy of the database opens nothing."""

import sqlite3
from datetime import datetime

from msgspec import Struct

from connector.store.sql import micros, moment
from connector.store.writer import Writer

COLUMNS = "hash, user, role, how, created_at, seen_at, reveal_until"
ADD = f"INSERT INTO console_sessions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant of this file.
GET = f"SELECT {COLUMNS} FROM console_sessions WHERE hash = ?"  # noqa: S608 - the same.


class StoredSession(Struct, frozen=True, kw_only=True):
    """One signed-in browser."""

    hash: str  # of its secret
    user: str
    role: str
    how: str  # how the person signed in: link, password or proxy
    created_at: datetime
    seen_at: datetime
    reveal_until: datetime  # numbers are shown until then


class ConsoleSessions:
    """Reads and writes the sessions."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def get(self, secret_hash: str) -> StoredSession | None:
        """A session; None if there is none, or none any more."""
        row = self._reader.execute(GET, (secret_hash,)).fetchone()
        if row is None:
            return None
        name, user, role, how, created_at, seen_at, reveal_until = row
        return StoredSession(
            hash=name,
            user=user,
            role=role,
            how=how,
            created_at=moment(created_at),
            seen_at=moment(seen_at),
            reveal_until=moment(reveal_until),
        )

    async def add(self, session: StoredSession, *, oldest: datetime) -> None:
        """A person signs in. Sessions that began before `oldest` are deleted: they are over."""
        times = session.created_at, session.seen_at, session.reveal_until
        row = session.hash, session.user, session.role, session.how, *map(micros, times)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM console_sessions WHERE created_at < ?", (micros(oldest),))
            connection.execute(ADD, row)

        await self._writer.run(work)

    async def see(self, secret_hash: str, now: datetime) -> None:
        """The session is in use."""
        await self._set("seen_at", secret_hash, now)

    async def reveal(self, secret_hash: str, until: datetime) -> None:
        """Show its person unmasked numbers until then."""
        await self._set("reveal_until", secret_hash, until)

    async def _set(self, column: str, secret_hash: str, time: datetime) -> None:
        statement = f"UPDATE console_sessions SET {column} = ? WHERE hash = ?"  # noqa: S608 - a name of this file.
        row = micros(time), secret_hash
        await self._writer.run(lambda connection: connection.execute(statement, row))

    async def delete(self, secret_hash: str) -> None:
        """Its person signs out."""
        await self._writer.run(
            lambda connection: connection.execute("DELETE FROM console_sessions WHERE hash = ?", (secret_hash,))
        )

    async def delete_all(self, user: str | None = None) -> int:
        """Sign all people out, or one; returns the number of sessions that ended."""
        statement, row = "DELETE FROM console_sessions WHERE user = coalesce(?, user)", (user,)
        return await self._writer.run(lambda connection: connection.execute(statement, row).rowcount)
