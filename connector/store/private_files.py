"""Files that only the service's user can read: 0600, whatever the umask. They hold phone numbers and texts."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

PRIVATE = 0o600
PRIVATE_DIRECTORY = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def create_private(path: Path) -> None:
    """Create an empty file that only its owner can use; an existing file is left as it is. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, PRIVATE)  # a umask may have removed even more
    finally:
        os.close(descriptor)


def create_private_directory(path: Path) -> None:
    """Create a directory and its missing parents, which only the owner can use; an existing one is left as it is."""
    if path.is_dir():
        return
    create_private_directory(path.parent)
    path.mkdir(PRIVATE_DIRECTORY, exist_ok=True)


def is_open_to_others(path: Path) -> bool:
    """Whether anybody but the owner has a right to the file; False if there is no file."""
    try:
        return bool(path.stat().st_mode & OTHERS)
    except OSError:
        return False


def tighten(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Remove other users' rights from these files; returns the files that had any. Raises OSError without permission."""
    loose = tuple(path for path in paths if is_open_to_others(path))
    for path in loose:
        path.chmod(PRIVATE)
    return loose


def give_to_owner_of(reference: Path, *paths: Path) -> None:
    """Give files that root has created to the owner of the reference; otherwise the service could not open them."""
    if os.geteuid() != 0:
        return
    owner = reference.stat()
    for path in paths:
        if path.exists():
            os.chown(path, owner.st_uid, owner.st_gid)
