"""The subscriptions, kept in memory."""

import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from connector.sandbox.strex.keywords import Keyword


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """One phone's subscription to one keyword; the price is in NOK per month."""

    phone: str
    short_number: str
    keyword: str
    active: bool
    price: float
    subscriber_transaction_id: str

    @staticmethod
    def new(
        phone: str,
        keyword: Keyword,
        *,
        active: bool = True,
        price: float | None = None,
        subscriber_transaction_id: str | None = None,
    ) -> "Subscriber":
        """A subscription with the keyword's price and a new transaction id, unless these are given."""
        return Subscriber(
            phone=phone,
            short_number=keyword.short_number,
            keyword=keyword.name,
            active=active,
            price=keyword.price if price is None else price,
            subscriber_transaction_id=subscriber_transaction_id or str(uuid.uuid4()),
        )

    def as_json(self) -> dict[str, Any]:
        """All fields, by name."""
        return asdict(self)


class Subscribers:
    """The subscriber list, by phone and keyword."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str, str], Subscriber] = {}

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(list(self._all.values()))

    def clear(self) -> None:
        """Delete all subscriptions."""
        self._all.clear()

    def get(self, phone: str, keyword: Keyword) -> Subscriber | None:
        """The subscription, active or not; None for a phone that never had it."""
        return self._all.get((phone, keyword.short_number, keyword.name))

    def put(self, subscriber: Subscriber) -> Subscriber:
        """Set a subscription as given."""
        self._all[subscriber.phone, subscriber.short_number, subscriber.keyword] = subscriber
        return subscriber

    def join(self, phone: str, keyword: Keyword, price: float | None = None) -> Subscriber:
        """Start a subscription; its transaction id is always new, as the document says of leaving and joining."""
        return self.put(Subscriber.new(phone, keyword, price=price))

    def leave(self, subscriber: Subscriber) -> Subscriber:
        """End a subscription; it is kept with its transaction id."""
        return self.put(replace(subscriber, active=False))

    def reprice(self, subscriber: Subscriber, price: float) -> Subscriber:
        """Change a subscriber's price."""
        return self.put(replace(subscriber, price=price))
