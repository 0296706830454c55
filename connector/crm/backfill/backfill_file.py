"""The file of one backfill, beside the database: every contact, its verdict, and the jobs that write it.

After a kill, the next run continues from the last commit. The file contains phone numbers, and is deleted when the
backfill is finished.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Self

from connector.model.errors import AlreadyRunning, StoreUnavailable
from connector.store.outage import outage
from connector.store.private_files import create_private, tighten

TABLES = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contact (
  id TEXT PRIMARY KEY, verdict TEXT NOT NULL, held TEXT NOT NULL, wanted TEXT NOT NULL, shown TEXT NOT NULL,
  created TEXT NOT NULL, account TEXT NOT NULL, others TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '',
  job TEXT, tries INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holder ON contact (held) WHERE held != '';
CREATE INDEX IF NOT EXISTS work ON contact (verdict, job, account, id);
"""
CACHE = -8000  # KiB: limits memory, because the file may be large


class ContactRow(NamedTuple):
    """A contact as it was read."""

    id: str
    verdict: str
    held: str  # folded for comparison
    wanted: str
    shown: str
    created: str
    account: str


class Sharers(NamedTuple):
    """The contacts that need one external ID, oldest first, and the contact that has it."""

    ids: tuple[str, ...]
    holder: str | None


class Finding(NamedTuple):
    """A contact that a person must check."""

    id: str
    verdict: str
    shown: str
    others: tuple[str, ...]
    detail: str


