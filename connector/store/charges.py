"""Recurring charges: one row for each agreement and period, and its history. charge_runs.py has the runs.

What a charge depends on is read in the transaction that stores it as `sending`. The same writer stores opt-outs, so that
no opt-out is missed that was answered with 200 before.
"""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connector.model.charge import (
    Charge,
    ChargeChange,
    ChargeFacts,
    ChargeState,
    LogEntry,
    NewCharge,
    Obstacle,
)
from connector.model.phone import Phone
from connector.store import charge_runs, inbox
from connector.store.agreements import AGREEMENT, agreement_of
from connector.store.consents import read_ledger
from connector.store.sql import MICROSECOND, micros, moment
from connector.store.writer import Writer

RECHECK = timedelta(minutes=5)  # until a charge that waits for something else is checked again
COLUMNS = """charge.id, charge.period, charge.reference, charge.state, charge.due_day, charge.last_day, charge.first_day,
    charge.attempt, charge.amount, charge.transaction_id, charge.status, charge.detail, charge.sent_at, charge.run_day,
    charge.changed_at"""
SELECT = f"""SELECT {AGREEMENT}, {COLUMNS} FROM charges AS charge
    CROSS JOIN agreements AS agreement ON agreement.id = charge.agreement_id"""  # noqa: S608 - constants.
WIDTH = 14  # columns of an agreement
# A delay that starts in the future was started before the clock was set back: it is over.
WAITED = "(charge.next_at IS NULL OR charge.next_at <= :now OR charge.started_at > :now)"
NEXT = f"""{SELECT} WHERE charge.provider = :provider AND charge.state = 'due' AND charge.due_day <= :today AND {WAITED}
    ORDER BY charge.due_day, charge.id LIMIT 1"""
TO_ASK = f"""{SELECT} WHERE charge.provider = :provider AND charge.state = 'asking' AND {WAITED}
    ORDER BY charge.next_at LIMIT 1"""
# Events of the person that may become an opt-out: not planned yet, an opt-out that is not delivered, or one that waits
# for a person.
OPEN_EVENTS = """SELECT key FROM inbox INDEXED BY inbox_phone WHERE msisdn = :phone
        AND (state = 'pending' OR (verdict IN ('opt_out', 'maybe_stop') AND state IN ('delivering', 'dead')))
    UNION SELECT event_key FROM obligations WHERE closed_at IS NULL AND event_id IN
        (SELECT event_id FROM ledger INDEXED BY ledger_phone WHERE msisdn IN (:phone, pseudonym(:phone))) LIMIT 3"""
FLAGGED = """SELECT DISTINCT crm || '.' || object FROM shadows INDEXED BY shadows_out_phone
    WHERE phone = ? AND opted_out = 1 AND gone_at IS NULL"""
MOVE = """UPDATE charges SET state = :state, detail = :detail, changed_at = :at, started_at = :started, next_at = :next,
    transaction_id = coalesce(:transaction, transaction_id), status = coalesce(:status, status),
    due_day = coalesce(:due_day, due_day), last_day = coalesce(:last_day, last_day), attempt = attempt - :unsent,
    first_day = CASE WHEN attempt = :unsent THEN NULL ELSE first_day END, asked = :asked WHERE id = :id"""
BEGIN = """UPDATE charges SET state = 'sending', detail = :detail, changed_at = :at, sent_at = :at, attempt = attempt + 1,
    amount = :amount, first_day = coalesce(first_day, :today), run_day = :today, transaction_id = NULL, status = NULL,
    started_at = NULL, next_at = NULL, asked = 0 WHERE id = :id"""
POSTPONE = "UPDATE charges SET detail = ?, started_at = ?, next_at = ? WHERE id = ?"
LOG = "INSERT INTO charge_log (charge_id, at, state, detail) VALUES (?, ?, ?, ?)"
INSERT = """INSERT INTO charges (agreement_id, provider, period, reference, state, due_day, last_day, detail, changed_at)
    SELECT id, provider, :period, lower(hex(randomblob(16))), :state, :due_day, :last_day, :detail, :at
    FROM agreements WHERE id = :agreement ON CONFLICT (agreement_id, period) DO NOTHING"""
