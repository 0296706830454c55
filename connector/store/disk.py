"""Free space on the disk, and whether the paths of the database still name the open files.

On a full disk a WAL database is stuck: even the checkpoint that would shrink it needs space. So nothing new is accepted
below a minimum, and a ballast file can be deleted to free space.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from connector.store.private_files import create_private


def free_bytes(path: Path) -> int:
    """The bytes that the file system of this path has free for us; 0 if it does not answer."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0


class Disk:
    """The file system under the database."""

    def __init__(
        self, path: Path, *, ballast: int = 0, floor: int = 0, free: Callable[[Path], int] = free_bytes
    ) -> None:
        """`ballast` and `floor` in bytes; `free` measures the free space."""
        self.path = path
        self._directory = path.absolute().parent
        self._file = Path(f"{path}.ballast")
        self._ballast = ballast
        self._floor = floor
        self._free = free
        self._loaded = self._file.exists()
        self.load()

    def has_room(self) -> bool:
        """Whether something new may be accepted."""
        return not self._floor or self._free(self._directory) >= self._floor

    def release_ballast(self) -> None:
        """Delete the ballast, so that accepted data can use its space."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
            self._loaded = False

    def load(self) -> None:
        """Create the ballast (again), if twice its size is free."""
        if self._loaded or not self._ballast:
            return
        if self._free(self._directory) < self._floor + 2 * self._ballast:
            return
        with suppress(OSError):
            create_private(self._file)
        with suppress(OSError), self._file.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, self._ballast)
            self._loaded = True
        if not self._loaded:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)


BESIDE = ("", "-wal", "-shm")  # the database, its write-ahead log and the log's index, as SQLite names them


class OpenFiles:
    """The files of an open database. Create it right after opening."""

    def __init__(self, path: Path) -> None:
        self._opened: dict[str, tuple[int, int]] = {}
        for name in (f"{path}{ending}" for ending in BESIDE):
            if (identity := _identity(name)) is not None:
                self._opened[name] = identity

    def lost(self) -> str | None:
        """What happened to a file whose path no longer names it; None if all is well. It takes about a microsecond for each file.

        Data written to such a file is lost when this process ends. A file system that does not answer proves nothing.
        """
        for name, opened in self._opened.items():
            try:
                status = os.stat(name)  # noqa: PTH116 - each commit asks: creating a Path takes longer than the check.
            except (FileNotFoundError, NotADirectoryError):
                return f"{name} was deleted or moved away"
            except OSError:
                continue
            if (status.st_dev, status.st_ino) != opened:
                return f"another file was put in the place of {name}"
        return None


def _identity(name: str) -> tuple[int, int] | None:
    try:
        status = os.stat(name)  # noqa: PTH116 - see lost().
    except OSError:
        return None
    return status.st_dev, status.st_ino
