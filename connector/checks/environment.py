"""Checks the machine: the public address, the disk, SQLite. The CRMs are checked elsewhere."""

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from connector.model.finding import Finding, Level
from connector.registry import LoadedConfig
from connector.store.database import RESTORE, SQLITE
from connector.store.disk import free_bytes
from connector.store.person_key import key_file, needs_key

OLDEST_SQLITE = (3, 38, 0)  # the first with the operator ->> for JSON
# Earlier ones can damage a file that two programs checkpoint (sqlite.org/wal.html, "The WAL-Reset Bug"); we are one of
# them.
SAFE_SQLITE = (3, 51, 3)
MAGIC = b"SQLite format 3\0"  # sqlite.org/fileformat.html, "The Database Header"
MIB = 1024 * 1024
# Where the unit in systemd/ lets nobody write (systemd.exec(5), ProtectSystem=strict and ProtectHome=yes), and its
# StateDirectory.
READ_ONLY = tuple(map(Path, ("/etc", "/usr", "/boot", "/opt", "/srv")))
STATE = "/var/lib/connector"


def check_environment(
    loaded: LoadedConfig, *, free: Callable[[Path], int] = free_bytes, sqlite: tuple[int, int, int] = SQLITE
) -> Sequence[Finding]:
    """One finding for each; `free` measures the free space of a file system, in bytes."""
    return [
        _public_url(loaded),
        *_database_location(loaded),
        *_database_file(loaded),
        _disk(loaded, free),
        *_person_key(loaded),
        _sqlite(sqlite),
    ]


def _public_url(loaded: LoadedConfig) -> Finding:
    url = loaded.settings.listen.public_url
    if url is None:
        return Finding(
            area="public address",
            level=Level.WARN,
            text="`listen: public_url:` is not set",
            cure="set it to the address that your providers call; signatures and keywords need it",
        )
    if urlsplit(url).scheme != "https":
        return Finding(
            area="public address",
            level=Level.FAIL,
            text=f"providers call {url} without TLS: phone numbers and secrets are sent unencrypted",
            cure="put a TLS proxy in front of the connector, and use https:// in `listen: public_url:`",
        )
    return Finding(area="public address", level=Level.OK, text=f"providers call {url}")


def _database_location(loaded: LoadedConfig) -> Sequence[Finding]:
    """A finding if the shipped systemd unit may not write to the place of the database: it would not start."""
    path = loaded.database
    if not any(path.is_relative_to(one) for one in READ_ONLY):
        return []
    return [
        Finding(
            area="store",
            level=Level.FAIL,
            text=f"the service may not write {path}: its unit has ProtectSystem=strict",
            cure=f"set `store: path:` to {STATE}/{path.name} in the config",
        )
    ]


def _database_file(loaded: LoadedConfig) -> Sequence[Finding]:
    """A finding if there is something at the place of the database that is not a database."""
    path = loaded.database
    try:
        if path.is_dir():
            text, cure = "is a folder", f"name a file by `store: path:` in the config, such as {path / 'connector.db'}"
        else:
            with path.open("rb") as stream:
                begin = stream.read(len(MAGIC))
            if begin in {b"", MAGIC}:
                return []
            text, cure = "is not a database, or is damaged", RESTORE
    except OSError:  # there is none yet, or it is another user's
        return []
    return [Finding(area="store", level=Level.FAIL, text=f"{path} {text}", cure=cure)]


def _person_key(loaded: LoadedConfig) -> Sequence[Finding]:
    """A finding about the key by which forgotten people are recognised; none before the first start."""
    path = loaded.database
    missing = needs_key(path)
    if missing is None:
        return []
    file = key_file(path)
    if missing:
        return [
            Finding(
                area="forgotten people",
                level=Level.FAIL,
                text=f"{file} is missing, or is not the key of this database: their opt-outs are not recognised",
                cure="put the file back from your backup; if it is lost for good, `connector person new-key` makes another",
            )
        ]
    return [
        Finding(
            area="forgotten people",
            level=Level.OK,
            text=f"{file} is the key under which they are recognised: back it up, apart from the backups",
        )
    ]


def _disk(loaded: LoadedConfig, free: Callable[[Path], int]) -> Finding:
    store = loaded.settings.store
    path = loaded.database
    cure = "free some space, or move `store: path:` to another disk"
    if not path.parent.is_dir():
        return Finding(
            area="disk",
            level=Level.FAIL,
            text=f"{path.parent} does not exist",
            cure="create the directory, and make the service's user its owner",
        )
    left = free(path.parent)
    text = f"{left // MIB} MiB are free for events"
    if left < store.free_space_floor:
        return Finding(area="disk", level=Level.FAIL, text=f"{text}: too little to store new ones", cure=cure)
    if left < store.free_space_floor + 2 * store.ballast:
        return Finding(
            area="disk", level=Level.WARN, text=f"{text}: little more than `store: free_space_floor`", cure=cure
        )
    return Finding(area="disk", level=Level.OK, text=text)


def _sqlite(version: tuple[int, int, int]) -> Finding:
    words = ".".join(str(number) for number in version)
    if version < OLDEST_SQLITE:
        oldest = ".".join(str(number) for number in OLDEST_SQLITE)
        return Finding(
            area="SQLite",
            level=Level.FAIL,
            text=f"SQLite {words} is too old",
            cure=f"use a Python whose sqlite3 is {oldest} or later",
        )
    care = "" if version >= SAFE_SQLITE else "; let no other program write to the database, such as a replicator"
    return Finding(area="SQLite", level=Level.OK, text=f"SQLite {words}{care}")
