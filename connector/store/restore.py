"""Replacing the database with a backup, and how the store knows later that it was restored.

Between the backup and the restore the connector went on. What waited in the backup may have been delivered, events came
that the backup does not hold, and people changed records. So nothing of that time is repeated blindly: see
docs/backup.md.
"""

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from connector.model.errors import StoreUnavailable
from connector.model.operation import ENDING, Operation, RecordWrite, ServiceCommand, SinkCall
from connector.store.backups import STAMP, TAKEN_AT, Contents, remove_copy, sync_to_disk
from connector.store.database import keep_private, open_writer
from connector.store.disk import free_bytes
from connector.store.documents import operations_from_json
from connector.store.forgotten_list import ask_again
from connector.store.lanes import promote
from connector.store.migrations import migrate
from connector.store.private_files import create_private, give_to_owner_of
from connector.store.settle import park
from connector.store.sql import as_list, micros, moment, put_value

NAME = "restored"  # in `cursors`
# It may have been delivered since the backup, and newer events of the person too.
DOUBT = "UPDATE units SET in_doubt = 1, late = 1 WHERE open = 1"
OPEN = "SELECT id, event_id, sink, lane, operations FROM units WHERE open = 1 AND urgent = 0"
# The donor may have sent STOP since: the flag stays as it is in the CRM.
KEEP_FLAG = (
    "UPDATE units SET overtaken_by = event_id WHERE id IN (SELECT value FROM json_each(?)) AND overtaken_by IS NULL"
)
MAY_BE_DONE = (
    "the database was restored, and this command may have been carried out before that, or a newer one: look at the provider, "
    "then release or discard it"
)


class Restored(Struct, frozen=True, kw_only=True):
    """When and from which backup the database was restored."""

    taken_at: datetime  # when the backup was made
    restored_at: datetime
    last_event_id: int  # the newest event that the backup holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What a restore loses."""

    since: datetime | None  # the time of the backup, or of its newest event; None if it holds none
    until: datetime  # of the newest event of the current database; now, if that cannot be read
    events: int | None  # events of the current database that the backup lacks; None if unreadable


def missing(found: Contents, database: Path, now: datetime) -> Missing:
    """What the current database has and the backup lacks. The database may be damaged or missing."""
    since = found.taken_at or found.last_event_at
    with suppress(sqlite3.Error, StoreUnavailable, OSError):
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            last, count = connection.execute(
                "SELECT max(received_at), count(*) FROM inbox WHERE id > ? OR received_at > ?",
                (found.last_event_id, micros(since) if since else 0),
            ).fetchone()
        until = moment(last) if count else since or now
        return Missing(since=min(since, until) if since else None, until=until, events=count)
    return Missing(since=since, until=now, events=None)


def restore(backup: Path, database: Path, *, now: datetime) -> Path | None:
    """Replace the database with the backup and keep the old one under another name; returns that name, None if there was none.

    The caller holds the lock of the database and has verified the backup. A complete database exists at every moment.
    Raises StoreUnavailable if it cannot be done; then the current database is unchanged.
    """
    staged = Path(f"{database}.restoring")
    try:
        remove_copy(staged)
        _copy(backup, staged)
        _mark(staged, database, now)
        sync_to_disk(staged)
        give_to_owner_of(database.parent, staged)
        aside = _set_aside(database, now)
        staged.replace(database)
        sync_to_disk(database.parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"{backup} could not be put in the place of {database}: {error}") from error
    finally:
        remove_copy(staged)
    return aside


def _copy(backup: Path, staged: Path) -> None:
    needed, left = backup.stat().st_size, free_bytes(staged.parent)
    if left < needed:
        raise StoreUnavailable(
            f"{staged.parent} has too little space for a copy of {backup}: free {needed - left:,} bytes"
        )
    create_private(staged)
    # Through SQLite, so that a plain copy of a database is read with its write-ahead log.
    with (
        closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(staged)) as copy,
    ):
        source.backup(copy)


def _mark(staged: Path, database: Path, now: datetime) -> None:
    """Migrate the copy to the newest version, and record in it that its open units may have been done already.

    Who was forgotten since the backup was taken is to be forgotten again.
    """
    with closing(open_writer(staged)) as connection:
        migrate(connection)
        taken = connection.execute("SELECT value FROM cursors WHERE name = ?", (TAKEN_AT,)).fetchone()
        last_id, last_at = connection.execute("SELECT max(id), max(received_at) FROM inbox").fetchone()
        taken_at = int(json.loads(taken[0])) if taken else last_at or 0
        document = {"taken_at": taken_at, "restored_at": micros(now), "last_event_id": last_id or 0}
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(DOUBT)
        ask_again(connection, database, moment(taken_at))
        _hold_back(connection, now)
        put_value(connection, NAME, json.dumps(document))
        connection.execute("DELETE FROM cursors WHERE name = ?", (TAKEN_AT,))  # it is no longer a backup
        connection.execute("DELETE FROM console_sessions")  # who has signed out since then stays signed out
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _hold_back(connection: sqlite3.Connection, now: datetime) -> None:
    """Park open commands, and keep open opt-ins from clearing a flag. Opt-outs are sent again: that does no harm."""
    flags: list[int] = []
    commands: list[tuple[int, int, str, str]] = []
    for unit_id, event_id, sink, lane, operations in connection.execute(OPEN).fetchall():
        each = operations_from_json(operations)
        if any(is_unrepeatable(one) for one in each):
            commands.append((unit_id, event_id, sink, lane))
        elif any(isinstance(one, RecordWrite) and one.clears_flag for one in each):
            flags.append(unit_id)
    connection.execute(KEEP_FLAG, (as_list(flags),))
    park(connection, [one[:2] for one in commands], MAY_BE_DONE, now)
    promote(connection, {(sink, lane) for _, _, sink, lane in commands}, now)


def is_unrepeatable(operation: Operation) -> bool:
    """Whether a restore must not repeat it without a person's decision: a command that ends no subscription, or a call with `once`."""
    if isinstance(operation, SinkCall):
        return operation.once
    return isinstance(operation, ServiceCommand) and operation.action not in ENDING


def _set_aside(database: Path, now: datetime) -> Path | None:
    """Keep the current database under a second name, and move its write-ahead log there."""
    if not database.exists():
        return None
    with suppress(sqlite3.Error, StoreUnavailable):
        # Its log is merged into the file if possible: then it is a single file.
        keep_private(database)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    aside = database.with_name(f"{database.stem}-before-restore-{now.astimezone(UTC):{STAMP}}.db")
    os.link(database, aside)
    log = Path(f"{database}-wal")
    if log.exists():
        log.rename(f"{aside}-wal")
    Path(f"{database}-shm").unlink(missing_ok=True)
    sync_to_disk(database.parent)
    return aside


def restored(reader: sqlite3.Connection) -> Restored | None:
    """Whether the database was restored; after several restores the last one."""
    row: Sequence[str] | None = reader.execute("SELECT value FROM cursors WHERE name = ?", (NAME,)).fetchone()
    if row is None:
        return None
    described = json.loads(row[0])
    return Restored(
        taken_at=moment(described["taken_at"]),
        restored_at=moment(described["restored_at"]),
        last_event_id=described["last_event_id"],
    )
