"""The mapping files on disk: reading one for an editor, and replacing one so that the file from before is kept.

The file from before is kept as `.replaced/NAME.YYYY-MM-DDTHH-MM-SSZ` in the folder of the mappings. Nothing in a folder
whose name begins with a dot is ever loaded. Blocks: call it in a thread.
"""

import errno
import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from connector.mapping.compile.files import mapping_files
from connector.model.errors import ConnectorError

KEPT = ".replaced"  # the folder of the files from before
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.ya?ml")
MAX_BYTES = 256 * 1024  # of a file that is edited in a browser: 5,000 lines
NEW = ""  # the digest of a file that does not exist


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """A file as it is on disk."""

    name: str
    text: str
    digest: str  # of its bytes; NEW if there is no such file
    is_crlf: bool = False  # whether its lines end as Windows writes them


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A file that was replaced. `kept` is the file from before; None if there was none."""

    path: Path
    kept: Path | None


class ChangedOnDiskError(ConnectorError):
    """Somebody else has changed the file since it was opened."""

    def __init__(self, on_disk: FileText) -> None:
        super().__init__(f"{on_disk.name} was changed on disk since you opened it: nothing was written")
        self.on_disk = on_disk


def read_file(directory: Path, name: str) -> FileText:
    """A file for an editor. Raises ConnectorError if there is none, or if it is no text in UTF-8."""
    if name not in {path.name for path in mapping_files(directory)}:
        raise ConnectorError(f"there is no mapping file {name if NAME.fullmatch(name) else 'with this name'}")
    return _read(directory / name)


def _read(path: Path) -> FileText:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        return FileText(name=path.name, text="", digest=NEW)
    except (OSError, UnicodeDecodeError) as error:
        raise ConnectorError(f"{path.name} cannot be read as a text in UTF-8: see `connector check`") from error
    if len(data) > MAX_BYTES:
        raise ConnectorError(f"{path.name} is larger than 256 KiB: edit it on the connector's machine")
    return FileText(
        name=path.name, text=text.replace("\r\n", "\n"), digest=hashlib.sha256(data).hexdigest(), is_crlf="\r\n" in text
    )


def check_name(name: str) -> None:
    """Raises ConnectorError for a name that no mapping file may get from a browser."""
    if not NAME.fullmatch(name):
        raise ConnectorError("a mapping file has a name such as my-rules.yaml: letters, digits, - and _, then .yaml")


def check_size(text: str) -> None:
    """Raises ConnectorError for a text that is too long to be edited in a browser."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise ConnectorError("this text is larger than 256 KiB: edit the file on the connector's machine")


def may_write(directory: Path) -> bool:
    """Whether the connector may write files there, as far as can be told without writing."""
    return os.access(directory, os.W_OK | os.X_OK)


def cannot_write(directory: Path) -> str:
    """What to do where it may not."""
    return (
        f"the service may not write in {directory}: run `systemctl edit connector`, add the lines [Service] and "
        f"ReadWritePaths={directory}, let the service's user own the folder (chown -R connector {directory}), then "
        "`systemctl restart connector`; or edit the file there yourself, and run `connector reload`"
    )


def replace_file(directory: Path, name: str, text: str, *, opened: str, now: datetime) -> Replaced:
    """Write the text to the file, all or nothing, and keep the file from before.

    `opened` is the digest of the file as the person saw it. Raises ChangedOnDiskError if the file is another one now, and
    ConnectorError if it cannot be written; the file from before is then still there.
    """
    check_name(name)
    check_size(text)
    path = directory / name
    if path.is_symlink():
        raise ConnectorError(f"{name} is a link to another file: edit that one, and run `connector reload`")
    before = _read(path)
    if before.digest != opened:
        raise ChangedOnDiskError(before)
    fresh = directory / f".{name}.new"
    try:
        kept = _keep(path, now) if before.digest != NEW else None
        written = text.replace("\n", "\r\n") if before.is_crlf else text
        _write(fresh, written.encode(), like=path if kept else None)
        fresh.replace(path)
        _sync(directory)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise ConnectorError(cannot_write(directory)) from error
        why = error.strerror or type(error).__name__
        raise ConnectorError(f"{name} could not be written: {why}; the file from before is in place") from error
    return Replaced(path=path, kept=kept)


def put_back(replaced: Replaced) -> None:
    """Put the file from before back in its place, or delete the file if there was none. Raises OSError."""
    if replaced.kept is None:
        replaced.path.unlink(missing_ok=True)
    else:
        replaced.kept.replace(replaced.path)
    _sync(replaced.path.parent)


def _keep(path: Path, now: datetime) -> Path:
    """A second name for the file: the file itself stays as it is, with its owner and mode, when another takes its name."""
    folder = path.parent / KEPT
    folder.mkdir(mode=0o700, exist_ok=True)
    number = 1
    while True:
        again = f".{number}" if number > 1 else ""
        kept = folder / f"{path.name}.{now:%Y-%m-%dT%H-%M-%SZ}{again}"
        try:
            kept.hardlink_to(path)
        except FileExistsError:
            number += 1
            continue
        except OSError:  # a file system without links
            _write(kept, path.read_bytes(), like=path)
        _sync(folder)
        return kept


def _write(path: Path, data: bytes, *, like: Path | None) -> None:
    """Write a new file and wait until the disk has it. It gets the mode of another file, or may be read by its owner alone."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        if like is not None:
            known = like.stat()
            os.fchmod(descriptor, known.st_mode & 0o777)
            with suppress(OSError):  # only root gives files away; the owner is then this service's user
                os.fchown(descriptor, known.st_uid, known.st_gid)
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    """Wait until the disk has the names of a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
