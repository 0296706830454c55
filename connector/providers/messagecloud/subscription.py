"""A one-click subscription as an event: begun when its window is created, and decided by View Status.

Source: "Strex Norway with One-click Subscriptions", Transaction Flow. The redirect of the donor is only a hint, for anybody can
call it, and donors close their browsers.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from connector.model.event import Event, Result, Verdict, event_key
from connector.model.http import Exchange
from connector.ports import Enriched, Pending
from connector.providers.messagecloud.oneclick import CURRENCY, Account, Transaction, Window, view_status

SHAPE = "subscription"
ACTION = "one-click"
FIRST = timedelta(seconds=5)  # nobody completes a window sooner


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What donors can subscribe to, and the pages that they are led to afterwards."""

    name: str
    service_id: str
    short_number: str
    keyword: str
    price: Decimal  # in CURRENCY
    thank_you: str
    cancelled: str


def begun_key(provider: str, own_id: str) -> str:
    """The key of the event of a window, by the id that we gave it."""
    return event_key(provider, "window", own_id)


def begun(provider: str, offer: Offer, window: Window, own_id: str, received_at: datetime) -> Event:
    """The event of a window that was created: nobody is known yet, and nothing is decided."""
    return Event(
        key=begun_key(provider, own_id),
        provider=provider,
        shape=SHAPE,
        received_at=received_at,
        action=ACTION,
        keyword=offer.keyword,
        service_id=offer.service_id,
        short_number=offer.short_number,
        price=offer.price,
        currency=CURRENCY,
        result=Result.PENDING,
        final=False,
        transaction_id=window.transaction_id,
        subscription_id=window.transaction_id,
        properties={"offer": offer.name, "own_id": own_id},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEnricher:
    """Asks how subscriptions stand (ports.py, Asker), until their status is final."""

    provider: str
    account: Account
    deadline: timedelta
    first: timedelta = FIRST

    def wants(self, event: Event) -> bool:
        """A subscription whose status can still change."""
        return event.shape == SHAPE and not event.final and event.transaction_id is not None

    def ask(self, event: Event) -> Exchange[Enriched | Pending]:
        """View Status of the event's transaction."""
        answer = yield from view_status(self.account, event.service_id or "", event.transaction_id or "")
        if not isinstance(answer, Transaction):
            return Pending(problem=answer)
        known = with_status(event, answer)
        return Enriched(event=known) if answer.meaning.final else Pending(event=known)


def with_status(event: Event, transaction: Transaction) -> Event:
    """The event with what View Status says. It is an opt-in once the transaction was completed, and never before.

    It occurred when the transaction was started: a status can be late by hours, and must not make an older wish newer than a STOP.
    """
    times = {"created": transaction.created, "lastModified": transaction.last_modified}
    joined = transaction.meaning.result is Result.OK
    return replace(
        event,
        verdict=Verdict.OPT_IN if joined else Verdict.NONE,
        msisdn=transaction.msisdn or event.msisdn,
        short_number=transaction.short_number or event.short_number,
        price=transaction.price if transaction.price is not None else event.price,
        status=transaction.status,
        status_detail=transaction.status_detail,
        result=transaction.meaning.result,
        final=transaction.meaning.final,
        occurred_at=transaction.created or event.occurred_at,
        time_from_arrival=event.time_from_arrival and transaction.created is None,
        properties={**event.properties, **{name: time.isoformat() for name, time in times.items() if time}},
    )
