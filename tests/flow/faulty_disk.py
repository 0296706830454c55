"""A connection whose disk fails on request: it raises SQLite's own error, with its text and code."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

REFUSALS = {
    "full": ("database or disk is full", sqlite3.SQLITE_FULL),
    "io": ("disk I/O error", sqlite3.SQLITE_IOERR_WRITE),
}


@dataclass
class Disk:
    """Refuses statements from the `first` one on that matches, until `last` of them were refused."""

    kind: str = "full"
    first: int = 0
    refusals: int = 0
    matches: Callable[[str], bool] = lambda _: True
    path: Path = Path()
    seconds: float = 0.0
    seen: int = 0
    refused: int = 0

    def fail(self, kind: str, *, after: int, times: int, matches: Callable[[str], bool] = lambda _: True) -> None:
        """Let `after` statements pass, then refuse `times`."""
        self.kind, self.first, self.refusals, self.matches = kind, after, times, matches
        self.seen = self.refused = 0

    @property
    def over(self) -> bool:
        return self.refused >= self.refusals

    def lock(self, path: Path, *, after: int, seconds: float) -> None:
        """Let `after` transactions pass; then another program holds a real lock for so long."""
        self.fail("lock", after=after, times=1, matches=lambda statement: statement.startswith("BEGIN"))
        self.path, self.seconds = path, seconds

    def _hold_lock(self) -> None:
        other = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        Timer(self.seconds, other.close).start()

    def check(self, connection: sqlite3.Connection, statement: str) -> None:
        """Called before each statement of the writer."""
        if self.over or statement.startswith(("ROLLBACK", "RELEASE", "SAVEPOINT", "PRAGMA")):
            return
        if not self.matches(statement):
            return
        self.seen += 1
        if self.seen <= self.first:
            return
        self.refused += 1
        if self.kind == "lock":
            self._hold_lock()
            return
        # SQLite itself takes the transaction back at such an error.
        if connection.in_transaction:
            sqlite3.Connection.execute(connection, "ROLLBACK")
        text, code = REFUSALS[self.kind]
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error


def connection_on(disk: Disk) -> type[sqlite3.Connection]:
    """A connection as Store.open() takes its factory."""

    class Connection(sqlite3.Connection):
        def execute(self, statement, *parameters):
            disk.check(self, statement)
            return super().execute(statement, *parameters)

        def executemany(self, statement, *parameters):
            disk.check(self, statement)
            return super().executemany(statement, *parameters)

    return Connection
