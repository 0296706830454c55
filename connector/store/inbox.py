"""The inbox: every event that was let in, in the order of its id. What becomes of an event is written by plans.py and settling.py."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from connector.model.errors import Refused
from connector.model.event import Event, Verdict
from connector.model.lifecycle import EventState
from connector.store.documents import event_from_json, event_to_json
from connector.store.moments import micros, moment
from connector.store.questions import Question, Row, open_questions, row_of
from connector.store.replays import replay
from connector.store.statements import as_list, execute_rows, read_rows
from connector.store.writer import Writer

NONCE_USED = "nonce used"


class Entry(Struct, frozen=True, kw_only=True):
    """Something to keep: an event, or a body that was not understood, with the reason in `unreadable`."""

    key: str
    provider: str
    shape: str
    msisdn: str | None
    received_at: datetime
    event: Event | None
    raw: bytes
    unreadable: str | None = None
    question: Question | None = None  # to be answered before the event is planned


class Kept(Struct, frozen=True):
    """Where an entry is; `known`: it was there before, and nothing was changed."""

    id: int
    known: bool


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event of the inbox. `event` is None for one that is unreadable."""

    id: int
    key: str
    provider: str
    shape: str
    received_at: datetime
    state: EventState
    detail: str | None
    reason: str | None
    mapping: str | None
    event: Event | None


class Arrival(Struct, frozen=True):
    """What one request brings, made ready outside of the writer."""

    keys: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    nonce: tuple[str, int] | None = None
    questions: Mapping[str, Question] = field(default_factory=dict)  # by key; mostly none


PROVIDER, PHONE, RECEIVED, STATE = 2, 5, 6, 7  # their places in a row that is inserted
STORED = "id, key, provider, shape, received_at, state, detail, reason, mapping, event"
PLANNABLE = "state = 'pending' AND asks = 0"
URGENT_VERDICTS = "verdict IN ('opt_out', 'maybe_stop')"
# Behind an open question of the same person everything waits but an opt-out, and what may be one, which wait for nothing (DESIGN 5).
UNHINDERED = f"""({URGENT_VERDICTS} OR NOT EXISTS (SELECT 1 FROM questions INDEXED BY questions_phone
    WHERE questions.msisdn = inbox.msisdn AND questions.event_id < inbox.id))"""  # noqa: S608 - a constant of this file.
PENDING = f"WHERE {PLANNABLE} AND {UNHINDERED} ORDER BY id LIMIT ?"
URGENT = f"WHERE {PLANNABLE} AND {URGENT_VERDICTS} ORDER BY id LIMIT ?"
PENDING_OF = f"""INDEXED BY inbox_phone WHERE msisdn IN (SELECT value FROM json_each(?)) AND {PLANNABLE} AND {UNHINDERED}
    ORDER BY id"""  # noqa: S608 - the constants above.
INSERT = "INSERT OR FAIL INTO inbox (id, key, provider, shape, verdict, msisdn, received_at, state, detail, event, raw) VALUES {rows}"


def arrival(entries: Sequence[Entry], nonce: str | None = None, nonce_expires: datetime | None = None) -> Arrival:
    """The rows of the entries; raises Unreadable for an event that cannot be stored as JSON."""
    if nonce is not None and nonce_expires is None:
        raise ValueError("a nonce needs a time at which it may be forgotten")
    return Arrival(
        tuple(entry.key for entry in entries),
        tuple(_row(entry) for entry in entries),
        (nonce, micros(nonce_expires)) if nonce is not None and nonce_expires is not None else None,
        {entry.key: entry.question for entry in entries if entry.question},
    )


def _row(entry: Entry) -> tuple[Any, ...]:
    event = entry.event
    if event is None and entry.unreadable is None:
        raise ValueError("an entry holds an event, or says why there is none")
    return (
        entry.key,
        entry.provider,
        entry.shape,
        event.verdict.value if event else Verdict.NONE.value,
        entry.msisdn,
        micros(entry.received_at),
        EventState.PENDING.value if event else EventState.UNREADABLE.value,
        entry.unreadable,
        event_to_json(event) if event else None,
        entry.raw,
    )


