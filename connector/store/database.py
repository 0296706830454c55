"""The database file: its lock, its connections and their settings. No tables, and no waiting."""

import fcntl
import os
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from connector.model.errors import AlreadyRunning, StoreUnavailable
from connector.store.person_key import add_functions, key_file
from connector.store.private_files import OTHERS, create_private, tighten

# Each setting is written and read back, because SQLite silently ignores a pragma that it does not know. Only FULL keeps
# every commit through a power cut in WAL mode (sqlite.org/pragma.html#pragma_synchronous).
PRAGMAS: dict[str, str | int] = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "foreign_keys": 1,
    "secure_delete": 1,  # ON: deleted data is overwritten with zeros, even if SQLite was built without it
    "temp_store": 2,  # memory: data for undoing a savepoint never leaves it
    "cache_size": -16000,  # KiB: holds the inner pages of all indexes at a million events
    "wal_autocheckpoint": 4000,  # pages, 16 MiB: a page that many commits change is moved once
    "journal_size_limit": 67108864,  # bytes: the WAL shrinks to this after a burst
}
BUSY_TIMEOUT = timedelta(seconds=5)  # for a person's sqlite3 shell: no other program writes
READER_PRAGMAS: dict[str, str | int] = {"busy_timeout": 5000, "query_only": 1}
SQLITE = sqlite3.sqlite_version_info  # version of the library that this Python uses
STATEMENTS = 256  # prepared statements that are kept: more than this package has
LOCK_MAY_BE_ANOTHER_USERS = (
    ". If no such process runs, another user holds {name}, which others could open: `fuser -v {name}` shows who; "
    "remove the file once no connector runs, and start again"
)


def lock_of(path: Path) -> Path:
    """The lock file of a database; it stays when the database is deleted."""
    return Path(f"{path}.lock")


DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
CHECK_WRITABLE = "Check that its directory exists and that the service's user may write to it."
# SQLite makes files beside a database that it only reads.
CHECK_READABLE = (
    "Run this as root or as the service's user, who may write to its folder, after the connector has run once."
)
RESTORE = "`connector restore FILE` puts a backup in its place, and keeps this file for repair (docs/backup.md)"


class FileLock:
    """The lock beside the database: one process holds it until it ends."""

    def __init__(self, path: Path) -> None:
        """Raises AlreadyRunning, or StoreUnavailable if the file cannot be created."""
        name = lock_of(path)
        try:
            self._files = [self._take(path, name)]
            if os.fstat(self._files[0].fileno()).st_mode & OTHERS:
                self._files.append(self._replace_lock_file(path, name))
        except OSError as error:
            raise StoreUnavailable(f"cannot lock {path}: {error}. {CHECK_WRITABLE}") from error
        file = self._files[-1]
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()

    @classmethod
    def _take(cls, path: Path, name: Path) -> TextIO:
        """The locked lock file; tried again until it is the file that has the name now."""
        while True:
            create_private(name)
            file = name.open("a+", encoding="ascii")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), name.stat()):
                    return file
            except FileNotFoundError:
                pass  # somebody has removed it meanwhile
            except BlockingIOError:
                file.seek(0)
                pid = file.read().strip() or "unknown"
                loose = bool(os.fstat(file.fileno()).st_mode & OTHERS)
                file.close()
                raise AlreadyRunning(
                    f"{path} is held by another connector, process {pid}: stop that one first, or give this one its own `store: path`"
                    + (LOCK_MAY_BE_ANOTHER_USERS.format(name=name) if loose else "")
                ) from None
            file.close()

    @classmethod
    def _replace_lock_file(cls, path: Path, name: Path) -> TextIO:
        """Lock a new file that replaces one that other users can open: whoever has that open could lock it.

        The old file is locked as well, so that no other process replaces it at the same time.
        """
        fresh = name.with_name(f"{name.name}.new")
        fresh.unlink(missing_ok=True)
        file = cls._take(path, fresh)
        fresh.replace(name)
        return file

    def release(self) -> None:
        """Release the lock. The file stays: without it two processes could lock two files of one name."""
        for file in self._files:
            file.close()


def keep_private(path: Path) -> tuple[Path, ...]:
    """Create the database file with mode 0600, or remove other users' rights to it and its companion files.

    SQLite gives its `-wal` and `-shm` the rights of the database. Returns what others could read until now. Raises
    StoreUnavailable.
    """
    try:
        create_private(path)
        ends = ("", "-wal", "-shm", "-journal", ".ballast")
        return tighten([*(Path(f"{path}{end}") for end in ends), key_file(path)])
    except OSError as error:
        raise StoreUnavailable(
            f"cannot make {path} private to its user: {error}. Check that its directory exists, "
            "and that the service's user may write to it."
        ) from error


def left_behind(path: Path) -> bool:
    """Whether the last process ended without closing: a proper end removes the write-ahead log."""
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def open_writer(
    path: Path, *, factory: type[sqlite3.Connection] = sqlite3.Connection, busy_timeout: timedelta = BUSY_TIMEOUT
) -> sqlite3.Connection:
    """The only connection that writes, made by `factory`; it waits `busy_timeout` for another program's lock.

    Raises StoreUnavailable if the file or the file system is unsuitable.
    """
    unclean = left_behind(path)
    pragmas = PRAGMAS | {"busy_timeout": busy_timeout // timedelta(milliseconds=1)}
    try:
        connection = _connect(f"{path.absolute().as_uri()}?mode=rwc", pragmas, factory)
        if unclean:
            _check(connection, path)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"cannot open {path}: {_why(path, error, CHECK_WRITABLE)}") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises StoreUnavailable if there is nothing to read."""
    try:
        connection = _connect(f"{path.absolute().as_uri()}?mode=ro", READER_PRAGMAS)
        add_functions(connection, path)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"cannot read {path}: {_why(path, error, CHECK_READABLE)}") from error
    return connection


def _why(path: Path, error: sqlite3.Error, otherwise: str) -> str:
    """Why the file cannot be opened, and the cure; `otherwise` if SQLite does not say what is wrong."""
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir() raises where we may not look.
        return f"it is a folder: name a file by `store: path:` in the config, such as {path / 'connector.db'}"
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
        return f"{error}: {RESTORE}"
    return f"{error}. {otherwise}"


def _connect(
    uri: str, pragmas: dict[str, str | int], factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS, factory=factory
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
        raise StoreUnavailable(f"{path} is damaged ({verdict}): {RESTORE}")
