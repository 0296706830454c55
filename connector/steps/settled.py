"""Settled units → what is worth telling of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from connector.model.facts import Alarm, Fact, Settled
from connector.model.outcome import Reason
from connector.store.units import Settlement, Unit


def settled_fact(unit: Unit, end: Settlement, now: datetime) -> Settled:
    """What is told of a unit that came back."""
    return Settled(
        event=unit.event_key,
        sink=unit.sink,
        state=end.state,
        reason=end.reason,
        attempts=unit.attempts + end.spend_attempt,
        seconds=(now - unit.received_at).total_seconds(),
    )


def told(units: Sequence[Unit], settled: Sequence[Settlement], *, now: datetime) -> Iterator[Fact]:
    """One fact for each unit, and an alarm where ledger and provider disagree, or where a price was not changed."""
    for unit, end in zip(units, settled, strict=True):
        yield settled_fact(unit, end, now)
        if end.reason is Reason.PROVIDER_DISAGREES:
            yield Alarm(
                kind="provider_disagrees",
                about=unit.event_key,
                lasts=False,
                message=f"{unit.sink} does not know a subscription that our ledger holds active",
                cure="see `connector explain` of the event, and look the subscriber up at the provider",
            )
        if end.reason is Reason.PRICE_NOT_CHANGED:
            yield Alarm(
                kind="price_not_changed",
                about=unit.event_key,
                lasts=False,
                message=f"{unit.sink} has not changed the price of a subscription",
                cure=f"see `connector explain {unit.event_key}`: the CRM shows an amount that {unit.sink} does not charge",
            )
