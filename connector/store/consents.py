"""The consent ledger (append-only: decisions and the sinks' answers), and the opt-outs that are not confirmed yet."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connector.model.consent import NO_RULE, LedgerEntry, Phase
from connector.model.phone import FORGOTTEN
from connector.store.documents import decision_from_json
from connector.store.sql import as_list, execute_rows, micros, moment
from connector.store.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOptOut:
    """An opt-out that a sink has not confirmed yet. `failed` is the sink's reason for refusing it.

    If no rule sends it to the CRM or provider, NO_RULE follows the sink's name.
    """

    event_id: int
    event_key: str
    sink: str
    since: datetime  # when the event was received
    age: timedelta
    failed: str | None

    @property
    def system(self) -> str:
        """The CRM or provider that must receive it."""
        return self.sink.removesuffix(NO_RULE)

    @property
    def without_rule(self) -> bool:
        """Whether no rule sends it: waiting cannot help."""
        return self.sink.endswith(NO_RULE)


Answer = tuple[int, str, str, str | None, int]  # event id, sink, phase, detail, time in microseconds
Duty = tuple[int, str, str, int]  # event id, event key, sink, since in microseconds

DECIDE = "INSERT INTO ledger (event_id, event_key, msisdn, phase, decision, recorded_at) VALUES {rows}"
ANSWER = """WITH answer (event_id, sink, phase, detail, at) AS (VALUES {rows})
    INSERT INTO ledger (event_id, event_key, msisdn, phase, of_id, sink, detail, recorded_at)
    SELECT decided.event_id, decided.event_key, decided.msisdn, answer.phase, decided.id, answer.sink, answer.detail, answer.at
    FROM answer CROSS JOIN ledger AS decided INDEXED BY ledger_decided
    ON decided.event_id = answer.event_id AND decided.phase = 'decided'"""
OPEN_OBLIGATION = "INSERT INTO obligations (event_id, event_key, sink, since) VALUES {rows} ON CONFLICT DO NOTHING"
CLOSE = """WITH answer (event_id, sink, at) AS (VALUES {rows})
    UPDATE obligations SET closed_at = answer.at FROM answer
    WHERE obligations.event_id = answer.event_id AND obligations.sink = answer.sink AND closed_at IS NULL"""
FAIL = """WITH answer (event_id, sink, detail) AS (VALUES {rows})
    UPDATE obligations SET failed = coalesce(answer.detail, '') FROM answer
    WHERE obligations.event_id = answer.event_id AND obligations.sink = answer.sink AND closed_at IS NULL"""
ENTRIES = """SELECT entry.id, entry.event_id, entry.event_key, entry.phase, coalesce(entry.decision, decided.decision),
    entry.recorded_at, entry.sink, entry.of_id, entry.detail, entry.msisdn
    FROM ledger AS entry LEFT JOIN ledger AS decided ON decided.id = entry.of_id"""
ANY_FORGOTTEN = f"SELECT 1 FROM ledger INDEXED BY ledger_phone WHERE msisdn >= '{FORGOTTEN}' LIMIT 1"  # noqa: S608 - a constant.
IN_ORDER = "ORDER BY entry.event_id, entry.id"
UNCONFIRMED = """SELECT event_id, event_key, sink, since, failed FROM obligations INDEXED BY obligations_open
    WHERE closed_at IS NULL AND (since <= :latest OR sink LIKE '%' || :no_rule) ORDER BY since LIMIT :limit"""
UNCONFIRMED_OF = """SELECT event_id, event_key, sink, since, failed FROM obligations
    WHERE event_id IN (SELECT value FROM json_each(?)) AND closed_at IS NULL ORDER BY since"""
CLOSE_ALL = (
    """UPDATE obligations SET closed_at = ? WHERE event_id IN (SELECT value FROM json_each(?)) AND closed_at IS NULL"""
)
DELETE_OBLIGATIONS = "DELETE FROM obligations WHERE event_id IN (SELECT value FROM json_each(?))"

# Marks the failure of an opt-out whose flag the CRM showed unset after we had set it; the record's name follows.
TAKEN_BACK = "automation of the CRM has taken the flag back"
LAST_DECIDED = """SELECT number.value, entry.event_id, entry.event_key, entry.recorded_at FROM json_each(?) AS number
    CROSS JOIN ledger AS entry ON entry.id = (SELECT id FROM ledger INDEXED BY ledger_phone
    WHERE msisdn IN (number.value, pseudonym(number.value)) AND phase = 'decided'
    ORDER BY event_id DESC, id DESC LIMIT 1)
    AND json_extract(entry.decision, '$.word') = 'opt_out'"""
LAST_OUT = """SELECT number.value FROM json_each(?) AS number WHERE (
    SELECT json_extract(decision, '$.word') FROM ledger INDEXED BY ledger_phone WHERE msisdn IN ({names})
    AND phase = 'decided' ORDER BY event_id DESC, id DESC LIMIT 1) = 'opt_out'"""
REOPEN = """INSERT INTO obligations (event_id, event_key, sink, since) VALUES {rows}
    ON CONFLICT (event_id, sink) DO UPDATE SET closed_at = NULL, failed = NULL"""
ARE_TAKEN_BACK = f"""SELECT DISTINCT obligation.event_id, obligation.sink
    FROM obligations AS obligation INDEXED BY obligations_taken_back
    CROSS JOIN ledger ON ledger.event_id = obligation.event_id AND ledger.phase = 'decided'
    WHERE obligation.closed_at IS NULL AND substr(obligation.failed, 1, {len(TAKEN_BACK)}) = '{TAKEN_BACK}'
    AND ledger.msisdn IN (SELECT value FROM json_each(:numbers) UNION SELECT pseudonym(value) FROM json_each(:numbers))
    AND (:sink IS NULL OR obligation.sink = :sink)"""  # noqa: S608 - a constant.
DECIDED_SINCE = """SELECT json_extract(decision, '$.word'), count(*) FROM ledger
    WHERE phase = 'decided' AND recorded_at >= ? GROUP BY 1"""
LATE_SINCE = """SELECT count(DISTINCT event_id) FROM obligations
    WHERE since >= ?1 AND coalesce(closed_at, ?2) - since > ?3"""
# People who are opted out in a CRM, and whose latest entry in the ledger is missing or different.
NOT_HELD = """SELECT count(DISTINCT shadow.phone) FROM shadows AS shadow INDEXED BY shadows_out
    WHERE shadow.crm = ? AND shadow.object = ? AND shadow.opted_out = 1 AND shadow.gone_at IS NULL AND shadow.phone <> ''
    AND coalesce((SELECT json_extract(decision, '$.word') FROM ledger INDEXED BY ledger_phone
    WHERE msisdn IN (shadow.phone, pseudonym(shadow.phone)) AND phase = 'decided'
    ORDER BY event_id DESC, id DESC LIMIT 1), '') <> 'opt_out'"""


def append_decisions(connection: sqlite3.Connection, entries: Sequence[tuple[int, str, str, str, str, int]]) -> None:
    """Append decisions: event id, event key, number, phase, document, time. Runs inside the writer."""
    execute_rows(connection, DECIDE, entries)


def open_obligations(connection: sqlite3.Connection, duties: Sequence[Duty]) -> None:
    """Store opt-outs that the sinks have not confirmed yet. Runs inside the writer."""
    execute_rows(connection, OPEN_OBLIGATION, duties)


def append_answers(connection: sqlite3.Connection, answers: Sequence[Answer]) -> None:
    """Append what sinks answered to all decisions of an event. A failed opt-out stays open. Runs inside the writer."""
    execute_rows(connection, ANSWER, answers)
    close_obligations(
        connection, [(event_id, sink, at) for event_id, sink, phase, _, at in answers if phase == Phase.CONFIRMED]
    )
    execute_rows(
        connection,
        FAIL,
        [(event_id, sink, detail) for event_id, sink, phase, detail, _ in answers if phase == Phase.FAILED],
    )


def close_obligations(connection: sqlite3.Connection, done: Sequence[tuple[int, str, int]]) -> None:
    """Close obligations: event id, sink, time. Runs inside the writer."""
    execute_rows(connection, CLOSE, done)


def reopen_obligations(connection: sqlite3.Connection, duties: Sequence[Duty]) -> None:
    """Store opt-outs that the sinks have to confirm, also those that were closed before. Runs inside the writer."""
    execute_rows(connection, REOPEN, duties)


def delete_obligations(connection: sqlite3.Connection, event_ids: Sequence[int]) -> None:
    """Delete the obligations of events that are planned again: their new plan opens its own. Runs inside the writer."""
    connection.execute(DELETE_OBLIGATIONS, (as_list(list(event_ids)),))


def close_all_obligations(connection: sqlite3.Connection, event_ids: Sequence[int], now: datetime) -> None:
    """Close all obligations of the events, because a person has decided so. Runs inside the writer."""
    connection.execute(CLOSE_ALL, (micros(now), as_list(list(event_ids))))


def take_back(connection: sqlite3.Connection, crm: str, records: Mapping[str, str], now: datetime) -> None:
    """Reopen opt-outs of people (number → record) whose flag the CRM's automation has unset.

    Only people whose latest entry is an opt-out are affected. It stays open until the record says "out", or the donor
    opts in: see close_restored() and close_after_opt_in(). Runs inside the writer.
    """
    if not records:
        return
    rows = connection.execute(LAST_DECIDED, (as_list(list(records)),)).fetchall()
    execute_rows(connection, REOPEN, [(event_id, key, crm, since) for _, event_id, key, since in rows])
    why = {event_id: f"{TAKEN_BACK}: {records[number]}" for number, event_id, *_ in rows}
    append_answers(
        connection, [(event_id, crm, Phase.FAILED.value, detail, micros(now)) for event_id, detail in why.items()]
    )


def close_restored(
    connection: sqlite3.Connection, crm: str, numbers: Sequence[str], detail: str, now: datetime
) -> None:
    """Close what take_back() opened for these people: the CRM shows the flag again, or the record is gone. Runs inside the writer."""
    rows = _taken_back(connection, crm, numbers)
    append_answers(
        connection, [(event_id, sink, Phase.CONFIRMED.value, detail, micros(now)) for event_id, sink in rows]
    )


def close_after_opt_in(connection: sqlite3.Connection, numbers: Sequence[str], now: datetime) -> None:
    """These people have opted in since: close what take_back() opened for them. Runs inside the writer."""
    close_obligations(
        connection, [(event_id, sink, micros(now)) for event_id, sink in _taken_back(connection, None, numbers)]
    )


def _taken_back(connection: sqlite3.Connection, crm: str | None, numbers: Sequence[str]) -> list[tuple[int, str]]:
    if not numbers:
        return []
    return connection.execute(ARE_TAKEN_BACK, {"numbers": as_list(list(numbers)), "sink": crm}).fetchall()


def read_ledger(connection: sqlite3.Connection, e164: str) -> tuple[LedgerEntry, ...]:
    """The ledger of one number, oldest event first, as the connection sees it now; also what is kept of it if it was forgotten."""
    rows = connection.execute(f"{ENTRIES} WHERE entry.msisdn IN (?1, pseudonym(?1)) {IN_ORDER}", (e164,))
    return tuple(_entry(row) for row in rows.fetchall())


class Consents:
    """Reads and writes the ledger."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def of(self, e164: str) -> tuple[LedgerEntry, ...]:
        """The ledger of one number, oldest event first."""
        return read_ledger(self._reader, e164)

    def of_many(self, numbers: Sequence[str]) -> dict[str, tuple[LedgerEntry, ...]]:
        """The ledgers of many numbers; a number without entries has an empty one."""
        found: dict[str, list[LedgerEntry]] = {number: [] for number in numbers}
        whose = dict(zip(found, found, strict=True))
        # In the index all pseudonyms come after all numbers.
        if self._reader.execute(ANY_FORGOTTEN).fetchone():
            hashed = self._reader.execute("SELECT pseudonym(value), value FROM json_each(?)", (as_list(list(found)),))
            whose |= dict(hashed.fetchall())
        rows = self._reader.execute(
            f"{ENTRIES} WHERE entry.msisdn IN (SELECT value FROM json_each(?)) {IN_ORDER}",  # noqa: S608 - constants of this file.
            (as_list([name for name in whose if name]),),
        ).fetchall()
        for row in rows:
            found[whose[row[-1]]].append(_entry(row))
        return {number: tuple(entries) for number, entries in found.items()}

    def opted_out(self, numbers: Sequence[str]) -> list[str]:
        """Those of the numbers whose last decision is an opt-out. Another subscription of theirs may still run."""
        forgotten = self._reader.execute(ANY_FORGOTTEN).fetchone()
        names = "number.value, pseudonym(number.value)" if forgotten else "number.value"
        return [number for (number,) in self._reader.execute(LAST_OUT.format(names=names), (as_list(numbers),))]

    def decided_since(self, since: datetime) -> tuple[int, int]:
        """How many opt-ins and opt-outs were decided since then."""
        rows = self._reader.execute(DECIDED_SINCE, (micros(since),)).fetchall()
        counts = dict(rows)
        return counts.get("opt_in", 0), counts.get("opt_out", 0)

    def late_since(self, since: datetime, now: datetime, deadline: timedelta) -> int:
        """How many opt-outs that came since then were not confirmed within the deadline."""
        (count,) = self._reader.execute(
            LATE_SINCE, (micros(since), micros(now), deadline // timedelta(microseconds=1))
        ).fetchone()
        return int(count)

    def open_opt_outs(
        self, now: datetime, *, older_than: timedelta = timedelta(0), limit: int = 1000
    ) -> list[OpenOptOut]:
        """Opt-outs that a sink has not confirmed, oldest first: those of at least this age, and all that no rule sends."""
        chosen = {"latest": micros(now - older_than), "no_rule": NO_RULE, "limit": limit}
        return [_open(row, now) for row in self._reader.execute(UNCONFIRMED, chosen).fetchall()]

    def open_of(self, event_ids: Sequence[int], now: datetime) -> list[OpenOptOut]:
        """The opt-outs of these events that a sink has not confirmed, oldest first."""
        rows = self._reader.execute(UNCONFIRMED_OF, (as_list(list(event_ids)),)).fetchall()
        return [_open(row, now) for row in rows]

    def not_held(self, crm: str, name: str) -> int:
        """How many people are opted out in records of the object, but not by their latest entry in the ledger."""
        (count,) = self._reader.execute(NOT_HELD, (crm, name)).fetchone()
        return int(count)

    async def confirm(
        self, event_id: int, sink: str, phase: Phase, detail: str | None = None, *, now: datetime
    ) -> None:
        """Append the answer of a system that needs no unit, such as the provider where a person opted out."""
        row = (event_id, sink, phase.value, detail, micros(now))
        await self._writer.run(lambda connection: append_answers(connection, [row]))


def _open(row: tuple[int, str, str, int, str | None], now: datetime) -> OpenOptOut:
    event_id, key, sink, since, failed = row
    return OpenOptOut(
        event_id=event_id, event_key=key, sink=sink, since=moment(since), age=now - moment(since), failed=failed
    )


def _entry(row: tuple[Any, ...]) -> LedgerEntry:
    entry_id, event_id, key, phase, decision, recorded_at, sink, of, detail, _ = row
    return LedgerEntry(
        id=entry_id,
        event_id=event_id,
        event_key=key,
        phase=Phase(phase),
        decision=decision_from_json(decision),
        recorded_at=moment(recorded_at),
        sink=sink,
        of=of,
        detail=detail,
    )
