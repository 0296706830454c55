"""Consent: subscriptions, and the append-only ledger of what was decided and what became of it."""

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from connector.model.event import Scope as Scope  # noqa: PLC0414 - it is looked for here; an event has one too, and comes first.
from connector.model.event import Verdict
from connector.model.phone import Phone

# How far the clocks of two senders may be apart before a later time proves a later word; the config can set another.
CLOCK_TOLERANCE = timedelta(minutes=10)


# Behind the name of a CRM or provider in an open opt-out: no rule of the mappings tells it. No configured name has a blank in it.
NO_RULE = " (no rule)"


class Phase(StrEnum):
    """What a ledger entry says: a decision, or what a sink answered to it."""

    DECIDED = "decided"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class Subscription(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """(provider, short number, keyword), with the ids by which the provider may name it instead."""

    provider: str
    short_number: str | None = None
    keyword: str | None = None
    keyword_id: str | None = None
    service_id: str | None = None
    subscription_id: str | None = None  # of this joining: changes when someone leaves and joins again


class Decision(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An entry of the ledger before it is stored: what an event decided for one phone number."""

    phone: Phone
    word: Verdict  # opt_in or opt_out
    scope: Scope
    subscription: Subscription  # as far as it is known; for a wide scope only what bounds it
    origin: str  # the provider or CRM that said so
    occurred_at: datetime | None
    time_from_arrival: bool = False  # the sender told no time: `occurred_at` is by our own clock
    rule: str | None = None
    mapping: str | None = None  # version of the mappings that decided

    def by(self, rule: str | None, mapping: str) -> "Decision":
        """The same, with the rule that said so."""
        return replace(self, rule=rule, mapping=mapping)


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """A stored entry. `event_id` orders the ledger, as it orders everything."""

    id: int
    event_id: int
    event_key: str
    phase: Phase
    decision: Decision
    recorded_at: datetime
    sink: str | None = None  # of a confirmation or failure: who answered
    of: int | None = None  # of a confirmation or failure: the decision's id
    detail: str | None = None
