"""Notes: fields that were left out because their values could not be computed. They hold no data of the event."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.model.plan import Note
from connector.model.states import EventState
from connector.store.sql import execute_rows, moment

PUT = "INSERT OR REPLACE INTO notes (event_id, number, rule, operation, field, why) VALUES {rows}"
LISTING = """SELECT notes.event_id, inbox.key, inbox.received_at, inbox.state, notes.rule, notes.operation, notes.field, notes.why
    FROM notes JOIN inbox ON inbox.id = notes.event_id ORDER BY notes.event_id DESC, notes.number LIMIT ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNote:
    """A note and the event that it is about."""

    event_id: int
    event_key: str
    received_at: datetime
    state: EventState  # of the event
    note: Note


def put_notes(connection: sqlite3.Connection, notes: Mapping[int, Sequence[Note]]) -> None:
    """Store the notes of events, by their ids. Runs inside the writer."""
    rows = [
        (event_id, number, note.rule, note.operation, note.field, note.why)
        for event_id, several in notes.items()
        for number, note in enumerate(several)
    ]
    if rows:
        execute_rows(connection, PUT, rows)


def drop_notes(connection: sqlite3.Connection, event_id: int) -> None:
    """Delete the notes of an event that is planned again. Runs inside the writer."""
    connection.execute("DELETE FROM notes WHERE event_id = ?", (event_id,))


class Notes:
    """Reads the notes."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader

    def events(self) -> int:
        """How many of the stored events have a note."""
        (count,) = self._reader.execute("SELECT count(*) FROM notes WHERE number = 0").fetchone()
        return int(count)

    def of(self, event_id: int) -> list[Note]:
        """The notes of one event."""
        rows = self._reader.execute(
            "SELECT rule, operation, field, why FROM notes WHERE event_id = ? ORDER BY number", (event_id,)
        ).fetchall()
        return [Note(rule=rule, operation=operation, field=field, why=why) for rule, operation, field, why in rows]

    def listing(self, *, limit: int) -> list[StoredNote]:
        """The notes of all events, the newest event first."""
        rows = self._reader.execute(LISTING, (limit,)).fetchall()
        return [
            StoredNote(
                event_id=event_id,
                event_key=key,
                received_at=moment(received_at),
                state=EventState(state),
                note=Note(rule=rule, operation=operation, field=field, why=why),
            )
            for event_id, key, received_at, state, rule, operation, field, why in rows
        ]
