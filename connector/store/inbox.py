"""The inbox: every accepted event, in the order of its id. plans.py and settle.py write what becomes of an event.

It is long because storing an event and recognising its repeat are one step on the path of a callback.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple, Self

from msgspec import Struct, field
from msgspec.structs import replace

from connector.model.errors import HttpRejected
from connector.model.event import Event, Verdict, joined_key
from connector.model.states import EventState
from connector.store.documents import event_from_json, event_to_json
from connector.store.enrichment_queue import Question, Row, open_questions, row_of
from connector.store.replay import Replay, replay
from connector.store.sql import as_list, execute_rows, micros, moment, read_rows
from connector.store.writer import Writer

NONCE_USED = "nonce used"


class Entry(Struct, frozen=True, kw_only=True):
    """Something to store: an event, or a body that was not understood, with the reason in `unreadable`."""

    key: str
    provider: str
    shape: str
    msisdn: str | None
    received_at: datetime
    event: Event | None
    raw: bytes
    unreadable: str | None = None
    question: Question | None = None  # to be answered before the event is planned

    @classmethod
    def of(cls, event: Event, raw: bytes = b"", question: Question | None = None) -> Self:
        """The entry of an event that was understood."""
        return cls(
            key=event.key,
            provider=event.provider,
            shape=event.shape,
            msisdn=event.msisdn.e164 if event.msisdn else None,
            received_at=event.received_at,
            event=event,
            raw=raw,
            question=question,
        )


class Kept(Struct, frozen=True):
    """Where an entry is stored. `known`: it was there before, and nothing was changed.

    `reused`: its sender had used the id before for another person or another meaning, so it was stored under a key of
    its own.
    """

    id: int
    known: bool
    reused: str | None = None


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event of the inbox. `event` is None if it is unreadable."""

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


class NewRow(NamedTuple):
    """The row of an entry, without its id, in the order of INSERT."""

    key: str
    provider: str
    shape: str
    verdict: str
    msisdn: str | None
    received_at: int  # microseconds
    state: str
    detail: str | None
    event: str | None  # JSON
    raw: bytes
    meaning: int | None  # of an event: see meaning_of()


class Arrival(Struct, frozen=True):
    """The rows of one request, prepared outside of the writer."""

    keys: tuple[str, ...]
    rows: tuple[NewRow, ...]
    nonce: tuple[str, int] | None = None
    questions: Mapping[str, Question] = field(default_factory=dict)  # by key; mostly none


KNOWN = """SELECT json_group_array(json_array(key, id, meaning, msisdn, verdict)) FROM inbox
    WHERE key IN (SELECT value FROM json_each(?))"""
# Of these keys: erased events of forgotten people. No key is hashed while nobody is forgotten.
ERASED = """SELECT json_group_array(json_array(each.value, erased.event_id, erased.meaning)) FROM json_each(?) AS each
    CROSS JOIN erased_events AS erased ON erased.key = pseudonym(each.value)
    WHERE EXISTS (SELECT 1 FROM erased_events)"""
MASK = 2**64 - 1
MAX_ID = 2**63 - 1
STORED = "id, key, provider, shape, received_at, state, detail, reason, mapping, event"
# Word by word the condition of the index: SQLite uses it for nothing less.
NOT_DELIVERED = """INDEXED BY inbox_not_delivered
    WHERE state IN ('ignored', 'unmatched', 'no_change', 'superseded', 'unreadable')"""
# Of each group, the columns without a function are those of the event with the highest id.
KINDS = f"""SELECT provider, shape, action, count(*), max(id), received_at, detail FROM (
        SELECT id, provider, shape, json_extract(event, '$.action') AS action, received_at, detail
        FROM inbox {NOT_DELIVERED} AND state = ? ORDER BY id DESC LIMIT ?)
    GROUP BY provider, shape, action ORDER BY 4 DESC, 5 DESC LIMIT ?"""  # noqa: S608 - a constant of this file.
