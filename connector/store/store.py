"""The store as a whole: opens the file, starts the writer and holds the tables' classes. No SQL here."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import Self

from connector.store.actions import Actions
from connector.store.activity import StoredActivity
from connector.store.agreements import Agreements
from connector.store.api_calls import Calls
from connector.store.audit import Audit
from connector.store.change_notices import ChangeNotices
from connector.store.charge_runs import ChargeRuns
from connector.store.charges import Charges
from connector.store.consents import Consents
from connector.store.console_sessions import ConsoleSessions
from connector.store.database import BUSY_TIMEOUT, FileLock, keep_private, lock_of, open_reader, open_writer
from connector.store.dead_letters import DeadLetters
from connector.store.disk import Disk, OpenFiles, free_bytes
from connector.store.enrichment_queue import Questions
from connector.store.event_pages import EventPages
from connector.store.event_search import Events
from connector.store.feeds import Following
from connector.store.forgetting import Forgetting
from connector.store.inbox import Inbox
from connector.store.known_records import KnownRecords
from connector.store.mappings import AcceptedFiles
from connector.store.migrations import migrate
from connector.store.notes import Notes
from connector.store.outage import Outage
from connector.store.outbox import Outbox
from connector.store.overview import Overview
from connector.store.people import People
from connector.store.person_key import add_functions, ensure_key
from connector.store.plans import Plans
from connector.store.records import Records
from connector.store.restore import Restored, restored
from connector.store.retention import Retention
from connector.store.sent_alarms import SentAlarms
from connector.store.state_guard import guard
from connector.store.stop_answers import StopAnswers
from connector.store.suspended_rules import Suspensions
from connector.store.suspended_units import SuspendedUnits
from connector.store.writer import Writer


class Made(StrEnum):
    """When the database was created."""

    BEFORE = "before"  # it existed before this start
    FIRST = "first"  # by this start, the first one here
    AGAIN = "again"  # by this start, although an earlier one had a database here


class Store:
    """All stored data. Open it in the event loop that uses it."""

    def __init__(self, path: Path, writer: Writer, lock: FileLock | None = None, made: Made = Made.BEFORE) -> None:
        self.path = path
        self.writer = writer
        self.made = made
        self._lock = lock
        self.tightened: tuple[Path, ...] = ()  # files that other users could read until this start
        self._reader = open_reader(path)
        self.inbox = Inbox(writer, self._reader)
        self.questions = Questions(writer, self._reader)
        self.plans = Plans(writer)
        self.outbox = Outbox(writer, self._reader)
        self.dead_letters = DeadLetters(writer, self._reader)
        self.consents = Consents(writer, self._reader)
        self.records = Records(writer, self._reader)
        self.stop_answers = StopAnswers(writer, self._reader)
        self.suspended_units = SuspendedUnits(writer, self._reader)
        self.suspensions = Suspensions(writer, self._reader)
        self.following = Following(writer, self._reader)
        self.change_notices = ChangeNotices(writer, self._reader)
        self.retention = Retention(path, writer, self._reader)
        self.overview = Overview(self._reader)
        self.calls = Calls(writer, self._reader)
        self.notes = Notes(self._reader)
        self.events = Events(path)
        self.event_pages = EventPages(path)
        self.mappings = AcceptedFiles(writer, self._reader)
        self.sent_alarms = SentAlarms(writer, self._reader)
        self.agreements = Agreements(writer, self._reader)
        self.known_records = partial(KnownRecords, self._reader)  # of the records that some operations name
        self.charges = Charges(writer, self._reader)
        self.charge_runs = ChargeRuns(writer, self._reader)
        self.console_sessions = ConsoleSessions(writer, self._reader)
        self.activity = StoredActivity(writer, self._reader)
        self.audit = Audit(writer, self._reader)
        self.forgetting = Forgetting(path, writer, self._reader)
        self.people = People(writer, self._reader)
        self.actions = Actions(writer, self._reader)

    @cached_property
    def restored(self) -> Restored | None:
        """Whether the database was restored from a backup, and which one."""
        return restored(self._reader)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        ballast: int = 0,
        floor: int = 0,
        free: Callable[[Path], int] = free_bytes,
        on_broken: Callable[[str], None] | None = None,
        on_outage: Callable[[Outage], None] | None = None,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
        busy_timeout: timedelta = BUSY_TIMEOUT,
    ) -> Self:
        """Open the file for this process alone, and migrate its tables to the newest version.

        `ballast` and `floor` in bytes (disk.py). `on_broken` is called once when the file can no longer be trusted,
        and the process must end then; `on_outage` when writes begin to fail (writer.py). `factory` makes the connection
        that writes, which waits `busy_timeout` for another program's lock. Raises AlreadyRunning, or StoreUnavailable
        if the file is unsuitable.
        """
        made = Made.BEFORE if path.exists() else Made.AGAIN if lock_of(path).exists() else Made.FIRST
        with ExitStack() as undo:
            lock = FileLock(path)
            undo.callback(lock.release)
            tightened = keep_private(path)
            connection = open_writer(path, factory=factory, busy_timeout=busy_timeout)
            undo.callback(connection.close)
            migrate(connection)
            ensure_key(connection, path)
            add_functions(connection, path)
            guard(connection)
            disk = Disk(path, ballast=ballast, floor=floor, free=free)
            writer = Writer(connection, disk, files=OpenFiles(path), on_broken=on_broken, on_outage=on_outage)
            store = cls(path, writer, lock, made)
            store.tightened = tightened
            writer.start()
            undo.pop_all()
        return store

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open the file read-only, even while another process holds it; every write raises StoreUnavailable."""
        return cls(path, Writer(open_reader(path), Disk(path)))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything that is read in the block comes from one snapshot, while the writer goes on. Await nothing in it."""
        self._reader.execute("BEGIN")
        try:
            yield
        finally:
            self._reader.execute("COMMIT")

    async def close(self) -> None:
        """Finish what was given to the writer, and close the file. Closing twice does no harm."""
        self._reader.close()
        await self.writer.close()
        self.forgetting.close()
        if self._lock:
            self._lock.release()
