"""Agreements: what donors give each month, by subscription. Stored with the opt-in's decision, ended with the subscription."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from connector.model.charge import Agreement
from connector.model.consent import Decision
from connector.model.event import Event, Verdict
from connector.model.phone import Phone
from connector.model.text_folding import fold
from connector.store.documents import decision_from_json
from connector.store.sql import micros, moment
from connector.store.writer import Writer

AGREEMENT = """agreement.id, agreement.provider, agreement.msisdn, agreement.service_id, agreement.short_number,
    agreement.keyword, agreement.subscription_id, agreement.amount, agreement.event_id, agreement.began_at,
    agreement.last_period, agreement.failed_periods, agreement.ended_at, agreement.ended_why"""
MAX_AGE = timedelta(
    days=1
)  # of a payment when its event arrives: the event of a window is stored when the window is made
PAGE = 500  # agreements that are read at once, so that callbacks are answered in between
RUNNING = "provider = ? AND ended_at IS NULL"
PUT = """INSERT INTO agreements (provider, msisdn, service_id, short_number, keyword, subscription_id, amount,
        amount_event_id, event_id, began_at)
    VALUES (:provider, :msisdn, :service_id, :short_number, :keyword, :subscription_id, :amount, :event_id, :event_id, :began_at)
    ON CONFLICT (provider, msisdn, service_id) DO UPDATE SET short_number = excluded.short_number, keyword = excluded.keyword,
        subscription_id = excluded.subscription_id, amount = excluded.amount, amount_event_id = excluded.event_id,
        event_id = excluded.event_id, began_at = excluded.began_at, failed_periods = 0, ended_at = NULL, ended_why = NULL
        WHERE excluded.event_id > agreements.event_id"""
HAS = "SELECT 1 FROM agreements WHERE provider = :provider AND msisdn = :msisdn AND service_id = :service_id"
# If somebody who was forgotten has joined again, no period of the old agreement is charged twice.
RECOGNISE = """UPDATE agreements SET msisdn = :msisdn
    WHERE provider = :provider AND msisdn = pseudonym(:msisdn) AND service_id = :service_id"""
CHANGEABLE = """SELECT id, keyword FROM agreements WHERE provider = :provider AND msisdn = :msisdn
    AND short_number = :short_number AND keyword IS NOT NULL AND amount_event_id <= :event_id"""
CHANGE = "UPDATE agreements SET amount = ?, amount_event_id = ? WHERE id = ?"
OPT_INS = """SELECT ledger.event_id, ledger.decision, inbox.event ->> '$.price' FROM ledger
    LEFT JOIN inbox ON inbox.id = ledger.event_id WHERE ledger.phase = 'decided'
    AND substr(ledger.msisdn, 1, 1) = '+'
    AND json_extract(ledger.decision, '$.word') = 'opt_in' AND json_extract(ledger.decision, '$.origin') = ?
    ORDER BY ledger.event_id"""
ADOPTED = "agreements of "  # and the provider: in `cursors`, when its older opt-ins have been read


class NewAgreement(Struct, frozen=True, kw_only=True):
    """An agreement that an event begins."""

    provider: str
    msisdn: str
    service_id: str
    short_number: str | None
    keyword: str | None
    subscription_id: str
    amount: Decimal | None
    event_id: int
    began_at: datetime


class NewAmount(Struct, frozen=True, kw_only=True):
    """A delivered command that changes what a donor gives."""

    provider: str
    msisdn: str
    short_number: str
    keyword: str
    amount: Decimal
    event_id: int


def begun_by(event: Event, event_id: int, decisions: Iterable[Decision]) -> Iterator[NewAgreement]:
    """The agreements that an event begins. Only a subscription that the provider names by an id was begun by a payment."""
    # The first payment counts for its month, so that an older time, which only a mistake can give, would charge too early.
    began_at = max(event.occurred_at or event.received_at, event.received_at - MAX_AGE)
    for decision in decisions:
        made = _made(decision, event_id, event.price, began_at)
        if made is not None:
            yield made


def _made(decision: Decision, event_id: int, price: Decimal | None, began_at: datetime) -> NewAgreement | None:
    bound = decision.subscription
    if decision.word is not Verdict.OPT_IN or bound.service_id is None or bound.subscription_id is None:
        return None
    return NewAgreement(
        provider=bound.provider,
        msisdn=decision.phone.e164,
        service_id=bound.service_id,
        short_number=bound.short_number,
        keyword=bound.keyword,
        subscription_id=bound.subscription_id,
        amount=price,
        event_id=event_id,
        began_at=began_at,
    )


def put(connection: sqlite3.Connection, new: Iterable[NewAgreement]) -> None:
    """Store agreements; one that is newer replaces an older one of the same subscription. Runs inside the writer."""
    for one in new:
        given = {name: getattr(one, name) for name in NewAgreement.__struct_fields__}
        given |= {"amount": None if one.amount is None else str(one.amount), "began_at": micros(one.began_at)}
        if not connection.execute(HAS, given).fetchone():
            connection.execute(RECOGNISE, given)
        connection.execute(PUT, given)


def change_amounts(connection: sqlite3.Connection, new: Iterable[NewAmount]) -> None:
    """Store new amounts, unless a newer event has set one already. Runs inside the writer."""
    for one in new:
        given = {
            "provider": one.provider,
            "msisdn": one.msisdn,
            "short_number": one.short_number,
            "event_id": one.event_id,
        }
        for agreement_id, keyword in connection.execute(CHANGEABLE, given).fetchall():
            if fold(keyword) == fold(one.keyword):
                connection.execute(CHANGE, (str(one.amount), one.event_id, agreement_id))


class Agreements:
    """Reads and writes the agreements."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def of(self, provider: str, *, after: int = 0, limit: int = PAGE) -> list[Agreement]:
        """A page of the agreements of a provider that have not ended, by id."""
        query = f"SELECT {AGREEMENT} FROM agreements AS agreement WHERE {RUNNING} AND id > ? ORDER BY id LIMIT ?"  # noqa: S608 - constants.
        return [agreement_of(row) for row in self._reader.execute(query, (provider, after, limit))]

    def get(self, agreement_id: int) -> Agreement | None:
        """One agreement."""
        row = self._reader.execute(f"SELECT {AGREEMENT} FROM agreements AS agreement WHERE id = ?", (agreement_id,))  # noqa: S608 - a constant.
        found = row.fetchone()
        return agreement_of(found) if found else None

    def of_phone(self, e164: str) -> list[Agreement]:
        """The agreements of one number, ended ones too, also what is kept of a forgotten person; the newest first."""
        query = f"SELECT {AGREEMENT} FROM agreements AS agreement WHERE msisdn IN (?1, pseudonym(?1)) ORDER BY id DESC"  # noqa: S608 - a constant.
        return [agreement_of(row) for row in self._reader.execute(query, (e164,)).fetchall()]

    def counts(self, provider: str) -> tuple[int, int]:
        """How many agreements a provider has, and how many of them have ended."""
        query = "SELECT count(*), count(ended_at) FROM agreements WHERE provider = ?"
        n, ended = self._reader.execute(query, (provider,)).fetchone()
        return int(n), int(ended)

    async def adopt(self, provider: str) -> None:
        """Once for each provider: make agreements of the opt-ins that the ledger held before there were any."""

        def work(connection: sqlite3.Connection) -> None:
            name = ADOPTED + provider
            if connection.execute("SELECT 1 FROM cursors WHERE name = ?", (name,)).fetchone():
                return
            for event_id, text, price in connection.execute(OPT_INS, (provider,)).fetchall():
                decision = decision_from_json(text)
                amount = Decimal(str(price)) if price is not None else None
                if decision.occurred_at is not None:
                    made = _made(decision, event_id, amount, decision.occurred_at)
                    put(connection, [made] if made else [])
            connection.execute("INSERT INTO cursors (name, value) VALUES (?, '1')", (name,))

        await self._writer.run(work)


def agreement_of(row: Sequence[Any]) -> Agreement:
    """The agreement of a row with the columns AGREEMENT."""
    (
        agreement_id, provider, msisdn, service_id, short_number, keyword, subscription_id, amount, event_id, began_at,
        last_period, failed_periods, ended_at, ended_why,
    ) = row  # fmt: skip
    return Agreement(
        id=agreement_id,
        provider=provider,
        phone=Phone(msisdn),
        service_id=service_id,
        short_number=short_number,
        keyword=keyword,
        subscription_id=subscription_id,
        amount=Decimal(amount) if amount is not None else None,
        event_id=event_id,
        began_at=moment(began_at),
        last_period=last_period,
        failed_periods=failed_periods,
        ended_at=moment(ended_at) if ended_at is not None else None,
        ended_why=ended_why,
    )
