"""A one-click subscription as an event: it begins when its window is created, and View Status decides it.

Source: "Strex Norway with One-click Subscriptions", Transaction Flow. The donor's redirect is only a hint: anybody can
call that address, and donors close their browsers.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from connector.model.amount import can_be_paid
from connector.model.event import Event, Result, Verdict, event_key
from connector.model.http import Http
from connector.ports import Enriched, Pending
from connector.providers.messagecloud.oneclick import CURRENCY, Account, Transaction, Window, view_status

SHAPE = "subscription"
ACTION = "one-click"
FIRST = timedelta(seconds=5)  # nobody completes a window sooner


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What donors can subscribe to, and the pages to which they are redirected afterwards."""

    name: str
    service_id: str
    short_number: str
    keyword: str
    price: Decimal  # in CURRENCY
    thank_you: str
    cancelled: str


def window_event_key(provider: str, own_id: str) -> str:
    """The key of a window's event, made from the id that we gave the window."""
    return event_key(provider, "window", own_id)


def window_event(provider: str, offer: Offer, window: Window, own_id: str, received_at: datetime) -> Event:
    """The event of a window that was created: the subscriber is not known yet, and nothing is decided."""
    return Event(
        key=window_event_key(provider, own_id),
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
    """Asks for the status of subscriptions (ports.py, Enricher) until it is final."""

    provider: str
    account: Account
    deadline: timedelta
    first_pause: timedelta = FIRST

    def wants(self, event: Event) -> bool:
        """True for a subscription whose status can still change."""
        return event.shape == SHAPE and not event.final and event.transaction_id is not None

    async def ask(self, http: Http, event: Event) -> Enriched | Pending:
        """Call View Status for the event's transaction."""
        answer = await view_status(http, self.account, event.service_id or "", event.transaction_id or "")
        if not isinstance(answer, Transaction):
            return Pending(problem=answer)
        known = with_status(event, answer)
        return Enriched(event=known) if answer.meaning.final else Pending(event=known)


def with_status(event: Event, transaction: Transaction) -> Event:
    """The event with the result of View Status. It becomes an opt-in only when the transaction is completed.

    Its time is the start of the transaction: a status can be hours late, and must not make an older opt-in newer than a
    STOP.
    """
    times = {"created": transaction.created, "lastModified": transaction.last_modified}
    joined = transaction.meaning.result is Result.OK
    return replace(
        event,
        verdict=Verdict.OPT_IN if joined else Verdict.NONE,
        msisdn=transaction.msisdn or event.msisdn,
        short_number=transaction.short_number or event.short_number,
        price=transaction.price if transaction.price is not None and can_be_paid(transaction.price) else event.price,
        status=transaction.status,
        status_detail=transaction.status_detail,
        result=transaction.meaning.result,
        final=transaction.meaning.final,
        occurred_at=transaction.created or event.occurred_at,
        time_from_arrival=event.time_from_arrival and transaction.created is None,
        properties={**event.properties, **{name: time.isoformat() for name, time in times.items() if time}},
    )