PLANNABLE = "state = 'pending' AND asks = 0"
URGENT_VERDICTS = "verdict IN ('opt_out', 'maybe_stop')"
# While a question of a person is open, that person's later events wait. Opt-outs, and what may be one, never wait.
UNHINDERED = f"""({URGENT_VERDICTS} OR NOT EXISTS (SELECT 1 FROM questions INDEXED BY questions_phone
    WHERE questions.msisdn = inbox.msisdn AND questions.event_id < inbox.id))"""  # noqa: S608 - a constant of this file.
PENDING = f"WHERE {PLANNABLE} AND {UNHINDERED} ORDER BY id LIMIT ?"
URGENT = f"WHERE {PLANNABLE} AND {URGENT_VERDICTS} ORDER BY id LIMIT ?"
PENDING_OF = f"""INDEXED BY inbox_phone WHERE msisdn IN (SELECT value FROM json_each(?)) AND {PLANNABLE} AND {UNHINDERED}
    ORDER BY id"""  # noqa: S608 - the constants above.
# Opt-outs of a CRM that are not planned yet or wait for a person: by number, and where the number was unclear by that
# which its record has now.
UNDECIDED = """SELECT number.value, max(inbox.id) FROM json_each(:numbers) AS number
    CROSS JOIN inbox INDEXED BY inbox_phone ON inbox.msisdn = number.value AND inbox.id > :after
    AND inbox.state IN ('pending', 'dead') AND inbox.verdict = 'opt_out' AND inbox.provider = :crm GROUP BY 1
    UNION ALL SELECT shadow.phone, max(inbox.id) FROM inbox INDEXED BY inbox_dead CROSS JOIN shadows AS shadow
    ON shadow.crm = :crm AND shadow.object = json_extract(inbox.event, '$.object')
    AND shadow.record_id = json_extract(inbox.event, '$.record.Id') AND shadow.phone IN (SELECT value FROM json_each(:numbers))
    WHERE inbox.state = 'dead' AND inbox.reason = 'needs_person' AND inbox.id > :after AND inbox.msisdn IS NULL
    AND inbox.verdict = 'opt_out' AND inbox.provider = :crm GROUP BY 1"""
INSERT = """INSERT OR FAIL INTO inbox
    (id, key, provider, shape, verdict, msisdn, received_at, state, detail, event, raw, meaning) VALUES {rows}"""


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


def _row(entry: Entry) -> NewRow:
    event = entry.event
    if event is None and entry.unreadable is None:
        raise ValueError("an entry holds an event, or says why there is none")
    return NewRow(
        key=entry.key,
        provider=entry.provider,
        shape=entry.shape,
        verdict=event.verdict.value if event else Verdict.NONE.value,
        msisdn=entry.msisdn,
        received_at=micros(entry.received_at),
        state=EventState.PENDING.value if event else EventState.UNREADABLE.value,
        detail=entry.unreadable,
        event=event_to_json(event) if event else None,
        raw=entry.raw,
        meaning=meaning_of(event) if event else None,
    )


class Known(NamedTuple):
    """What is stored under a key. `meaning` is None for rows of earlier versions and for unreadable entries.

    Of an event that is erased the meaning is known as a hash only.
    """

    id: int
    meaning: int | None
    msisdn: str | None = None
    verdict: str = ""
    erased: bool = False

    def is_repeated_by(self, row: NewRow, connection: sqlite3.Connection) -> bool:
        """Whether the row says the same again."""
        meaning = row.meaning
        if self.erased:
            (meaning,) = connection.execute("SELECT hashed_meaning(?)", (meaning,)).fetchone()
        if meaning is None or self.meaning == meaning:
            return True
        if self.meaning is not None:
            return False
        # Rows of an earlier version allow comparing only the person and the opt-out.
        is_new_opt_out = row.verdict == Verdict.OPT_OUT.value and self.verdict != Verdict.OPT_OUT.value
        return self.msisdn == row.msisdn and not is_new_opt_out


