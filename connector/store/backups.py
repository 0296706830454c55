"""Backups: complete, checked copies of the database, made while the daemon runs, without blocking its writer."""

import errno
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connector.model.errors import ConnectorError
from connector.store.database import DAMAGE, open_reader
from connector.store.disk import free_bytes
from connector.store.migrations import STEPS
from connector.store.private_files import create_private, create_private_directory, give_to_owner_of
from connector.store.sql import micros, moment, put_value

STEP = 2000  # pages, 8 MiB: between two steps others can use the disk
PAUSE = 0.005  # seconds between two steps
TAKEN_AT = "backup"  # the name in `cursors` under which a copy holds the time it was taken (microseconds)
NEWEST = "SELECT received_at FROM inbox ORDER BY id DESC LIMIT 1000"  # entries of one commit may have arrived in another order
STAMP = "%Y%m%dT%H%M%SZ"
INTERRUPT = 100_000  # instructions of SQLite between two checks whether to stop
Progress = Callable[[int, int], None]  # pages that remain, pages in all
Stopped = Callable[[], bool]
INTERRUPTED = "the connector stops"


class BackupFailed(ConnectorError):  # noqa: N818 - reads as what happened.
    """A backup could not be made; nothing that existed was changed."""


class BackupDamaged(ConnectorError):  # noqa: N818 - the same.
    """A file fails SQLite's integrity_check: it cannot be restored."""


