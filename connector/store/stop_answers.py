"""People's answers about texts that may be stops, and the events that wait for such an answer.

An event waits as a dead letter without units. consent/stop_questions.py decides which texts are equal.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.consent.stop_questions import StopQuestion, question_about
from connector.model.event import Event, Verdict
from connector.model.states import EventState
from connector.store.documents import event_from_json
from connector.store.inbox import STORED, StoredEvent, stored_event
from connector.store.sql import as_list, micros, moment
from connector.store.writer import Writer

FIELDS = "provider, keyword, text, answer, event_id, answered_at"
SAME = "provider = ? AND keyword = ? AND text = ?"
PUT = f"""INSERT INTO stop_answers ({FIELDS}, person)
    VALUES (?, ?, ?, ?, ?5, ?, (SELECT pseudonym(msisdn) FROM inbox WHERE id = ?5)) ON CONFLICT (provider, keyword, text)
    DO UPDATE SET answer = excluded.answer, answered_at = excluded.answered_at"""  # noqa: S608 - constants of this file.
WAITING = """FROM inbox INDEXED BY inbox_maybe_stop WHERE verdict = 'maybe_stop' AND state = 'dead' AND reason = 'needs_person'
    AND NOT EXISTS (SELECT 1 FROM units WHERE units.event_id = inbox.id)"""
MAYBE_STOPS = """SELECT id, state, event, EXISTS (SELECT 1 FROM units WHERE units.event_id = inbox.id)
    FROM inbox INDEXED BY inbox_maybe_stop WHERE verdict = 'maybe_stop' ORDER BY id"""
# What led to nothing can be planned again after another answer; what was done stays done.
LED_TO_NOTHING = {EventState.DEAD, EventState.IGNORED, EventState.UNMATCHED}
REPLAN = """UPDATE inbox SET state = 'pending', detail = NULL, reason = NULL, mapping = NULL
    WHERE id IN (SELECT value FROM json_each(?))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAnswer:
    """A person's answer: `opt_out`, or `none`. `event_id`: an event with the text."""

    question: StopQuestion
    answer: Verdict
    event_id: int
    answered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredText:
    """The result of an answer: the events that are planned again, and those that an earlier answer had finished."""

    planned: tuple[int, ...]
    done_before: tuple[int, ...]


class StopAnswers:
    """The table of answers."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def of(self, event: Event) -> StopAnswer | None:
        """The answer about the text of an event with the verdict `maybe_stop`, if there is one."""
        asked = question_about(event)
        return self._read(f"WHERE {SAME}", asked.provider, asked.keyword, asked.text)

    def named_by(self, event_id: int) -> StopAnswer | None:
        """The answer that was given by naming this event."""
        return self._read("WHERE event_id = ?", event_id)

    def verdict_of(self, event: Event) -> Verdict | None:
        """A person's verdict about the event; None if nobody gave one, or nothing was asked."""
        if event.verdict is not Verdict.MAYBE_STOP or (found := self.of(event)) is None:
            return None
        return found.answer

    def listing(self, limit: int) -> list[StopAnswer]:
        """The answers, the newest first."""
        rows = self._reader.execute(
            f"SELECT {FIELDS} FROM stop_answers ORDER BY answered_at DESC, event_id LIMIT ?",  # noqa: S608 - a constant of this file.
            (limit,),
        )
        return [_answer(row) for row in rows.fetchall()]

    def waiting(self) -> list[tuple[int, Event]]:
        """The events that wait for an answer, oldest first."""
        rows = self._reader.execute(f"SELECT id, event {WAITING} ORDER BY id").fetchall()
        return [(event_id, event_from_json(event)) for event_id, event in rows]

    def waiting_of(self, e164: str) -> list[StoredEvent]:
        """The events of one number that wait for an answer, oldest first."""
        where = WAITING.replace("INDEXED BY inbox_maybe_stop", "INDEXED BY inbox_phone", 1)
        rows = self._reader.execute(f"SELECT {STORED} {where} AND msisdn = ? ORDER BY id", (e164,)).fetchall()
        return [stored_event(row) for row in rows]

    def count_waiting(self) -> int:
        """How many events wait for an answer."""
        (count,) = self._reader.execute(f"SELECT count(*) {WAITING}").fetchone()
        return int(count)

    def of_person(self, e164: str) -> list[StopAnswer]:
        """The answers about texts of this person, oldest first."""
        rows = self._reader.execute(
            f"SELECT {FIELDS} FROM stop_answers WHERE person = pseudonym(?1) "  # noqa: S608 - a constant of this file.
            "OR event_id IN (SELECT id FROM inbox WHERE msisdn = ?1) ORDER BY answered_at",
            (e164,),
        )
        return [_answer(row) for row in rows.fetchall()]

    async def answer(self, question: StopQuestion, verdict: Verdict, event_id: int, *, now: datetime) -> AnsweredText:
        """Store the answer, replacing an earlier one, and let all events with such a text be planned with it.

        `event_id`: an event with the text, by which people name the question.
        """
        row = (question.provider, question.keyword, question.text, verdict.value, event_id, micros(now))

        def work(connection: sqlite3.Connection) -> AnsweredText:
            before = connection.execute(f"SELECT answer FROM stop_answers WHERE {SAME}", row[:3]).fetchone()  # noqa: S608 - a constant.
            changed = before is not None and before[0] != verdict.value
            connection.execute(PUT, row)
            again, done_before = [], []
            for one, state, event, has_units in connection.execute(MAYBE_STOPS).fetchall():
                if question_about(event_from_json(event)) != question:
                    continue
                if not has_units and state in (LED_TO_NOTHING if changed else {EventState.DEAD}):
                    again.append(one)
                elif changed and state != EventState.PENDING:
                    done_before.append(one)
            connection.execute(REPLAN, (as_list(again),))
            return AnsweredText(planned=tuple(again), done_before=tuple(done_before))

        return await self._writer.run(work)

    async def plan_answered(self, event_ids: Sequence[int]) -> None:
        """Plan these events again: the answer came while they were planned without it."""
        await self._writer.run(lambda connection: connection.execute(REPLAN, (as_list(list(event_ids)),)).rowcount)

    def _read(self, where: str, *parameters: str | int) -> StopAnswer | None:
        row = self._reader.execute(f"SELECT {FIELDS} FROM stop_answers {where}", parameters).fetchone()  # noqa: S608 - constants.
        return _answer(row) if row else None


def _answer(row: tuple[str, str, str, str, int, int]) -> StopAnswer:
    provider, keyword, text, answer, event_id, answered_at = row
    return StopAnswer(
        question=StopQuestion(provider=provider, keyword=keyword, text=text),
        answer=Verdict(answer),
        event_id=event_id,
        answered_at=moment(answered_at),
    )