def meaning_of(event: Event) -> int:
    """A digest of the person and the meaning.

    The same id with another digest is not a repeat: a counter restarted, or the id is a filler.

    It leaves out what may differ in a provider's repeat: times, counts of attempts, look-ups, properties.
    """
    phone = event.msisdn.e164 if event.msisdn else ""
    said = (phone, event.verdict.value, event.action or "", (event.text or "").strip(), str(event.price or ""))
    digest = blake2b("\x00".join(said).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def known_events(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Known]:
    """What is stored under these keys; also of erased events. Runs inside the writer."""
    known = {key: Known(*rest) for key, *rest in read_rows(connection, KNOWN, (as_list(list(keys)),))}
    (erased,) = connection.execute("SELECT EXISTS (SELECT 1 FROM erased_events)").fetchone()
    if erased and (new := [key for key in keys if key not in known]):
        rows = read_rows(connection, ERASED, (as_list(new),))
        known |= {key: Known(event_id, meaning, erased=True) for key, event_id, meaning in rows}
    return known


def _under_own_key(row: NewRow, known: Known) -> NewRow:
    """The row of an event whose id was used before. It gets a key of its own, and so its own event record in the CRM.

    Another person's transaction gets an id of its own too: with the old one it would overwrite the first person's gift.
    """
    assert row.event is not None and row.meaning is not None, "only events have a meaning"  # noqa: S101, PT018
    event = event_from_json(row.event)
    digest = f"{row.meaning & MASK:016x}"
    own = {"key": joined_key(event.provider, event.shape, "again", event.key, digest)}
    if event.transaction_id is not None and known.msisdn != row.msisdn:
        own["transaction_id"] = f"{event.transaction_id}-{digest}"
    new = replace(event, **own)
    return row._replace(key=new.key, event=event_to_json(new))


def add(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> list[tuple[Kept, ...] | Exception]:
    """Store what is new of the arrivals; returns one answer for each. Runs inside the writer."""
    keys = [key for each in arrivals for key in each.keys]
    known = known_events(connection, keys)
    nonces = [each.nonce[0] for each in arrivals if each.nonce]
    used = set(used_nonces(connection, nonces)) if nonces else set()
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'inbox'").fetchone()
    fresh: list[tuple[int, NewRow]] = []  # each with its id
    fresh_nonces: list[tuple[str, int]] = []
    opened: list[Row] = []
    answers: list[tuple[Kept, ...] | Exception] = []
    for each in arrivals:
        if each.nonce and each.nonce[0] in used:
            repeated = all(key in known for key in each.keys)
            answers.append(
                tuple(Kept(known[key].id, True) for key in each.keys) if repeated else HttpRejected(401, NONCE_USED)
            )
            continue
        if each.nonce:
            used.add(each.nonce[0])
            fresh_nonces.append(each.nonce)
        kept = []
        for key, given in zip(each.keys, each.rows, strict=True):
            row, before = _as_known(connection, known, key, given)
            if before is not None:
                kept.append(Kept(before.id, True))
                continue
            last += 1
            known[row.key] = Known(last, row.meaning, row.msisdn, row.verdict)
            fresh.append((last, row))
            if question := each.questions.get(key) if each.questions else None:
                opened.append(row_of(question, last, row.provider, row.msisdn, row.received_at))
            kept.append(Kept(last, False, row.key if row is not given else None))
        answers.append(tuple(kept))
    execute_rows(connection, INSERT, [(event_id, *row) for event_id, row in fresh])
    if opened:
        open_questions(connection, opened)
    # Counted here and not by a trigger, which would take a fifth of the time of this frequent path.
    states = Counter(row.state for _, row in fresh)
    for state, n in (*states.items(), ("received", len(fresh))):
        connection.execute("UPDATE event_totals SET n = n + ? WHERE state = ?", (n, state))
    execute_rows(connection, "INSERT INTO nonces (nonce, expires_at) VALUES {rows}", fresh_nonces)
    return answers


def _as_known(
    connection: sqlite3.Connection, known: Mapping[str, Known], key: str, row: NewRow
) -> tuple[NewRow, Known | None]:
    """The row as it will be stored, and what is stored of it already."""
    before = known.get(key)
    if before is None or before.is_repeated_by(row, connection):
        return row, before
    row = _under_own_key(row, before)
    return row, known.get(row.key) or known_events(connection, [row.key]).get(row.key)


def used_nonces(connection: sqlite3.Connection, nonces: list[str]) -> list[str]:
    """Those of the nonces that were used before. Runs inside the writer."""
    return read_rows(
        connection,
        "SELECT json_group_array(nonce) FROM nonces WHERE nonce IN (SELECT value FROM json_each(?))",
        (as_list(nonces),),
    )


class EventKind(Struct, frozen=True, kw_only=True):
    """How many events came of one sender and action; its newest event, and that event's detail."""

    provider: str
    shape: str
    action: str | None
    count: int
    event_id: int
    received_at: datetime
    detail: str | None


def undecided_opt_outs(
    connection: sqlite3.Connection, crm: str, numbers: Sequence[str], *, after: int
) -> dict[str, int]:
    """The same as Inbox.undecided_opt_outs(), for callers inside the writer."""
    found: dict[str, int] = {}
    question = {"crm": crm, "numbers": as_list(numbers), "after": after}
    for number, event_id in connection.execute(UNDECIDED, question):
        found[number] = max(event_id, found.get(number, 0))
    return found


class Inbox:
    """Reads and writes the inbox. Its reads are short and use the reader directly."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def keep(
        self, entries: Sequence[Entry], *, nonce: str | None = None, nonce_expires: datetime | None = None
    ) -> tuple[Kept, ...]:
        """Store the entries of one request, all of them or none; they are on disk when this returns.

        Raises HttpRejected if the nonce was used for something else, Unreadable if an event cannot be stored, and
        StoreUnavailable.
        """
        if not entries and nonce is None:
            return ()  # a request that was only a hint
        return await self._writer.run_together(add, arrival(entries, nonce, nonce_expires))

    def pending(self, limit: int) -> list[StoredEvent]:
        """Events that wait only for their plan, oldest first."""
        return self._read(PENDING, limit)

    def urgent(self, limit: int) -> list[StoredEvent]:
        """The pending events that the provider calls opt-outs, and those that may be."""
        return self._read(URGENT, limit)

    def pending_of(self, numbers: Sequence[str]) -> list[StoredEvent]:
        """All events of these numbers (E.164) that wait only for their plan, oldest first."""
        return self._read(PENDING_OF, as_list(numbers))

    def get(self, event: int | str) -> StoredEvent | None:
        """One event by its id or its key."""
        found = self._read(f"WHERE {'id' if isinstance(event, int) else 'key'} = ?", event)
        return found[0] if found else None

    def raw(self, event_id: int) -> bytes | None:
        """The original body; None if it is unknown or was deleted."""
        row = self._reader.execute("SELECT raw FROM inbox WHERE id = ?", (event_id,)).fetchone()
        return row[0] if row else None

    def of_phone(self, e164: str) -> list[StoredEvent]:
        """All events of one number, oldest first."""
        return self._read("WHERE msisdn = ? ORDER BY id", e164)

    def page_of_phone(self, e164: str, *, limit: int, before: int | None = None) -> list[StoredEvent]:
        """The newest events of one number with an id below `before`, the newest first."""
        return self._read("WHERE msisdn = ? AND id < ? ORDER BY id DESC LIMIT ?", e164, before or MAX_ID, limit)

    def maybe_stops_of(self, e164: str, *, limit: int) -> list[StoredEvent]:
        """The newest events of one number whose text may be an opt-out, also those that were answered: the newest first."""
        where = "INDEXED BY inbox_phone WHERE msisdn = ? AND verdict = 'maybe_stop' ORDER BY id DESC LIMIT ?"
        return self._read(where, e164, limit)

    def kinds(self, state: EventState, *, newest: int, limit: int) -> list[EventKind]:
        """The newest events that led to nothing, in this state, by sender and action: the most frequent kinds first."""
        rows = self._reader.execute(KINDS, (state.value, newest, limit)).fetchall()
        return [
            EventKind(
                provider=provider,
                shape=shape,
                action=action,
                count=count,
                event_id=event_id,
                received_at=moment(received_at),
                detail=detail,
            )
            for provider, shape, action, count, event_id, received_at, detail in rows
        ]

    def newest(self, *, since: datetime, limit: int) -> list[StoredEvent]:
        """The newest events that were received since then, the newest first."""
        return self._read("WHERE received_at >= ? ORDER BY id DESC LIMIT ?", micros(since), limit)

    def in_review(self, e164: str, shape: str) -> bool:
        """Whether an event of this number and shape is a dead letter that waits for a person."""
        row = self._reader.execute(
            "SELECT 1 FROM inbox INDEXED BY inbox_phone WHERE msisdn = ? AND shape = ? AND state = 'dead' LIMIT 1",
            (e164, shape),
        ).fetchone()
        return row is not None

    def has_parked(self, poll: str) -> bool:
        """Whether changes of a poll of a CRM whose id begins like this wait for a person."""
        row = self._reader.execute(
            "SELECT 1 FROM inbox INDEXED BY inbox_dead WHERE state = 'dead' AND reason = 'needs_person' "
            "AND substr(json_extract(event, '$.batch'), 1, length(?1)) = ?1 LIMIT 1",
            (poll,),
        ).fetchone()
        return row is not None

    def undecided_opt_outs(self, crm: str, numbers: Sequence[str], *, after: int) -> dict[str, int]:
        """Those of the numbers for which an opt-out made in this CRM is not decided yet, with the latest one's id.

        Only events with an id above `after` are looked at.
        """
        return undecided_opt_outs(self._reader, crm, numbers, after=after)

    def counts(self) -> dict[EventState, int]:
        """All events ever received, by their current state; deleted events count in their last state."""
        rows = self._reader.execute("SELECT state, n FROM event_totals WHERE state <> 'received'").fetchall()
        return {EventState(state): n for state, n in rows}

    def received(self) -> int:
        """How many events were ever received; always the sum of counts()."""
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
        """Let an event be planned again, as `event` if a corrected reader now understands it; after the answer to `question`.

        Raises LookupError if there is no such event, and ValueError if its state, its units or a duplicate forbid it.
        """
        if question is not None and now is None:
            raise ValueError("a question needs the time at which it is opened")
        since = micros(now) if now else 0
        one = Replay(event_id=event_id, event=event, question=question)
        await self._writer.run(lambda connection: replay(connection, one, since))

    async def replay_many(self, several: Sequence[Replay], *, now: datetime) -> list[str]:
        """Let many events be planned again, as replay() does; returns why some of them could not be replayed."""

        def work(connection: sqlite3.Connection) -> list[str]:
            refused: list[str] = []
            for one in several:
                try:
                    replay(connection, one, micros(now))
                except (LookupError, ValueError) as error:
                    refused.append(str(error))
            return refused

        return await self._writer.run(work)

    def _read(self, where: str, *parameters: Any) -> list[StoredEvent]:
        rows = self._reader.execute(f"SELECT {STORED} FROM inbox {where}", parameters).fetchall()  # noqa: S608 - constants of this file.
        return [stored_event(row) for row in rows]


def stored_event(row: tuple[Any, ...]) -> StoredEvent:
    """The event of a row with the columns STORED."""
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
