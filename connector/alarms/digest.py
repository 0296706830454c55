"""The weekly digest: who joined and left, gifts, and what needs a person. It names nobody."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from connector.alarms.policy import Message
from connector.model.event import Event, Result
from connector.model.states import EventState
from connector.store.store import Store

WEEK = timedelta(days=7)
MAX_EVENTS = 200_000  # events that are counted


class Digest(Struct, frozen=True, kw_only=True):
    """The figures of one week."""

    begin: datetime
    end: datetime
    events: int
    joined: int
    left: int
    gifts: int
    amounts: dict[str, Decimal]  # by currency
    refused: int  # dead letters of these events
    unmatched: int
    unreadable: int
    late_opt_outs: int
    dead_now: int  # dead letters of all time that are still open
    calls: dict[str, int]  # API calls to each CRM in the last 24 hours


def make_digest(store: Store, *, now: datetime, deadline: timedelta, crms: Iterable[str]) -> Digest:
    """Count the last week. Reads the store, which may take some seconds: give it one of its own."""
    begin = now - WEEK
    states = dict.fromkeys(EventState, 0)
    gifts = 0
    amounts: dict[str, Decimal] = {}
    for stored in store.inbox.newest(since=begin, limit=MAX_EVENTS):
        states[stored.state] += 1
        if stored.state is EventState.DELIVERED and stored.event is not None and is_gift(stored.event):
            gifts += 1
            currency = stored.event.currency or ""
            amounts[currency] = amounts.get(currency, Decimal(0)) + Decimal(stored.event.price or 0)
    joined, left = store.consents.decided_since(begin)
    return Digest(
        begin=begin,
        end=now,
        events=sum(states.values()),
        joined=joined,
        left=left,
        gifts=gifts,
        amounts=amounts,
        refused=states[EventState.DEAD],
        unmatched=states[EventState.UNMATCHED],
        unreadable=states[EventState.UNREADABLE],
        late_opt_outs=store.consents.late_since(begin, now, deadline),
        dead_now=sum(store.dead_letters.counts_by_reason().values()),
        calls={crm: sum(store.calls.of(crm).values()) for crm in crms},
    )


def is_gift(event: Event) -> bool:
    """Whether money came in: a charge that went through."""
    return event.result is Result.OK and event.final and event.price is not None and event.price > 0


def digest_message(digest: Digest) -> Message:
    """The figures in words."""
    amounts = ", ".join(f"{amount:f} {currency}".strip() for currency, amount in sorted(digest.amounts.items()))
    calls = ", ".join(f"{crm} {count}" for crm, count in digest.calls.items())
    lines = [
        f"{digest.events} events",
        f"{digest.joined} opt-ins, {digest.left} opt-outs",
        f"{digest.gifts} gifts" + (f": {amounts}" if amounts else ""),
        f"{digest.late_opt_outs} opt-outs were not confirmed in time",
        f"{digest.refused} events have dead letters (`connector dead list`; {digest.dead_now} of all time)",
        f"{digest.unmatched} events were matched by no rule (`connector events --state unmatched --since 7d`)",
        f"{digest.unreadable} callbacks could not be read (`connector events --state unreadable --since 7d`)",
        *([f"API calls in the last 24 hours: {calls}"] if calls else []),
    ]
    title = f"connector: {digest.begin:%Y-%m-%d} to {digest.end:%Y-%m-%d}"
    return Message(title=title, body="\n".join(lines), severity="warning", at_once=True)
