"""Opaque ids of people: addresses and logs name a person by them, and never by the phone number."""

import secrets
import sqlite3
from collections.abc import Iterable

from connector.store.sql import as_list, execute_rows
from connector.store.writer import Writer

ID_BYTES = 12  # random bytes: nobody guesses the id of a person
ADD = "INSERT INTO people (id, msisdn) VALUES {rows} ON CONFLICT (msisdn) DO NOTHING"
KNOWN = "SELECT msisdn, id FROM people WHERE msisdn IN (SELECT value FROM json_each(?))"


class People:
    """Reads and writes the ids."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def phone_of(self, person_id: str) -> str | None:
        """The number of a person; None if nobody has this id, or the person was forgotten."""
        row = self._reader.execute("SELECT msisdn FROM people WHERE id = ?", (person_id,)).fetchone()
        return row[0] if row else None

    async def id_of(self, e164: str) -> str:
        """The id of a person. It is made where there is none."""
        return (await self.ids_of([e164]))[e164]

    async def ids_of(self, numbers: Iterable[str]) -> dict[str, str]:
        """The ids of people, by number. They are made where there are none."""
        wanted = sorted(set(numbers))
        found = _known(self._reader, wanted)
        if missing := [one for one in wanted if one not in found]:
            found |= await self._writer.run(lambda connection: _make(connection, missing))
        return found


def forget_id(connection: sqlite3.Connection, e164: str) -> int:
    """Delete the id of a person, so that the address leads nowhere; returns how many there were. Runs inside the writer."""
    return connection.execute("DELETE FROM people WHERE msisdn = ?", (e164,)).rowcount


def _make(connection: sqlite3.Connection, numbers: list[str]) -> dict[str, str]:
    execute_rows(connection, ADD, [(secrets.token_hex(ID_BYTES), number) for number in numbers])
    return _known(connection, numbers)


def _known(connection: sqlite3.Connection, numbers: list[str]) -> dict[str, str]:
    return dict(connection.execute(KNOWN, (as_list(numbers),)).fetchall())
