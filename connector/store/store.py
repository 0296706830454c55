"""The store as a whole: opens the file, starts the writer and holds the rooms. No SQL here."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from connector.store.database import FileLock, open_reader, open_writer
from connector.store.disk import Disk, free_bytes
from connector.store.inbox import Inbox
from connector.store.migrations import migrate
from connector.store.transitions import guard
from connector.store.writer import Writer


class Store:
    """Everything that is remembered. Open it in the event loop that uses it."""

    def __init__(self, path: Path, lock: FileLock | None, writer: Writer) -> None:
        self.path = path
        self._lock = lock
        self.writer = writer
        self._reader = open_reader(path)
        self.inbox = Inbox(writer, self._reader)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        ballast: int = 0,
        floor: int = 0,
        free: Callable[[Path], int] = free_bytes,
        on_broken: Callable[[str], None] | None = None,
    ) -> Self:
        """Open the file for this process alone, and bring its tables to the newest form.

        `ballast` and `floor` in bytes (disk.py); `on_broken` is called once when the file cannot be trusted any more, and the
        process must end then. Raises AlreadyRunning, and StoreUnavailable where the file does not do.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            connection = open_writer(path)
            migrate(connection)
            guard(connection)
            writer = Writer(connection, Disk(path, ballast=ballast, floor=floor, free=free), on_broken=on_broken)
            return cls(path, lock, writer)
        except BaseException:
            lock.release()
            raise

    async def close(self) -> None:
        """Finish what was given to the writer, and let go of the file."""
        self._reader.close()
        await self.writer.close()
        if self._lock:
            self._lock.release()
