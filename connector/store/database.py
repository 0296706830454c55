"""The file: its lock, its connections and what is demanded of them. No tables here, and no waiting."""

import fcntl
import os
import sqlite3
from pathlib import Path

from connector.model.errors import AlreadyRunning, StoreUnavailable

# Each is set and read back: a pragma that SQLite does not take is silently left as it was. FULL alone keeps every
# commit through a power cut in WAL mode (sqlite.org/pragma.html#pragma_synchronous).
PRAGMAS: dict[str, str | int] = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "busy_timeout": 5000,  # milliseconds: for a person's sqlite3 shell, nobody else writes
    "foreign_keys": 1,
    "temp_store": 2,  # memory: what a savepoint may have to put back never leaves it
    "cache_size": -16000,  # KiB: holds the inner pages of all indexes at a million events
    "wal_autocheckpoint": 4000,  # pages, 16 MiB: a page that many commits touch is moved once
    "journal_size_limit": 67108864,  # bytes: the WAL shrinks to this after a burst
}
READER_PRAGMAS: dict[str, str | int] = {"busy_timeout": 5000, "query_only": 1}
SQLITE = sqlite3.sqlite_version_info  # of the library that this Python brings
STATEMENTS = 256  # prepared statements kept: more than there are in this room


class FileLock:
    """The lock beside the database: one process holds it for as long as it lives."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = Path(f"{path}.lock").open("a+", encoding="ascii")  # noqa: SIM115 - it stays open: the lock lives as long as it.
        except OSError as error:
            raise StoreUnavailable(
                f"cannot lock {path}: {error}. Is its directory there, and ours to write?"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            pid = self._file.read().strip() or "unknown"
            self._file.close()
            raise AlreadyRunning(
                f"{path} is held by another connector, process {pid}: stop that one first, or give this one its own `store: path`"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let go. The file stays: removing it would let two processes lock two files of one name."""
        self._file.close()


def left_behind(path: Path) -> bool:
    """Whether the last process left without closing: an orderly end takes the write-ahead log with it."""
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes. Raises StoreUnavailable where the file or the file system does not do."""
    unclean = left_behind(path)
    try:
        connection = _connect(f"{path.absolute().as_uri()}?mode=rwc", PRAGMAS)
        if unclean:
            _check(connection, path)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"cannot open {path}: {error}. Is its directory there, and ours to write?") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises StoreUnavailable where there is nothing to read."""
    try:
        return _connect(f"{path.absolute().as_uri()}?mode=ro", READER_PRAGMAS)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"cannot read {path}: {error}. Has the connector run with this file yet?") from error


def _connect(uri: str, pragmas: dict[str, str | int]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS
    )
    try:
        for name, wanted in pragmas.items():
            connection.execute(f"PRAGMA {name}={wanted}")
            _demand(connection, name, wanted)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _demand(connection: sqlite3.Connection, name: str, wanted: str | int) -> None:
    (got,) = connection.execute(f"PRAGMA {name}").fetchone()
    if got != wanted:
        raise StoreUnavailable(
            f"SQLite keeps {name} at {got} where {wanted} is needed: put the database on a local file system"
        )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        connection.close()
        raise StoreUnavailable(f"{path} is damaged ({verdict}): restore the last backup, and keep this file for repair")
