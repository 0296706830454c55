"""Why nothing can be stored, in words for a person: which file, what SQLite says about it, what to do."""

import sqlite3
from pathlib import Path

from msgspec import Struct

# Primary result codes that concern the whole group, not only the job that met them (sqlite.org/rescode.html).
BUSY, NO_MEMORY, READ_ONLY, IO_ERROR, CORRUPT, FULL, CANNOT_OPEN, NOT_A_DATABASE = 5, 7, 8, 10, 11, 13, 14, 26
UNAVAILABLE = frozenset({BUSY, NO_MEMORY, READ_ONLY, IO_ERROR, CORRUPT, FULL, CANNOT_OPEN, NOT_A_DATABASE})
BROKEN = frozenset({CORRUPT, NOT_A_DATABASE})  # nothing that this process holds can be trusted any more

GOES_ON = "until then callbacks are answered 503; nothing that was confirmed is lost, and no restart is needed"
NO_ROOM = "the disk is too full to store anything new: free some space; no restart is needed"


class Outage(Struct, frozen=True, kw_only=True):
    """A temporary fault of the database file. `kind` is from a fixed list: see docs/operations.md."""

    kind: str
    message: str
    cure: str

    @property
    def why(self) -> str:
        """All of it in one line."""
        return f"{self.message}: {self.cure}"


def nearly_full(path: Path) -> Outage:
    """The disk has less free space than the config reserves."""
    return Outage(
        kind="disk_full",
        message=f"the disk of {path} has less free space than `store: free_space_floor`, so nothing new is stored",
        cure=f"free some space on it; {GOES_ON}",
    )


def code_of(error: BaseException) -> int:
    """SQLite's primary result code; 0 if it is not an error of SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def outage(error: sqlite3.Error, path: Path) -> Outage | None:
    """The error as an outage; None if it is not about the file."""
    says = f'SQLite says "{error}"'
    match code_of(error):
        case 13:  # FULL
            return Outage(
                kind="disk_full",
                message=f"the disk is too full to store anything in {path} ({says})",
                cure=f"free some space on it; {GOES_ON}",
            )
        case 5:  # BUSY
            return Outage(
                kind="database_locked",
                message=f"another program holds a lock on {path} ({says})",
                cure=f"end that program, such as a `sqlite3` shell with an open transaction; {GOES_ON}",
            )
        case 8:  # READ_ONLY
            return Outage(
                kind="database_read_only",
                message=f"{path} cannot be written ({says})",
                cure=f"make the file and its directory writable for the service's user; {GOES_ON}",
            )
        case 7:  # NO_MEMORY
            return Outage(
                kind="no_memory",
                message=f"there is no memory left to write {path} ({says})",
                cure=f"free some memory on this machine; {GOES_ON}",
            )
        case 10 | 14:  # IO_ERROR, CANNOT_OPEN
            return Outage(
                kind="disk_error",
                message=f"the disk failed to read or write {path} ({says})",
                cure=f"check the disk and the system log (`dmesg`); {GOES_ON}",
            )
        case _:
            return None
