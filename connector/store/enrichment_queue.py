"""The queue of look-ups that an event needs before it is planned. What is asked, and by whom, is not known here.

A question has a row while it is open, and its event is pending all the while. The answer deletes the row.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.model.event import Event
from connector.store.documents import event_from_json, event_to_json
from connector.store.sql import as_list, execute_rows, micros
from connector.store.writer import Writer

MIN_GAP = timedelta(seconds=5)  # between two look-ups, however often a hint says that the answer is available

OPEN = """INSERT INTO questions (event_id, provider, msisdn, asked, started_at, due_at, deadline_at) VALUES {rows}"""
MARK = "UPDATE inbox SET asks = 1 WHERE id IN (SELECT value FROM json_each(?))"
# A delay that starts in the future was started before the clock was set back: it is over.
DUE = """SELECT question.event_id, question.asked, question.deadline_at <= :now, inbox.event FROM (
        SELECT * FROM (SELECT event_id, asked, due_at, deadline_at FROM questions INDEXED BY questions_due
            WHERE provider = :provider AND due_at <= :now ORDER BY due_at LIMIT :limit)
        UNION
        SELECT * FROM (SELECT event_id, asked, due_at, deadline_at FROM questions INDEXED BY questions_started
            WHERE provider = :provider AND started_at > :now ORDER BY started_at LIMIT :limit)
    ) AS question CROSS JOIN inbox ON inbox.id = question.event_id ORDER BY question.due_at LIMIT :limit"""
AGAIN = "UPDATE questions SET asked = asked + 1, started_at = ?, due_at = ? WHERE event_id = ?"
ANSWER = "UPDATE inbox SET verdict = ?, msisdn = ?, event = ?, asks = 0 WHERE id = ? AND key = ?"
HINTED = """SELECT question.event_id, question.started_at, question.due_at FROM inbox
    CROSS JOIN questions AS question ON question.event_id = inbox.id WHERE inbox.key = ?"""

Row = tuple[int, str, str | None, int, int, int, int]  # as in OPEN, times in microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An event must wait for an answer: at first this long, and at most until the deadline, both counted from its arrival."""

    first: timedelta
    deadline: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuestion:
    """A question that is due."""

    event_id: int
    event: Event
    asked: int  # times so far
    overdue: bool  # the deadline has passed: this is the last time


def row_of(question: Question, event_id: int, provider: str, msisdn: str | None, since: int) -> Row:
    """The row of a question that is opened at `since` (microseconds)."""
    first, deadline = (span // timedelta(microseconds=1) for span in (question.first, question.deadline))
    return event_id, provider, msisdn, 0, since, since + first, since + deadline


def open_questions(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Store open questions of events that are pending. Runs inside the writer."""
    execute_rows(connection, OPEN, rows)
    connection.execute(MARK, (as_list([row[0] for row in rows]),))


class Questions:
    """Reads and writes the queue."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def due(self, provider: str, limit: int, now: datetime) -> list[OpenQuestion]:
        """Questions that are due, the longest waiting first."""
        rows = self._reader.execute(DUE, {"provider": provider, "limit": limit, "now": micros(now)}).fetchall()
        return [
            OpenQuestion(event_id=event_id, event=event_from_json(event), asked=asked, overdue=bool(overdue))
            for event_id, asked, overdue, event in rows
        ]

    async def answer(self, event_id: int, event: Event) -> bool:
        """Replace the waiting event with the answered one, and let it be planned.

        False if the question is no longer open; then nothing is changed. Raises ValueError for another event's answer,
        and Unreadable for one that cannot be stored.
        """
        document = event_to_json(event)
        msisdn = event.msisdn.e164 if event.msisdn else None

        def work(connection: sqlite3.Connection) -> bool:
            if not connection.execute("DELETE FROM questions WHERE event_id = ?", (event_id,)).rowcount:
                return False
            row = (event.verdict.value, msisdn, document, event_id, event.key)
            if not connection.execute(ANSWER, row).rowcount:
                raise ValueError(f"the answer to event {event_id} is about another event")
            return True

        return await self._writer.run(work)

    async def again(self, event_id: int, delay: timedelta, *, now: datetime) -> None:
        """Ask again after the delay."""
        row = (micros(now), micros(now + delay), event_id)
        await self._writer.run(lambda connection: connection.execute(AGAIN, row).rowcount)

    async def make_due(self, key: str, *, now: datetime) -> bool:
        """A hint says that the answer for the event of that key may be available: ask as soon as MIN_GAP allows.

        False, and nothing is written, if that changes nothing: anybody can send hints.
        """
        row = self._reader.execute(HINTED, (key,)).fetchone()
        if row is None:
            return False
        event_id, started_at, due_at = row
        soon = max(micros(now), started_at + MIN_GAP // timedelta(microseconds=1))
        if soon >= due_at:
            return False
        await self._writer.run(
            lambda connection: connection.execute(
                "UPDATE questions SET due_at = ? WHERE event_id = ?", (soon, event_id)
            )
        )
        return True

    def counts(self) -> dict[str, int]:
        """Open questions by provider."""
        return dict(self._reader.execute("SELECT provider, count(*) FROM questions GROUP BY provider").fetchall())
