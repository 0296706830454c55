"""Free space on the disk.

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
