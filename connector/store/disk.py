"""Room on the disk.

A full disk wedges a WAL database: not even the checkpoint that would shrink it has room. So nothing new is taken below a
floor, and a ballast file is there to be thrown off.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from connector.store.private_files import create_private


def free_bytes(path: Path) -> int:
    """What the file system of this path has left for us; nothing where it does not answer."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0


class Disk:
    """The file system under the database."""

    def __init__(
        self, path: Path, *, ballast: int = 0, floor: int = 0, free: Callable[[Path], int] = free_bytes
    ) -> None:
        """`ballast` and `floor` in bytes; `free` measures what is left."""
        self.path = path
        self._directory = path.absolute().parent
        self._file = Path(f"{path}.ballast")
        self._ballast = ballast
        self._floor = floor
        self._free = free
        self._loaded = self._file.exists()
        self.load()

    def has_room(self) -> bool:
        """Whether something new may be taken."""
        return not self._floor or self._free(self._directory) >= self._floor

    def release_ballast(self) -> None:
        """Give the ballast's room to what is already ours."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
            self._loaded = False

    def load(self) -> None:
        """Take the ballast in (again), where there is room for it twice over."""
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