class NoBackup(ConnectorError):  # noqa: N818 - the same.
    """A file is not a backup that this program can restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One of the backups that are kept."""

    path: Path
    taken_at: datetime
    size: int  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a verified backup holds."""

    taken_at: datetime | None  # None for a plain copy of the database, which does not hold it
    last_event_id: int
    last_event_at: datetime | None  # when its newest event was received
    events: int
    open_units: int


def kept(directory: Path, name: str) -> list[Backup]:
    """The nightly backups of the database of that name, the newest first. Other files in the directory are ignored."""
    pattern = re.compile(rf"{re.escape(name)}-(\d{{8}}T\d{{6}}Z)\.db")
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        if match := pattern.fullmatch(path.name):
            taken_at = datetime.strptime(match[1], STAMP).replace(tzinfo=UTC)
            found.append(Backup(path=path, taken_at=taken_at, size=path.stat().st_size))
    return sorted(found, key=lambda one: one.taken_at, reverse=True)


def backup_name(name: str, now: datetime) -> str:
    """The file name of a nightly backup; it contains the time in UTC."""
    return f"{name}-{now.astimezone(UTC):{STAMP}}.db"


def make_backup(
    source: Path,
    target: Path,
    *,
    now: datetime,
    reserve: int = 0,
    free: Callable[[Path], int] = free_bytes,
    progress: Progress | None = None,
    stopped: Stopped = lambda: False,
) -> Contents:
    """Write a copy of the database, as of now, to a new file; returns what it holds.

    A separate read-only connection copies it in steps, all from one snapshot. The writer goes on meanwhile, and its
    write-ahead log grows until the copy is done. The target appears only when the copy is complete, has passed
    `integrity_check` and is on disk. `reserve` in bytes must stay free on the target's disk. `stopped` is asked often,
    and ends the copy.

    Raises BackupFailed, or BackupDamaged if the copy is damaged: then the database is probably damaged too.
    """
    if target.exists():
        raise BackupFailed(f"{target} already exists: name a new file for the backup")
    part = target.with_name(f"{target.name}.part")
    try:
        if not target.parent.is_dir():
            create_private_directory(target.parent)
            give_to_owner_of(source, target.parent)
        part.unlink(missing_ok=True)
        create_private(part)
        give_to_owner_of(source, part)
        with closing(open_reader(source)) as reader:
            _refuse_without_room(reader, target, reserve, free)
            _copy(reader, part, progress, stopped)
        _finish(part, now)
        found = verify(part, stopped=stopped)
        sync_to_disk(part)
        _name(part, target)
        sync_to_disk(target.parent)
    except FileExistsError as error:
        raise BackupFailed(f"{target} already exists: name a new file for the backup") from error
    except BackupDamaged as error:
        raise BackupDamaged(f"{source} is damaged: {error}") from error
    except (OSError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
            raise BackupDamaged(f"{source} is damaged: {error}") from error
        forbidden = isinstance(error, OSError) and error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
        cure = ": name a place that the service's user may write to, or run this as root" if forbidden else ""
        raise BackupFailed(f"no backup at {target}: {error}{cure}") from error
    finally:
        remove_copy(part)
    return found


def _name(part: Path, target: Path) -> None:
    """Give the copy its final name. Unlike a rename, a link does not replace a file that has appeared meanwhile.

    Some file systems have no links.
    """
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        part.rename(target)


def _refuse_without_room(reader: sqlite3.Connection, target: Path, reserve: int, free: Callable[[Path], int]) -> None:
    (pages,), (size,) = reader.execute("PRAGMA page_count").fetchone(), reader.execute("PRAGMA page_size").fetchone()
    needed, left = pages * size, free(target.parent)
    if left - needed < reserve:
        raise BackupFailed(
            f"no backup at {target}: it needs {_mib(needed)} and must leave {_mib(reserve)} free, and {_mib(left)} are: "
            "free some space, or name another place (`store: backup: directory:`)"
        )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


def _copy(reader: sqlite3.Connection, part: Path, progress: Progress | None, stopped: Stopped) -> None:
    def step(_: int, remaining: int, total: int) -> None:
        if stopped():
            raise BackupFailed(INTERRUPTED)
        if progress:
            progress(remaining, total)
        if remaining:
            time.sleep(PAUSE)

    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = OFF")  # the whole file is synced before it counts
        copy.execute("PRAGMA journal_mode = OFF")
        # One snapshot: without it each commit of the writer would restart the copy (sqlite.org/backup.html).
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        try:
            reader.backup(copy, pages=STEP, progress=step, sleep=PAUSE)
        finally:
            reader.execute("COMMIT")


def _finish(part: Path, now: datetime) -> None:
    """Make the copy one file without -wal and -shm files, and store in it when it was taken."""
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("PRAGMA journal_mode = DELETE")
        put_value(copy, TAKEN_AT, json.dumps(micros(now)))


def remove_copy(part: Path) -> None:
    """Remove an unfinished copy of a database, with its companion files."""
    for end in ("", "-journal", "-wal", "-shm"):
        Path(f"{part}{end}").unlink(missing_ok=True)


def sync_to_disk(path: Path) -> None:
    """Wait until a file or directory is on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify(path: Path, *, stopped: Stopped = lambda: False) -> Contents:
    """Read a backup completely and return what it holds. It writes no other files.

    Raises BackupDamaged, or NoBackup if the file is not a database of the connector, or one of a newer program.
    """
    if not path.is_file():
        raise NoBackup(f"there is no file {path}: `connector status` shows the backups that are kept")
    try:
        with _reading(path, stopped) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if not {"inbox", "units", "ledger", "cursors", "_sqlite_migrations"} <= tables:
                raise NoBackup(f"{path} is not a database of the connector")
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise BackupDamaged(str(verdict))
            steps = {name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")}
            if newer := sorted(steps - STEPS.keys()):
                raise NoBackup(
                    f"{path} was made by a newer version of the connector (it has {newer[0]}): install that version first"
                )
            return _contents(connection)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            raise BackupFailed(INTERRUPTED) from error
        if code == sqlite3.SQLITE_NOTADB:
            raise NoBackup(f"{path} is not a database") from error
        raise BackupDamaged(str(error)) from error


@contextmanager
def _reading(path: Path, stopped: Stopped = lambda: False) -> Iterator[sqlite3.Connection]:
    """A connection to a file that nobody writes: it takes no lock and creates no other file.

    If the file has a WAL, that is read too.
    """
    log = Path(f"{path}-wal")
    mode = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)) as connection:
        connection.set_progress_handler(stopped, INTERRUPT)
        yield connection


def _contents(connection: sqlite3.Connection) -> Contents:
    taken = connection.execute("SELECT value FROM cursors WHERE name = ?", (TAKEN_AT,)).fetchone()
    (last,) = connection.execute(f"SELECT max(received_at) FROM ({NEWEST})").fetchone()  # noqa: S608 - the constant.
    events, last_id = connection.execute("SELECT count(*), coalesce(max(id), 0) FROM inbox").fetchone()
    (units,) = connection.execute("SELECT count(*) FROM units WHERE open = 1").fetchone()
    return Contents(
        taken_at=moment(json.loads(taken[0])) if taken else None,
        last_event_id=last_id,
        last_event_at=moment(last) if last is not None else None,
        events=events,
        open_units=units,
    )


def still_sound(path: Path, *, stopped: Stopped = lambda: False) -> str | None:
    """Why a kept backup is unusable, by SQLite's quick_check; None if it is sound."""
    try:
        with _reading(path, stopped) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return None if stopped() else str(error)
    return None if verdict == "ok" else str(verdict)
