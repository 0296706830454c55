"""The writer: one thread, the only one that writes and runs checkpoints. It knows nothing of tables.

All waiting jobs share one commit, each in its own savepoint.

A full or failing disk, or a lock, is an outage: new jobs are refused until a write succeeds again. A fault that cannot
be repaired from within breaks the store for good: a damaged file, a path that names another file, a disk that has
failed for too long.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from connector.model.errors import StoreUnavailable
from connector.store.disk import Disk, OpenFiles
from connector.store.outage import BROKEN, FULL, IO_ERROR, NO_ROOM, UNAVAILABLE, Outage, code_of, outage

T = TypeVar("T")
Item = TypeVar("Item")

GROUP = 512  # jobs in a commit: limits the wait of one of them, far above what waits in practice
# Seconds that a disk may fail: then the process ends. A new process opens the files again, and checks them first.
LONGEST_IO_ERROR = 30.0

EMPTYING = 100  # milliseconds that emptying the log waits for readers; callbacks wait meanwhile
CHECKPOINT = 1000  # pages that are moved at once: limits how long callbacks wait for it
ROLLBACK_ONE = ("ROLLBACK TO piece", "RELEASE piece")
BEGIN_NEW = ("ROLLBACK", "BEGIN IMMEDIATE")

CLOSED = "the database accepts nothing: the connector is stopping, or the file was opened only to be read"


@dataclass(slots=True, eq=False)
class _Job:
    future: asyncio.Future[Any]
    work: Callable[[sqlite3.Connection], Any] | None
    together: Callable[[sqlite3.Connection, list[Any]], Sequence[Any]] | None = None
    item: Any = None
    new: bool = False  # adds something new, so it needs free space
    tries: bool = False  # only tests whether anything can be written
    result: Any = None
    error: BaseException | None = None


class Checkpoints:
    """Decides when the next checkpoint is due.

    Only a checkpoint reveals how many pages are in the log, so jobs are counted in between.
    """

    def __init__(self) -> None:
        self._works = 0  # since the last one
        self._each = 4.0  # recent pages for each job; a callback writes about so many
        self._moved = 0  # pages of the current log that are in the database already

    def due(self, jobs: int) -> bool:
        """Count these jobs, and return whether enough pages are in the log."""
        self._works += jobs
        return self._works * self._each >= CHECKPOINT

    def put_off(self) -> None:
        """Wait for as many jobs again."""
        self._works = 0

    def done(self, frames: int, moved: int) -> None:
        """Learn from a checkpoint: so many of the `frames` pages in the log are in the database now."""
        new = moved - self._moved
        if new > 0:
            self._each = new / self._works
        # Once all of it is moved, the log starts again.
        self._moved = 0 if moved == frames else moved
        self._works = 0


class Writer:
    """Runs jobs in transactions. Created and closed by the event loop that awaits its jobs."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        disk: Disk,
        *,
        files: OpenFiles | None = None,
        on_broken: Callable[[str], None] | None = None,
        on_outage: Callable[[Outage], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_broken` is called in the loop, once, when the file can no longer be trusted: the process must end.

        `on_outage` is called in the loop when writes begin to fail, and when the reason for their failure changes.
        """
        self._connection = connection
        self._disk = disk
        self._files = files
        self._on_broken = on_broken
        self._on_outage = on_outage
        self._monotonic = monotonic
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = True
        self.broken: str | None = None
        self.outage: Outage | None = None  # why writes fail now
        self._failed_at: float | None = None  # when the disk began to fail, monotonic seconds
        self._checkpoints = Checkpoints()
        # Who waits for an empty log, and what is then to be done to the file.
        self._emptied: SimpleQueue[tuple[asyncio.Future[bool], Callable[[], None]]] = SimpleQueue()
        self._thread = Thread(target=self._work, name="store-writer", daemon=True)

    def start(self) -> None:
        """Begin to accept jobs. A writer that was never started refuses them: the file was opened to be read."""
        self._closed = False
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T], *, new: bool = False) -> T:
        """Run one job and return its result after the commit; its exception rolls back only itself.

        `new` says that it adds something new, which is refused if the disk is nearly full. Raises StoreUnavailable if
        it could not be committed.
        """
        result: T = await self._put(_Job(self._future(), work, new=new))
        return result

    async def run_together(
        self, jobs: Callable[[sqlite3.Connection, list[Item]], Sequence[T | Exception]], item: Item
    ) -> T:
        """Run one job for the items of all callers who wait; each gets its own answer.

        An exception among the answers is raised to its caller. If the job itself raises, it runs again for each item
        separately, so that only the caller at fault gets the exception. The items are always something new.
        """
        result: T = await self._put(_Job(self._future(), None, jobs, item, new=True))
        return result

    def has_room(self) -> bool:
        """Whether the disk has space for something new."""
        return self._disk.has_room()

    async def alive(self) -> bool:
        """Whether the thread accepts jobs and the file can be trusted; waits for the jobs before it.

        It tries a write, so that the start and the end of an outage are noticed even if nothing else is written.
        """
        if self.broken or self._closed:
            return False
        with suppress(StoreUnavailable):
            await self._put(_Job(self._future(), _write_nothing, tries=True))
        return not self.broken

    async def empty_log(self, then: Callable[[], None] = lambda: None) -> bool:
        """Move all pages of the write-ahead log into the database, and cut the log to nothing.

        `then` is called while the log is empty and nothing is written. False if a reader, such as a backup, still needs
        the log, or if `then` failed. Raises StoreUnavailable.
        """
        done: asyncio.Future[bool] = self._future()
        self._emptied.put((done, then))
        await self._put(_Job(self._future(), _write_nothing))
        return await done

    async def close(self) -> None:
        """Finish the accepted jobs, then end the thread and its connection. Closing twice does no harm."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
        self._connection.close()

    @staticmethod
    def _future() -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def _put(self, job: _Job) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreUnavailable(CLOSED)
        self._queue.put(job)
        return job.future

    def _work(self) -> None:
        while group := self._next_group():
            before = self.broken, self.outage
            try:
                self._commit(group)
                self._look_at_files(group)
            except Exception as error:  # noqa: BLE001 - the thread must survive every error.
                _fail(group, f"nothing was stored: {type(error).__name__}")
            # After the loop is closed nobody waits for the answer.
            with suppress(RuntimeError):
                group[0].future.get_loop().call_soon_threadsafe(
                    self._answer, group, before != (self.broken, self.outage)
                )
            self._checkpoint(len(group))

    def _answer(self, group: list[_Job], changed: bool) -> None:  # noqa: FBT001 - call_soon_threadsafe takes no keywords.
        """Runs in the loop."""
        if changed and self.broken and self._on_broken:
            self._on_broken(self.broken)
        elif changed and self.outage and self._on_outage:
            self._on_outage(self.outage)
        _answer(group)

    def _look_at_files(self, jobs: list[_Job]) -> None:
        """Check the open files: a commit to a file that its path no longer names is not stored, and must not be confirmed."""
        if self._files is not None and not self.broken and (lost := self._files.lost()):
            self.broken = (
                f"{lost} while the connector ran: new data would be lost, so the process ends and is started again"
            )
            _fail(jobs, self.broken)

    def _checkpoint(self, jobs: int) -> None:
        """Move pages from the write-ahead log into the database, if there are enough. It runs after all answers, so that nobody waits.

        No second connection may do it: before SQLite 3.51.3 one that checkpoints while another writes can damage the
        file (sqlite.org/wal.html, "The WAL-Reset Bug").
        """
        self._empty_log()
        if self.broken or self.outage or not self._checkpoints.due(jobs):
            return
        try:
            _, frames, moved = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            # A commit meets and reports the fault; `wal_autocheckpoint` limits the log if no checkpoint succeeds here.
            self._checkpoints.put_off()
        else:
            self._checkpoints.done(frames, moved)

    def _empty_log(self) -> None:
        """Empty the log for those who wait for that."""
        with suppress(Empty):
            while True:
                done, then = self._emptied.get_nowait()
                emptied = not self.broken and not self.outage and self._truncate(then)
                with suppress(RuntimeError):
                    done.get_loop().call_soon_threadsafe(_set, done, emptied)

    def _truncate(self, then: Callable[[], None]) -> bool:
        (patience,) = self._connection.execute("PRAGMA busy_timeout").fetchone()
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {EMPTYING}")
            (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                then()
                # Pages in memory are as they were before `then`, and would be written so.
                self._connection.execute("PRAGMA shrink_memory")
        except (sqlite3.Error, OSError):
            return False
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {patience}")
        if not busy:
            self._checkpoints = Checkpoints()
        return not busy

    def _next_group(self) -> list[_Job]:
        """Wait for a job and take all that wait after it, without waiting to fill a group. Empty at the end."""
        group: list[_Job] = []
        job = self._queue.get()
        with suppress(Empty):
            while job is not None:
                group.append(job)
                if len(group) == GROUP:
                    break
                job = self._queue.get_nowait()
        if job is None and group:
            self._queue.put(None)
        return group

    def _commit(self, jobs: list[_Job]) -> None:
        if self.broken:
            _fail(jobs, self.broken)
            return
        if not self._disk.has_room():
            _fail([job for job in jobs if job.new], NO_ROOM)
            jobs = [job for job in jobs if not job.new]
            if not jobs:
                return
        changes = self._connection.total_changes
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._run_all(jobs)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail_all(jobs, error)
        else:
            if self.outage and (self._connection.total_changes > changes or any(job.tries for job in jobs)):
                self.outage = self._failed_at = None
            self._disk.load()

    def _run_all(self, jobs: list[_Job]) -> None:
        pieces: list[list[_Job]] = []
        shared: dict[Any, list[_Job]] = {}
        for job in jobs:
            if job.together is None:
                pieces.append([job])
            elif job.together in shared:
                shared[job.together].append(job)
            else:
                shared[job.together] = piece = [job]
                pieces.append(piece)
        for piece in pieces:
            self._run(piece, alone=len(pieces) == 1)

    def _run(self, piece: list[_Job], *, alone: bool) -> None:
        """Run jobs that share a function. A single job in its transaction needs no savepoint, which costs as much as a small job."""
        if not alone:
            self._connection.execute("SAVEPOINT piece")
        try:
            _work_for(self._connection, piece)
        except BaseException as error:  # noqa: BLE001 - the error belongs to the caller; the thread must survive it.
            _raise_if_group_is_lost(error)
            for statement in BEGIN_NEW if alone else ROLLBACK_ONE:
                self._connection.execute(statement)
            if len(piece) == 1:
                piece[0].error = error
                return
            for job in piece:
                self._run([job], alone=False)
        else:
            if not alone:
                self._connection.execute("RELEASE piece")

    def _fail_all(self, jobs: list[_Job], error: sqlite3.Error) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        code, found = code_of(error), outage(error, self._disk.path)
        if code == FULL:
            self._disk.release_ballast()
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if code == IO_ERROR:
            # In WAL mode the next commit writes again what was not synced, so the error may pass.
            self._failed_at = self._monotonic() if self._failed_at is None else self._failed_at
            if self._monotonic() - self._failed_at >= LONGEST_IO_ERROR:
                self.broken = (
                    f"{self._disk.path} can no longer be written ({error}): check the disk; a restart checks the file"
                )
        elif code in BROKEN:
            self.broken = (
                f"the database file can no longer be trusted ({error}): check the disk; a restart checks the file"
            )
        if found is not None and (self.outage is None or self.outage.kind != found.kind):
            self.outage = found
        _fail(jobs, self.broken or (found.why if found else f"nothing was stored: {error}"))


def _set(future: asyncio.Future[bool], result: bool) -> None:  # noqa: FBT001 - call_soon_threadsafe takes no keywords.
    if not future.done():
        future.set_result(result)


def _write_nothing(connection: sqlite3.Connection) -> None:
    """A write that changes nothing: it writes the first page again unchanged."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")


def _raise_if_group_is_lost(error: BaseException) -> None:
    if isinstance(error, sqlite3.Error) and code_of(error) in UNAVAILABLE:
        raise error


def _work_for(connection: sqlite3.Connection, piece: list[_Job]) -> None:
    first = piece[0]
    if first.work:
        first.result = first.work(connection)
    if first.together:
        for job, answer in zip(piece, first.together(connection, [job.item for job in piece]), strict=True):
            if isinstance(answer, Exception):
                job.error = answer
            else:
                job.result = answer


def _fail(jobs: list[_Job], why: str) -> None:
    for job in jobs:
        job.result, job.error = None, StoreUnavailable(why)


def _answer(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue  # the caller has left; its data is stored all the same.
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
