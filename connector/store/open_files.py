"""Checks whether the paths of the database still name the open files."""

import os
from pathlib import Path

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
