"""The list of forgotten people beside the database: a restored backup may hold their data, which is then erased again."""

import os
import sqlite3
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from connector.store.person_key import PersonKey
from connector.store.private_files import create_private
from connector.store.sql import execute_rows, micros

NUMBERS = """SELECT msisdn FROM ledger WHERE substr(msisdn, 1, 1) = '+' UNION SELECT msisdn FROM inbox WHERE msisdn <> ''
    UNION SELECT phone FROM shadows WHERE phone <> '' UNION SELECT msisdn FROM agreements WHERE substr(msisdn, 1, 1) = '+'"""


def list_file(database: Path) -> Path:
    """The file that lists who was forgotten, by pseudonym."""
    return Path(f"{database}.forgotten")


def add_to_list(database: Path, person: str | None, now: datetime) -> None:
    """Add a person to the list."""
    if person is None:
        return
    path = list_file(database)
    create_private(path)
    with path.open("a", encoding="ascii") as stream:
        stream.write(f"{now.isoformat(timespec='seconds')} {person}\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_list(database: Path) -> dict[str, datetime]:
    """Who was forgotten, and when, by the list beside the database. A line that cannot be read is skipped."""
    found: dict[str, datetime] = {}
    with suppress(OSError):
        for line in list_file(database).read_text(encoding="ascii", errors="replace").splitlines():
            with suppress(ValueError):
                at, person = line.split()
                found[person] = datetime.fromisoformat(at)
    return found


def ask_again(connection: sqlite3.Connection, database: Path, taken_at: datetime) -> int:
    """After a restore: request again to erase everybody who was forgotten since the backup was taken; returns how many.

    `database` is the file in use, beside which key and list are.
    """
    key, people = PersonKey.of(database), read_list(database)
    since = {person for person, at in people.items() if at >= taken_at.replace(microsecond=0)}
    found = [number for (number,) in connection.execute(NUMBERS) if key.pseudonym(number) in since] if since else []
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM inbox").fetchone()
    execute_rows(
        connection,
        "INSERT OR REPLACE INTO forgotten (person, number, last_event_id, asked_at) VALUES {rows}",
        [(key.pseudonym(one), one, last, micros(people[str(key.pseudonym(one))])) for one in found],
    )
    return len(found)