class BackfillFile:
    """The file. Only one process can open it at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the file. Raises AlreadyRunning, and StoreUnavailable if its directory is not usable."""
        try:
            create_private(path)
            tighten([path, Path(f"{path}-journal")])
            connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(
                f"cannot open {path}: {error}. Check that its directory exists and that the service's user may write to it."
            ) from error
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute(f"PRAGMA cache_size = {CACHE}")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            connection.executescript(TABLES)
        except sqlite3.OperationalError as error:
            connection.close()
            raise AlreadyRunning(f"another backfill runs with {path}: wait for it, or end it") from error
        except sqlite3.Error as error:
            connection.close()
            raise StoreUnavailable(f"{path} cannot be used ({error}): remove it, and start again") from error
        return cls(path, connection)

    def close(self) -> None:
        """Close the file; its content is kept for the next run."""
        self._connection.close()

    def discard(self) -> None:
        """Delete the file with its phone numbers."""
        for path in (self._path, Path(f"{self._path}-journal")):
            path.unlink(missing_ok=True)
        self.close()

    def facts(self) -> Mapping[str, Any]:
        """General facts about the backfill."""
        return {name: json.loads(value) for name, value in self._execute("SELECT name, value FROM fact")}

    def set_facts(self, **facts: Any) -> None:
        """Store general facts."""
        self._many(
            "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [(name, json.dumps(value)) for name, value in facts.items()],
        )

    def clear(self) -> None:
        """Delete the whole content."""
        with self._transaction():
            self._execute("DELETE FROM contact")
            self._execute("DELETE FROM fact")

    def add(self, rows: Iterable[ContactRow]) -> None:
        """Add contacts; the last read version of a contact replaces earlier ones."""
        self._many(
            "INSERT OR REPLACE INTO contact (id, verdict, held, wanted, shown, created, account) VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def sharers(self, verdict: str) -> Iterator[Sharers]:
        """Contacts with this verdict, grouped by required external ID. Their verdicts may be changed during iteration."""
        self._execute("DROP TABLE IF EXISTS temp.sharer")
        # A separate table, because rows that change during reading may be returned twice or never.
        self._execute(
            "CREATE TEMP TABLE sharer AS SELECT c.wanted, c.id, "
            "(SELECT min(h.id) FROM contact h WHERE h.held = lower(c.wanted) AND h.held != '') AS holder "
            "FROM contact c WHERE c.verdict = ? ORDER BY lower(c.wanted), c.created, c.id",
            (verdict,),
        )
        rows = self._execute("SELECT wanted, id, holder FROM temp.sharer ORDER BY rowid")
        for _, group in groupby(rows, key=lambda row: row[0].lower()):
            members = list(group)
            yield Sharers(tuple(row[1] for row in members), members[0][2])

    def set_verdicts(self, verdicts: Iterable[tuple[str, Sequence[str], str]]) -> None:
        """Set (verdict, others, id) of contacts."""
        self._many(
            "UPDATE contact SET verdict = ?, others = ? WHERE id = ?",
            ((verdict, " ".join(others), contact_id) for verdict, others, contact_id in verdicts),
        )

    def counts(self) -> dict[str, int]:
        """The number of contacts per verdict."""
        return dict(self._execute("SELECT verdict, count(*) FROM contact GROUP BY verdict"))

    def findings(self, verdicts: Sequence[str], most: int = -1) -> Iterator[Finding]:
        """The contacts with these verdicts, grouped by number."""
        marks = ", ".join("?" * len(verdicts))
        rows = self._execute(
            f"SELECT id, verdict, shown, others, detail FROM contact WHERE verdict IN ({marks}) "  # noqa: S608 - marks alone.
            "ORDER BY verdict, wanted, created, id LIMIT ?",
            (*verdicts, most),
        )
        for contact_id, verdict, shown, others, detail in rows:
            yield Finding(contact_id, verdict, shown, tuple(others.split()), detail)

    def key_to_fill(self, contact_id: str) -> str | None:
        """The external ID that a contact still needs; None if it needs none."""
        row = self._execute(
            "SELECT wanted FROM contact WHERE id = ? AND verdict = 'fill' AND job IS NULL", (contact_id,)
        ).fetchone()
        return None if row is None else row[0]

    def assign(self, job: str, most: int) -> int:
        """Assign the next contacts to a job, grouped by account; returns how many."""
        return self._execute(
            "UPDATE contact SET job = ? WHERE id IN "
            "(SELECT id FROM contact WHERE verdict = 'fill' AND job IS NULL ORDER BY account, id LIMIT ?)",
            (job, most),
        ).rowcount

    def rows_of_job(self, job: str) -> Iterator[tuple[str, str]]:
        """The contacts of a job: id and external ID."""
        yield from self._execute(
            "SELECT id, wanted FROM contact WHERE verdict = 'fill' AND job = ? ORDER BY account, id", (job,)
        )

    def current_job(self) -> str | None:
        """The current job."""
        row = self._execute("SELECT job FROM contact WHERE verdict = 'fill' AND job IS NOT NULL LIMIT 1")
        found = row.fetchone()
        return None if found is None else found[0]

    def finish_job(
        self, job: str, *, written: Iterable[str], refused: Iterable[tuple[str, str, str]], again: Iterable[str]
    ) -> int:
        """Finish a job: the ids that it wrote, (id, verdict, detail) of the rejected ones, and the ids to try again.

        The others were not processed, and need to be filled as before. Returns how many they are.
        """
        with self._transaction():
            execute = self._executemany
            execute(
                "UPDATE contact SET verdict = 'written' WHERE id = ? AND job = ?",
                ((contact_id, job) for contact_id in written),
            )
            execute(
                "UPDATE contact SET verdict = ?, detail = ? WHERE id = ? AND job = ?",
                ((verdict, detail, contact_id, job) for contact_id, verdict, detail in refused),
            )
            execute(
                "UPDATE contact SET job = NULL, tries = tries + 1 WHERE id = ? AND job = ?",
                ((contact_id, job) for contact_id in again),
            )
            return self._execute("UPDATE contact SET job = NULL WHERE verdict = 'fill' AND job = ?", (job,)).rowcount

    def release_job(self, job: str) -> None:
        """Release the contacts of a job that never started: they need to be filled as before."""
        self._execute("UPDATE contact SET job = NULL WHERE verdict = 'fill' AND job = ?", (job,))

    def failed_tries(self, contact_id: str) -> int:
        """How often writing a contact has failed."""
        (count,) = self._execute("SELECT tries FROM contact WHERE id = ?", (contact_id,)).fetchone() or (0,)
        return int(count)

    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._transaction():
            self._executemany(sql, rows)

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> Exception:
        found = outage(error, self._path)
        return (
            error
            if found is None
            else StoreUnavailable(f"{found.message}: fix that, and run the command again to continue")
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite may have rolled it back by itself.
                self._connection.execute("ROLLBACK")
            raise