def add(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> list[tuple[Kept, ...] | Exception]:
    """Keep what is new of the arrivals; one answer for each. Runs inside the writer."""
    keys = [key for each in arrivals for key in each.keys]
    known: dict[str, int] = dict(
        read_rows(
            connection,
            "SELECT json_group_array(json_array(key, id)) FROM inbox WHERE key IN (SELECT value FROM json_each(?))",
            (as_list(keys),),
        )
    )
    nonces = [each.nonce[0] for each in arrivals if each.nonce]
    used = set(used_nonces(connection, nonces)) if nonces else set()
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'inbox'").fetchone()
    fresh: list[tuple[Any, ...]] = []
    fresh_nonces: list[tuple[str, int]] = []
    opened: list[Row] = []
    answers: list[tuple[Kept, ...] | Exception] = []
    for each in arrivals:
        if each.nonce and each.nonce[0] in used:
            repeated = all(key in known for key in each.keys)
            answers.append(tuple(Kept(known[key], True) for key in each.keys) if repeated else Refused(401, NONCE_USED))
            continue
        if each.nonce:
            used.add(each.nonce[0])
            fresh_nonces.append(each.nonce)
        kept = []
        for key, row in zip(each.keys, each.rows, strict=True):
            if key in known:
                kept.append(Kept(known[key], True))
                continue
            last += 1
            known[key] = last
            fresh.append((last, *row))
            if question := each.questions.get(key) if each.questions else None:
                opened.append(row_of(question, last, row[PROVIDER - 1], row[PHONE - 1], row[RECEIVED - 1]))
            kept.append(Kept(last, False))
        answers.append(tuple(kept))
    execute_rows(connection, INSERT, fresh)
    if opened:
        open_questions(connection, opened)
    # Counted here and not by a trigger, which would cost a fifth of the hot path.
    states = Counter(row[STATE] for row in fresh)
    for state, n in (*states.items(), ("received", len(fresh))):
        connection.execute("UPDATE event_totals SET n = n + ? WHERE state = ?", (n, state))
    execute_rows(connection, "INSERT INTO nonces (nonce, expires_at) VALUES {rows}", fresh_nonces)
    return answers


def used_nonces(connection: sqlite3.Connection, nonces: list[str]) -> list[str]:
    """Those of the nonces that were used before. Runs inside the writer."""
    return read_rows(
        connection,
        "SELECT json_group_array(nonce) FROM nonces WHERE nonce IN (SELECT value FROM json_each(?))",
        (as_list(nonces),),
    )


class Inbox:
    """The room's face. Its reads are short and go through the reader, at once."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def keep(
        self, entries: Sequence[Entry], *, nonce: str | None = None, nonce_expires: datetime | None = None
    ) -> tuple[Kept, ...]:
        """Keep what one request brought, all of it or nothing; it is safe on disk when this returns.

        Raises Refused where the nonce was used for something else, Unreadable where an event cannot be stored, and StoreUnavailable.
        """
        if not entries and nonce is None:
            return ()  # a request that was only a hint
        return await self._writer.run_together(add, arrival(entries, nonce, nonce_expires))

    def pending(self, limit: int) -> list[StoredEvent]:
        """Events that wait for their plan and for nothing else, oldest first."""
        return self._read(PENDING, limit)

    def urgent(self, limit: int) -> list[StoredEvent]:
        """Those of them that the provider calls opt-outs, and those that may be."""
        return self._read(URGENT, limit)

    def pending_of(self, numbers: Sequence[str]) -> list[StoredEvent]:
        """All events of these numbers (E.164) that wait for their plan and for nothing else, oldest first."""
        return self._read(PENDING_OF, as_list(numbers))

    def get(self, event: int | str) -> StoredEvent | None:
        """One event by its id or its key."""
        found = self._read(f"WHERE {'id' if isinstance(event, int) else 'key'} = ?", event)
        return found[0] if found else None

    def raw(self, event_id: int) -> bytes | None:
        """The body as it came; None where it is unknown or was swept."""
        row = self._reader.execute("SELECT raw FROM inbox WHERE id = ?", (event_id,)).fetchone()
        return row[0] if row else None

    def of_phone(self, e164: str) -> list[StoredEvent]:
        """All events of one number, oldest first."""
        return self._read("WHERE msisdn = ? ORDER BY id", e164)

    def in_review(self, e164: str, shape: str) -> bool:
        """Whether an event of this number and shape is a dead letter that waits for a person."""
        row = self._reader.execute(
            "SELECT 1 FROM inbox INDEXED BY inbox_phone WHERE msisdn = ? AND shape = ? AND state = 'dead' LIMIT 1",
            (e164, shape),
        ).fetchone()
        return row is not None

    def counts(self) -> dict[EventState, int]:
        """All events that ever came, by their state now; those that were swept count in the state that they had."""
        rows = self._reader.execute("SELECT state, n FROM event_totals WHERE state <> 'received'").fetchall()
        return {EventState(state): n for state, n in rows}

    def received(self) -> int:
        """How many events ever came; always the sum of counts()."""
        (n,) = self._reader.execute("SELECT n FROM event_totals WHERE state = 'received'").fetchone()
        return int(n)

    def swept(self) -> dict[EventState, int]:
        """How many of counts() are no longer stored."""
        return {
            EventState(state): n for state, n in self._reader.execute("SELECT state, n FROM swept_totals").fetchall()
        }

    def oldest_pending(self) -> datetime | None:
        """When the oldest event that waits for its plan, and not for an answer, was received."""
        row = self._reader.execute(f"SELECT received_at FROM inbox WHERE {PLANNABLE} ORDER BY id LIMIT 1").fetchone()  # noqa: S608 - a constant of this file.
        return moment(row[0]) if row else None

    async def replay(
        self,
        event_id: int,
        event: Event | None = None,
        *,
        question: Question | None = None,
        now: datetime | None = None,
    ) -> None:
        """Let an event be planned again, as `event` where a mended reader now understands it; after the answer to `question`.

        Raises LookupError where there is no such event, and ValueError where its state, its units or its twin forbid it.
        """
        document = event_to_json(event) if event else None
        if question is not None and now is None:
            raise ValueError("a question needs the time at which it is opened")
        since = micros(now) if now else 0
        await self._writer.run(lambda connection: replay(connection, event_id, event, document, question, since))

    def _read(self, where: str, *parameters: Any) -> list[StoredEvent]:
        rows = self._reader.execute(f"SELECT {STORED} FROM inbox {where}", parameters).fetchall()  # noqa: S608 - constants of this file.
        return [_stored(row) for row in rows]


def _stored(row: tuple[Any, ...]) -> StoredEvent:
    event_id, key, provider, shape, received_at, state, detail, reason, mapping, event = row
    return StoredEvent(
        id=event_id,
        key=key,
        provider=provider,
        shape=shape,
        received_at=moment(received_at),
        state=EventState(state),
        detail=detail,
        reason=reason,
        mapping=mapping,
        event=event_from_json(event) if event else None,
    )
