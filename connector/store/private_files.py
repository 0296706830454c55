"""Files that the service's user alone can read: 0600, whatever the umask. They hold phone numbers and texts."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

PRIVATE = 0o600
PRIVATE_DIRECTORY = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def create_private(path: Path) -> None:
    """Make an empty file that only its owner can use; a file that is there is left as it is. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, PRIVATE)  # a umask may have taken even more away
    finally:
        os.close(descriptor)


def create_private_directory(path: Path) -> None:
    """Make a directory, and what is missing above it, that only its owner can use; one that is there is left as it is."""
    if path.is_dir():
        return
    create_private_directory(path.parent)
    path.mkdir(PRIVATE_DIRECTORY, exist_ok=True)


def is_open_to_others(path: Path) -> bool:
    """Whether anybody but the owner has a right to the file; not where there is none."""
    try:
        return bool(path.stat().st_mode & OTHERS)
    except OSError:
        return False


def tighten(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Take the rights of others away from those files that give any; which they were. Raises OSError where we may not."""
    loose = tuple(path for path in paths if is_open_to_others(path))
    for path in loose:
        path.chmod(PRIVATE)
    return loose


def give_to_owner_of(reference: Path, *paths: Path) -> None:
    """Where root has made these files, make them those of the user whose the reference is: the service could not open them else."""
    if os.geteuid() != 0:
        return
    owner = reference.stat()
    for path in paths:
        if path.exists():
            os.chown(path, owner.st_uid, owner.st_gid)