OF_TRANSACTION = """SELECT id FROM charges INDEXED BY charges_transaction
    WHERE provider = ? AND transaction_id = ? COLLATE NOCASE AND id <> ? LIMIT 1"""
COUNTS = "SELECT state, count(*) FROM charges WHERE provider = ? GROUP BY state"
NOT_TOLD = "the process ended while the call was under way: it may have been taken"

Judge = Callable[[Charge, ChargeFacts], Obstacle | Decimal]


class Charges:
    """Reads and writes the charges of all providers."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def get(self, charge_id: int) -> Charge | None:
        """One charge."""
        row = self._reader.execute(f"{SELECT} WHERE charge.id = ?", (charge_id,)).fetchone()
        return _charge(row) if row else None

    def listed(
        self, *, states: Collection[ChargeState] = (), phone: str | None = None, period: str | None = None, limit: int
    ) -> list[Charge]:
        """Charges, the newest first."""
        where, values = ["1"], list[Any]()
        if states:
            where.append(f"charge.state IN ({','.join('?' * len(states))})")
            values += [state.value for state in states]
        if phone is not None:
            where.append("agreement.msisdn IN (?, pseudonym(?))")
            values += [phone, phone]
        if period is not None:
            where.append("charge.period = ?")
            values.append(period)
        query = f"{SELECT} WHERE {' AND '.join(where)} ORDER BY charge.id DESC LIMIT ?"
        return [_charge(row) for row in self._reader.execute(query, (*values, limit))]

    def all_in_doubt(self, limit: int) -> list[Charge]:
        """The charges in doubt, which wait for a person's decision, the newest first."""
        query = SELECT.replace(" AS charge", " AS charge INDEXED BY charges_in_doubt", 1)
        rows = self._reader.execute(
            f"{query} WHERE charge.state = 'in_doubt' ORDER BY charge.id DESC LIMIT ?", (limit,)
        )
        return [_charge(row) for row in rows.fetchall()]

    def another_of(self, charge: Charge, transaction_id: str) -> int | None:
        """The id of another charge of the provider that has this transaction."""
        values = (charge.agreement.provider, transaction_id, charge.id)
        row = self._reader.execute(OF_TRANSACTION, values).fetchone()
        return int(row[0]) if row else None

    def log(self, charge_id: int) -> list[LogEntry]:
        """The history of one charge, oldest first."""
        rows = self._reader.execute(
            "SELECT at, state, detail FROM charge_log WHERE charge_id = ? ORDER BY id", (charge_id,)
        )
        return [LogEntry(at=moment(at), state=ChargeState(state), detail=detail) for at, state, detail in rows]

    def counts(self, provider: str) -> dict[ChargeState, int]:
        """How many charges are in each state."""
        return {ChargeState(state): n for state, n in self._reader.execute(COUNTS, (provider,))}

    def next_due(self, provider: str, today: date, now: datetime) -> Charge | None:
        """The charge to be sent next."""
        given = {"provider": provider, "today": today.isoformat(), "now": micros(now)}
        row = self._reader.execute(NEXT, given).fetchone()
        return _charge(row) if row else None

    def due_on(self, provider: str, day: date) -> list[Charge]:
        """The charges that would be sent on a day."""
        query = (
            f"{SELECT} WHERE charge.provider = ? AND charge.state = 'due' AND charge.due_day <= ? ORDER BY charge.id"
        )
        return [_charge(row) for row in self._reader.execute(query, (provider, day.isoformat()))]

    def to_ask(self, provider: str, now: datetime) -> tuple[Charge, int] | None:
        """The charge whose status is to be asked next, and how often it was asked."""
        row = self._reader.execute(TO_ASK, {"provider": provider, "now": micros(now)}).fetchone()
        if row is None:
            return None
        charge = _charge(row)
        (asked,) = self._reader.execute("SELECT asked FROM charges WHERE id = ?", (charge.id,)).fetchone()
        return charge, int(asked)

    def facts(self, phone: Phone) -> ChargeFacts:
        """What is known now about a person who may be charged."""
        return _facts(self._reader, phone)

    async def begin(self, charge: Charge, judge: Judge, *, today: date, now: datetime) -> Charge | None:
        """Store a charge as `sending`, unless it must not be sent now; then returns None.

        `judge` returns the amount, or the obstacle. It runs in the writer's thread.
        """
        at = micros(now)

        def work(connection: sqlite3.Connection) -> bool:
            row = connection.execute(f"{SELECT} WHERE charge.id = ?", (charge.id,)).fetchone()
            current = _charge(row)
            if current.state is not ChargeState.DUE or not charge_runs.may_send(
                connection, charge.agreement.provider, today
            ):
                return False
            if today > current.last_day:
                reason = f"not charged by {current.last_day}" + (f": {current.detail}" if current.detail else "")
                _move(connection, charge.id, ChargeChange(state=ChargeState.SKIPPED, detail=reason), now)
                return False
            judged = judge(current, _facts(connection, current.agreement.phone))
            if not isinstance(judged, Obstacle):
                detail = f"sending {judged}, attempt {current.attempt + 1}"
                given = {"detail": detail, "at": at, "amount": str(judged), "today": today.isoformat(), "id": charge.id}
                connection.execute(BEGIN, given)
                connection.execute(LOG, (charge.id, at, ChargeState.SENDING.value, detail))
                return True
            if judged.passes:
                connection.execute(POSTPONE, (judged.why, at, at + RECHECK // MICROSECOND, charge.id))
                if judged.why != current.detail:
                    connection.execute(LOG, (charge.id, at, ChargeState.DUE.value, judged.why))
            else:
                _move(connection, charge.id, ChargeChange(state=ChargeState.SKIPPED, detail=judged.why), now)
            return False

        return self.get(charge.id) if await self._writer.run(work) else None

    async def change(self, charge: Charge, change: ChargeChange, *, now: datetime, asked: int = 0) -> bool:
        """Store the new state of a charge, and the events that report it. Raises StoreUnavailable.

        Returns False, and stores nothing, if the charge has changed since it was read.
        """
        events = inbox.arrival([inbox.Entry.of(event) for event in change.events])

        def work(connection: sqlite3.Connection) -> bool:
            before = connection.execute("SELECT state, attempt FROM charges WHERE id = ?", (charge.id,)).fetchone()
            if before != (charge.state.value, charge.attempt):
                return False
            _move(connection, charge.id, change, now, asked=asked)
            if change.failed_periods is not None or change.ended_why is not None:
                connection.execute(
                    "UPDATE agreements SET failed_periods = coalesce(?, failed_periods), ended_why = coalesce(?, ended_why),"
                    " ended_at = CASE WHEN ? IS NULL THEN ended_at ELSE ? END WHERE id = ? AND event_id = ?",
                    (
                        change.failed_periods,
                        change.ended_why,
                        change.ended_why,
                        micros(now),
                        charge.agreement.id,
                        charge.agreement.event_id,  # a subscription that has begun again meanwhile has no failures
                    ),
                )
            if change.failure is not None and charge.run_day is not None:
                charge_runs.count(connection, charge.agreement.provider, charge.run_day, failed=change.failure)
            if change.events:
                inbox.add(connection, [events])
            return True

        return await self._writer.run(work, new=False)

    def in_doubt(self, provider: str) -> int:
        """How many charges wait for a person's decision."""
        query = "SELECT count(*) FROM charges INDEXED BY charges_state WHERE provider = ? AND state = 'in_doubt'"
        (count,) = self._reader.execute(query, (provider,)).fetchone()
        return int(count)

    async def doubt_sending(self, provider: str, *, now: datetime) -> list[int]:
        """Put charges in doubt that are still `sending`, because no call of this process is under way; returns their ids."""

        def work(connection: sqlite3.Connection) -> list[int]:
            rows = connection.execute(
                "SELECT id FROM charges INDEXED BY charges_state WHERE provider = ? AND state = 'sending'",
                (provider,),
            ).fetchall()
            for (charge_id,) in rows:
                _move(connection, charge_id, ChargeChange(state=ChargeState.IN_DOUBT, detail=NOT_TOLD), now)
            return [charge_id for (charge_id,) in rows]

        waiting = self._reader.execute(
            "SELECT 1 FROM charges INDEXED BY charges_state WHERE provider = ? AND state = 'sending'",
            (provider,),
        ).fetchone()
        return await self._writer.run(work) if waiting else []

    async def plan(self, provider: str, day: date, new: Sequence[NewCharge], *, now: datetime) -> None:
        """Store the charges of an approved run in one transaction, and mark the run as planned."""

        def work(connection: sqlite3.Connection) -> None:
            for one in new:
                _add(connection, one, now)
            charge_runs.planned(connection, provider, day)

        await self._writer.run(work, new=True)

    async def doubt_all_due(self, provider: str, until: date, why: str, *, now: datetime) -> int:
        """Put all due charges in doubt after a restore: they may have been charged since the backup. Returns how many."""

        def work(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "SELECT id FROM charges INDEXED BY charges_state WHERE provider = ? AND state = 'due' AND due_day <= ?",
                (provider, until.isoformat()),
            ).fetchall()
            for (charge_id,) in rows:
                _move(connection, charge_id, ChargeChange(state=ChargeState.IN_DOUBT, detail=why), now)
            return len(rows)

        return await self._writer.run(work)


def _add(connection: sqlite3.Connection, new: NewCharge, now: datetime) -> None:
    state = ChargeState.SKIPPED if new.skipped else ChargeState.IN_DOUBT if new.in_doubt else ChargeState.DUE
    given = {
        "agreement": new.agreement_id,
        "period": new.period,
        "state": state.value,
        "due_day": new.due_day.isoformat(),
        "last_day": new.last_day.isoformat(),
        "detail": new.skipped or new.in_doubt,
        "at": micros(now),
    }
    added = connection.execute(INSERT, given)
    if added.rowcount:
        detail = new.skipped or new.in_doubt or f"due on {new.due_day}"
        connection.execute(LOG, (added.lastrowid, micros(now), state.value, detail))
        connection.execute(
            "UPDATE agreements SET last_period = max(coalesce(last_period, ''), ?) WHERE id = ?",
            (new.period, new.agreement_id),
        )


def _move(
    connection: sqlite3.Connection, charge_id: int, change: ChargeChange, now: datetime, *, asked: int = 0
) -> None:
    at = micros(now)
    given = {
        "id": charge_id,
        "state": change.state.value,
        "detail": change.detail,
        "at": at,
        "started": None if change.wait is None else at,
        "next": None if change.wait is None else at + change.wait // MICROSECOND,
        "transaction": change.transaction_id,
        "status": change.status,
        "due_day": change.due_day.isoformat() if change.due_day else None,
        "last_day": change.last_day.isoformat() if change.last_day else None,
        "unsent": int(change.unsent),
        "asked": asked,
    }
    before = connection.execute("SELECT state, detail FROM charges WHERE id = ?", (charge_id,)).fetchone()
    connection.execute(MOVE, given)
    if before != (change.state.value, change.detail):
        connection.execute(LOG, (charge_id, at, change.state.value, change.detail))


def _facts(connection: sqlite3.Connection, phone: Phone) -> ChargeFacts:
    return ChargeFacts(
        ledger=read_ledger(connection, phone.e164),
        open_events=[key for (key,) in connection.execute(OPEN_EVENTS, {"phone": phone.e164})],
        flagged_in=[name for (name,) in connection.execute(FLAGGED, (phone.e164,))],
    )


def _charge(row: Sequence[Any]) -> Charge:
    (
        charge_id, period, reference, state, due_day, last_day, first_day, attempt, amount, transaction_id, status, detail,
        sent_at, run_day, changed_at,
    ) = row[WIDTH:]  # fmt: skip
    return Charge(
        id=charge_id,
        agreement=agreement_of(row[:WIDTH]),
        period=period,
        reference=reference,
        state=ChargeState(state),
        due_day=date.fromisoformat(due_day),
        last_day=date.fromisoformat(last_day),
        first_day=date.fromisoformat(first_day) if first_day else None,
        attempt=attempt,
        amount=Decimal(amount) if amount else None,
        transaction_id=transaction_id,
        status=status,
        detail=detail,
        sent_at=moment(sent_at) if sent_at is not None else None,
        run_day=date.fromisoformat(run_day) if run_day else None,
        changed_at=moment(changed_at),
    )
