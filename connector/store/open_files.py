"""Whether the paths of the database still name the files that are open."""

import os
from pathlib import Path

BESIDE = ("", "-wal", "-shm")  # the database, its write-ahead log and the log's index, as SQLite names them


class OpenFiles:
    """The files of a database that is open. Made right after it was opened."""

    def __init__(self, path: Path) -> None:
        self._opened: dict[str, tuple[int, int]] = {}
        for name in (f"{path}{ending}" for ending in BESIDE):
            if (identity := _identity(name)) is not None:
                self._opened[name] = identity

    def lost(self) -> str | None:
        """What became of a file whose path names it no more; None while all is well. It costs about a microsecond a file.

        What is written into such a file is gone with this process. A file system that does not answer proves nothing.
        """
        for name, opened in self._opened.items():
            try:
                status = os.stat(name)  # noqa: PTH116 - each commit asks: a Path costs more than the question.
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
