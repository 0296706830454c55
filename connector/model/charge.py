"""Recurring charges as values: who agreed to what, one period's charge, a day's run, and a provider's answer.

Money is taken from donors. A charge is never sent again in doubt: a person decides.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from connector.model.consent import LedgerEntry
from connector.model.event import Event
from connector.model.outcome import Reason
from connector.model.phone import Phone

CHARGE = "charge"  # the shape of the events that report charges
CHARGED, ENDED = "charge", "ended"  # their actions: one attempt's result, and the end of a subscription by `stop_after`


class ChargeState(StrEnum):
    """A charge is in exactly one of these."""

    DUE = "due"  # to be sent on its day, or tried again
    SENDING = "sending"  # stored before the call: the call may have been made
    ASKING = "asking"  # sent; the provider has no final status yet, and is asked for it
    TAKEN = "taken"
    FAILED = "failed"  # nothing was taken, and the period is not tried again
    IN_DOUBT = "in_doubt"  # it may have been taken: a person decides
    SKIPPED = "skipped"  # not sent; `detail` says why


CHARGE_TRANSITIONS: dict[ChargeState, frozenset[ChargeState]] = {
    ChargeState.DUE: frozenset({ChargeState.SENDING, ChargeState.SKIPPED, ChargeState.FAILED, ChargeState.IN_DOUBT}),
    ChargeState.SENDING: frozenset(
        {ChargeState.TAKEN, ChargeState.FAILED, ChargeState.DUE, ChargeState.ASKING, ChargeState.IN_DOUBT}
    ),
    ChargeState.ASKING: frozenset({ChargeState.TAKEN, ChargeState.FAILED, ChargeState.DUE, ChargeState.IN_DOUBT}),
    ChargeState.TAKEN: frozenset(),
    # These four by a person's decision.
    ChargeState.FAILED: frozenset({ChargeState.DUE}),
    ChargeState.SKIPPED: frozenset({ChargeState.DUE}),
    ChargeState.IN_DOUBT: frozenset({ChargeState.TAKEN, ChargeState.FAILED, ChargeState.DUE, ChargeState.ASKING}),
}


class RunState(StrEnum):
    """A day's run of one provider."""

    WAITING = "waiting"  # for `connector charges approve`
    APPROVED = "approved"
    STOPPED = "stopped"  # too many charges failed


class Recurring(Struct, frozen=True, kw_only=True):
    """How the subscriptions of one offer are charged, each calendar month."""

    offer: str
    service_id: str
    day: int | None = None  # of the month, 1 to 28; None: the day on which the subscription began
    amount: Decimal | None = None  # None: the amount of the subscription
    retry: Mapping[str, tuple[timedelta, ...]] = field(default_factory=dict)  # status → pauses after the first attempt
    stop_after: int = 3  # periods in a row that failed; then the subscription ends


class ChargeRules(Struct, frozen=True, kw_only=True):
    """What the config says about the charges of one provider."""

    enabled: bool
    zone: ZoneInfo  # of the donors
    opens: time  # charges are sent from this local time
    closes: time  # and before this one
    currency: str
    max_amount: Decimal
    max_per_run: int
    late: timedelta  # how long after its day a charge may still be sent
    ask_until: timedelta  # how long a charge without a final status is asked about
    offers: Mapping[str, Recurring]  # by service id


class Agreement(Struct, frozen=True, kw_only=True):
    """A subscription that a donor has begun, and what they agreed to give."""

    id: int
    provider: str
    phone: Phone
    service_id: str
    short_number: str | None
    keyword: str | None
    subscription_id: str  # the provider's id of the payment that began it
    amount: Decimal | None  # None: not known
    event_id: int  # of the opt-in
    began_at: datetime
    last_period: str | None = None  # the newest one that has a charge, `2026-03`
    failed_periods: int = 0  # in a row
    ended_at: datetime | None = None
    ended_why: str | None = None


class Charge(Struct, frozen=True, kw_only=True):
    """One period of one agreement."""

    id: int
    agreement: Agreement
    period: str  # `2026-03`
    reference: str  # a random id, for the keys of its events
    state: ChargeState
    due_day: date
    last_day: date  # it is not sent after this day
    first_day: date | None = None  # when it was sent first
    attempt: int = 0  # times that it was sent
    amount: Decimal | None = None  # of the last attempt
    transaction_id: str | None = None
    status: str | None = None
    detail: str = ""
    sent_at: datetime | None = None
    run_day: date | None = None  # the run of the last attempt
    changed_at: datetime


class NewCharge(Struct, frozen=True, kw_only=True):
    """A period that is due, or that will not be charged: `skipped` says why."""

    agreement_id: int
    period: str
    due_day: date
    last_day: date
    skipped: str = ""
    in_doubt: str = ""  # why it may have been charged already


class LogEntry(Struct, frozen=True, kw_only=True):
    """One line of a charge's history."""

    at: datetime
    state: ChargeState
    detail: str


class Run(Struct, frozen=True, kw_only=True):
    """The charges of one day."""

    provider: str
    day: date
    size: int  # charges that are due for the first time
    state: RunState
    why: str = ""  # it waits or was stopped
    results: int = 0  # known since it was approved
    failures: int = 0  # among these


class Control(Struct, frozen=True, kw_only=True):
    """Why a provider's charges as a whole wait, if they do."""

    since: date | None = None  # the day on which charging was switched on
    paused_at: datetime | None = None
    paused_why: str | None = None
    hold: str | None = None  # why the next run waits for a person
    restored_at: datetime | None = None  # the restore of the database that was dealt with


class Verdict(StrEnum):
    """What a provider's answer means for the money."""

    TAKEN = "taken"
    FAILED = "failed"  # final: nothing was taken
    PENDING = "pending"
    NOT_SENT = "not_sent"  # certain: nothing was taken, and the donor is not the reason
    IN_DOUBT = "in_doubt"


class ChargeAnswer(Struct, frozen=True, kw_only=True):
    """A provider's answer about one charge."""

    verdict: Verdict
    transaction_id: str | None = None
    status: str | None = None
    status_detail: str | None = None
    price: Decimal | None = None
    detail: str = ""  # for people; holds no number
    reason: Reason | None = None  # of NOT_SENT
    concerns_all: bool = False  # of NOT_SENT: no charge can be sent now
    wait: timedelta | None = None  # the provider asks not to be called earlier


class ChargeFacts(Struct, frozen=True, kw_only=True):
    """What the store knows about a charge's person, read in the moment in which the charge would be sent."""

    ledger: Sequence[LedgerEntry]
    open_events: Sequence[str]  # keys of events that may stop the charge, and are not dealt with yet
    flagged_in: Sequence[str]  # CRM objects with a record of the person that has the opt-out flag


class Obstacle(Struct, frozen=True, kw_only=True):
    """Why a charge is not sent. It may be sent later only if it `passes`."""

    why: str
    passes: bool = False


class ChargeChange(Struct, frozen=True, kw_only=True):
    """The new state of a charge, and what else is stored in the same transaction."""

    state: ChargeState
    detail: str
    transaction_id: str | None = None
    status: str | None = None
    due_day: date | None = None  # of DUE
    last_day: date | None = None
    wait: timedelta | None = None  # of ASKING and DUE: not before this has passed
    unsent: bool = False  # the attempt does not count
    failure: bool | None = None  # for the run; None: no result yet
    failed_periods: int | None = None  # of the agreement
    ended_why: str | None = None  # of the agreement
    events: tuple[Event, ...] = ()
