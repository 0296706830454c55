"""The key under which forgotten people stay recognisable: their number is stored as a hash that is made with it.

A phone number has so few digits that a plain hash of it is soon guessed. The key is in a file beside the database and
not in it, so that a copy of the database alone says nothing about a forgotten person. Backups do not contain the key.
Without it nobody can tell any more that a forgotten person has opted out: docs/privacy.md.
"""

import hmac
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from connector.model.errors import ConnectorError, StoreUnavailable
from connector.model.phone import FORGOTTEN
from connector.store.private_files import create_private

KEY_BYTES = 32
DIGITS = 32  # hex digits of a pseudonym: 128 bits, no collision by chance
SIGNED = 8  # bytes of a hashed meaning, as inbox.meaning has
FINGERPRINT = "person_key"  # the name in `cursors` under which the database holds which key it needs


class PersonKeyMissing(ConnectorError):  # noqa: N818 - reads as what happened.
    """The key under which people were forgotten is missing, or the file has another one."""


def key_file(database: Path) -> Path:
    """The file with the key of a database."""
    return Path(f"{database}.person-key")


class PersonKey:
    """Makes pseudonyms. Without a key there are none, and no forgotten person is recognised."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    @classmethod
    def of(cls, database: Path) -> "PersonKey":
        """The key in the file beside the database; none if there is no readable file."""
        try:
            key = bytes.fromhex(key_file(database).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return cls(None)
        return cls(key if len(key) == KEY_BYTES else None)

    def pseudonym(self, text: str | None) -> str | None:
        """What is stored of a forgotten person in place of the number."""
        return None if text is None or self._key is None else FORGOTTEN + self._hash(text)[:DIGITS]

    def hashed_meaning(self, meaning: int | None) -> int | None:
        """What is stored of the meaning of an erased event (`inbox.meaning`)."""
        if meaning is None or self._key is None:
            return None
        return int.from_bytes(bytes.fromhex(self._hash(f"meaning {meaning}"))[:SIGNED], "big", signed=True)

    def fingerprint(self) -> str | None:
        """A text by which the key is recognised."""
        return None if self._key is None else self._hash("fingerprint")[:DIGITS]

    def _hash(self, text: str) -> str:
        if self._key is None:
            raise ValueError("without a key there is no pseudonym")
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def add_functions(connection: sqlite3.Connection, database: Path) -> None:
    """Let the connection's statements call `pseudonym(text)` and `hashed_meaning(number)`; NULL without a key."""
    key = PersonKey.of(database)
    connection.create_function("pseudonym", 1, key.pseudonym, deterministic=True)
    connection.create_function("hashed_meaning", 1, key.hashed_meaning, deterministic=True)


def ensure_key(connection: sqlite3.Connection, database: Path) -> None:
    """Make the key at the first start with this database. A key that is lost is not replaced: it may be found again.

    Raises StoreUnavailable if it cannot be written.
    """
    if fingerprint_of(connection) is None:
        if PersonKey.of(database).fingerprint() is None:
            write_key(database)
        remember_key(connection, database)


def remember_key(connection: sqlite3.Connection, database: Path) -> None:
    """Record in the database which key it needs from now on."""
    connection.execute(
        "INSERT INTO cursors (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (FINGERPRINT, PersonKey.of(database).fingerprint()),
    )


def write_key(database: Path) -> None:
    """Write a new key. The file appears complete, and only the service's user can read it. Raises StoreUnavailable."""
    path = key_file(database)
    part = path.with_name(f"{path.name}.new")
    try:
        part.unlink(missing_ok=True)
        create_private(part)
        with part.open("w", encoding="ascii") as stream:
            stream.write(f"{secrets.token_hex(KEY_BYTES)}\n")
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise StoreUnavailable(
            f"cannot write {path}: {error}. Check that the service's user may write to its directory."
        ) from error


def fingerprint_of(connection: sqlite3.Connection) -> str | None:
    """The fingerprint of the key that the database needs; None if it needs none yet."""
    row = connection.execute("SELECT value FROM cursors WHERE name = ?", (FINGERPRINT,)).fetchone()
    return row[0] if row else None


def key_is_missing(connection: sqlite3.Connection, database: Path) -> bool:
    """Whether the key that the database needs is missing, or is another one."""
    needed = fingerprint_of(connection)
    return needed is not None and PersonKey.of(database).fingerprint() != needed


def needs_key(database: Path) -> bool | None:
    """The same for a database that nobody has opened here; None if there is none, or if it has no key yet."""
    if not database.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return None if fingerprint_of(connection) is None else key_is_missing(connection, database)
    except sqlite3.Error:
        return None
