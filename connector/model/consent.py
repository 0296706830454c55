"""Consent: subscriptions, and the append-only ledger of decisions and their results."""

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from connector.model.event import Scope as Scope  # noqa: PLC0414 - it is looked for here; an event has one too, and comes first.
from connector.model.event import Verdict
from connector.model.phone import Phone

# How far the clocks of two senders may differ. Only a larger time difference proves an order. The config can set
# another value.
CLOCK_TOLERANCE = timedelta(minutes=10)


# Follows the name of a CRM or provider in an open opt-out that no rule sends to it. No configured name contains a blank.
NO_RULE = " (no rule)"


class Phase(StrEnum):
    """What a ledger entry holds: a decision, or a sink's answer to it."""

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
    subscription_id: str | None = None  # of this period of membership: changes when someone leaves and joins again


class Decision(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An entry of the ledger before it is stored: what an event decided for one phone number."""

    phone: Phone
    word: Verdict  # opt_in or opt_out
    scope: Scope
    subscription: Subscription  # as far as it is known; for a wide scope only what limits the scope
    origin: str  # the provider or CRM that sent it
    occurred_at: datetime | None
    time_from_arrival: bool = False  # the sender gave no time: `occurred_at` is by our own clock
    rule: str | None = None
    mapping: str | None = None  # version of the mappings that made the decision
    record: str | None = None  # of a decision that a person made in a CRM: the id of the record with the flag

    def by(self, rule: str | None, mapping: str) -> "Decision":
        """The same decision, with the rule that made it."""
        return replace(self, rule=rule, mapping=mapping)


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """A stored entry. The ledger, like everything else, is ordered by `event_id`."""

    id: int
    event_id: int
    event_key: str
    phase: Phase
    decision: Decision
    recorded_at: datetime
    sink: str | None = None  # of a confirmation or failure: who answered
    of: int | None = None  # of a confirmation or failure: the decision's id
    detail: str | None = None
