"""Sinks, feeds and askers as the road holds them: how each is reached, and how it has fared lately."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from connector.delivery.alarms import OpenAlarms
from connector.delivery.api_budget import ApiBudget
from connector.delivery.http_client import Client
from connector.delivery.outcome_policy import DOUBTFUL, Suspect
from connector.delivery.retry import MAX_PAUSE, MAX_RETRY_AFTER, MINUTE, POLICIES, backoff
from connector.delivery.throttle import BatchSize
from connector.model.consent_fields import ConsentFields
from connector.model.http import Exchange
from connector.model.outcome import Outcome, Reason, Retry
from connector.ports import Enricher, Feed, Sink
from connector.telemetry.log_events import Alarm, ChannelPaused, ChannelResumed, Emit

LOST = "nothing is lost meanwhile, and it goes on by itself when that is mended"
# Faults that a person is called for at once, though the sink's own word does not tell the cure.
CURES = {
    Reason.CREDENTIALS: "check the credentials in the config and the rights of the account; `connector status` shows what it says",
    Reason.WRONG_ADDRESS: "check the address (`url`) in the config",
    Reason.MAINTENANCE: "nothing has to be done: it goes on by itself at the end of the maintenance",
    Reason.SINK_REFUSES: "see in `connector status` what it says",
    Reason.QUOTA_EXHAUSTED: "the day's API calls are used up: see which integration used them",
    Reason.STORAGE_FULL: "the CRM has no room for new records: make some, or buy more",
}
# A person is called for these when they last.
CURES_LATER = {
    Reason.UNEXPECTED_ANSWER: "something else answers at this address, such as a proxy: check `url` in the config",
    Reason.CONFIGURATION: "see in `connector status` what is missing",
}
SEE_NETWORK = "see the network from here, and the status page of the other side"
# Faults of a CRM as a whole: its sink and its feeds meet the same one, and raise one alarm for it.
OF_ALL = frozenset({reason for reason, policy in POLICIES.items() if policy.waits})
FEED_FAILING = "feed_failing"
FULL_PAGES = timedelta(
    seconds=5
)  # between two rounds behind a backlog: half-filled pages would cost as many calls as full ones


@dataclass(slots=True)
class CircuitBreaker:
    """Whether a peer is left alone for a while: why, since when, and how often in a row for this reason."""

    name: str
    about: str = ""  # whose fault it is where the fault concerns all that talk to it: the CRM of a feed
    alarms: OpenAlarms = field(default_factory=OpenAlarms)
    deadline: timedelta = 5 * MINUTE  # a person is called for a fault that lasts longer
    longest: timedelta = MAX_PAUSE  # that is waited where the peer asks for it
    cause: Retry | None = None  # None while the peer is well
    failures: int = 0  # in a row, for this reason
    since: datetime | None = None
    began: float = 0.0  # the same in monotonic seconds
    open_until: float = 0.0  # monotonic seconds
    failed_at: float = 0.0  # monotonic seconds

    def open(self, answer: Retry, *, now: float, at: datetime, emit: Emit, known: bool = False) -> None:
        """Leave it alone; `now` is monotonic, `at` the same by the clock.

        The pauses grow for one reason at a time, up to a minute, or as long as the peer asks for. A person is called at once
        where waiting alone does not mend it, unless somebody else has (`known`), and for any fault that lasts.
        """
        if self.cause is None:
            self.began, self.since = now, at
        if self.cause is None or self.cause.reason is not answer.reason:
            self.failures = 0
        own = min(backoff(POLICIES[answer.reason], self.failures), MINUTE)
        pause = max(own, min(answer.not_before or timedelta(), self.longest))
        self.cause = answer
        self.failures += 1
        self.failed_at, self.open_until = now, now + pause.total_seconds()
        emit(ChannelPaused(name=self.name, reason=answer.reason, detail=answer.detail, seconds=pause.total_seconds()))
        lasts = now - self.began >= self.deadline.total_seconds()
        doubted = answer.reason in CURES_LATER and self.failures > 1
        if not known and (_calls(answer) or doubted or lasts):
            self.raise_alarm(emit)

    def close(self, emit: Emit) -> None:
        """It works again."""
        if self.cause is not None:
            emit(ChannelResumed(name=self.name))
        self.alarms.clear(self.name, emit)
        self.cause, self.failures, self.since, self.open_until = None, 0, None, 0.0

    @property
    def cure(self) -> str:
        """What a person does about the fault; empty while all is well."""
        return cure_of(self.cause) if self.cause is not None else ""

    def raise_alarm(self, emit: Emit) -> None:
        """Call a person for the fault, unless one has been called for it."""
        answer = self.cause
        if answer is not None:
            of_all = answer.reason in OF_ALL or not self.about
            self.alarms.start(
                fault_alarm(answer, self.about or self.name)
                if of_all
                else Alarm(
                    kind=FEED_FAILING,
                    about=self.name,
                    message=f"{self.name} cannot be followed: {_named(answer)}",
                    cure=f"{cure_of(answer)}; {LOST}",
                ),
                self.name,
                emit,
            )


def cure_of(answer: Retry) -> str:
    """What a person does about a fault: by the sink's own word, else by its reason."""
    return answer.cure or CURES.get(answer.reason) or CURES_LATER.get(answer.reason) or SEE_NETWORK


def fault_alarm(answer: Retry, about: str) -> Alarm:
    """The alarm for a fault of a whole sink or CRM."""
    kind = Reason.SINK_REFUSES if answer.reason is Reason.UNKNOWN_CODE else answer.reason
    return Alarm(kind=kind, about=about, message=f"{about}: {_named(answer)}", cure=f"{cure_of(answer)}; {LOST}")


def _calls(answer: Retry) -> bool:
    """Whether a person is called at the first such answer."""
    return bool(answer.cure) or answer.reason in CURES


def _named(answer: Retry) -> str:
    """The reason, with the peer's own code or what failed on the way to it: nothing that a person wrote."""
    code = answer.code if answer.code.isascii() and answer.code.isidentifier() else ""
    more = code or answer.network
    return f"{answer.reason} ({more})" if more else str(answer.reason)


@dataclass(frozen=True, slots=True)
class SendAllowance:
    """What may go out now: so many operations, or opt-outs alone. With `opt_out_first` an opt-out that waits goes out by itself."""

    size: int
    only_opt_outs: bool = False
    opt_out_first: bool = False


@dataclass(slots=True)
class SinkChannel:
    """A sink."""

    sink: Sink
    client: Client
    budget: ApiBudget | None = None  # of API calls, where they are counted
    warm_up: Callable[[], Exchange[None]] | None = None  # what the sink wants to learn before its first batch
    alarms: OpenAlarms = field(default_factory=OpenAlarms)
    deadline: timedelta = 5 * MINUTE  # a person is called for a fault that lasts longer
    closing: bool = False  # the daemon stops: nothing more goes out
    sent: float = -math.inf  # when the last batch went out, monotonic seconds
    send_lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by the batch that is being sent
    suspect: Suspect | None = None  # the last record that was refused with a code that nobody knows
    probed: bool = False  # one record has been tried since the last pause, and failed too
    refused: set[Reason] = field(
        default_factory=set
    )  # reasons that single records are refused for, and a person was called
    batch_size: BatchSize = field(init=False)
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        self.batch_size = BatchSize.of(self.sink.batch)
        self.breaker = CircuitBreaker(self.sink.name, alarms=self.alarms, deadline=self.deadline)

    async def prepare(self) -> None:
        """Once, while there is nothing to do: let the sink learn what its first batch would have to ask."""
        if self.warm_up is not None:
            warm_up, self.warm_up = self.warm_up, None
            await self.client.run(warm_up())

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """A batch has ended so: the next one is as large as that, and the time that its calls took, allow."""
        self.batch_size = self.batch_size.after(outcomes, self.client.longest(), self.sink.traits.slow_request)

    def allowance(self, now: float) -> SendAllowance | None:
        """What may go out now. A sink in trouble is probed with one unit, and with an opt-out before anything else."""
        if self.closing:
            return None
        if self.breaker.cause is None:
            return SendAllowance(self.batch_size.size)
        if now < self.breaker.open_until:
            # It has asked for more than a minute: an opt-out does not wait so long.
            return (
                SendAllowance(1, only_opt_outs=True) if now >= self.breaker.failed_at + MINUTE.total_seconds() else None
            )
        if self.breaker.cause.reason is Reason.UNAVAILABLE:
            # Nothing of a batch is done where nothing reaches the sink, and a batch costs no more calls than a single record.
            return SendAllowance(self.batch_size.size, opt_out_first=True)
        return SendAllowance(self.batch_size.size if self.probed else 1)

    def accepts(self, operations: int, now: float) -> bool:
        """Whether a batch of so many may still go out, as it fared with the one before."""
        allowance = self.allowance(now)
        return allowance is not None and not allowance.only_opt_outs and operations <= allowance.size

    def mark_failed(self, fault: Retry, allowance: SendAllowance, *, now: float, at: datetime, emit: Emit) -> None:
        """A whole batch came back for the sink's own sake: leave it alone for a while.

        Where the record of a probe may be to blame itself, the others are tried before the next pause.
        """
        if self.breaker.cause is not None and allowance.size == 1 and not self.probed and fault.reason in DOUBTFUL:
            self.probed = True
            self.breaker.open_until = now
            return
        self.probed = False
        known = fault.reason is Reason.QUOTA_EXHAUSTED and self.quota_exhausted(emit)
        self.breaker.open(fault, now=now, at=at, emit=emit, known=known)

    def note_refused(self, outcomes: Sequence[Outcome], refused_for: Callable[[str, Reason], bool], emit: Emit) -> None:
        """Call a person for records that are refused for a reason which no record is to blame for, though others go through.

        `refused_for` tells whether anything that was refused for a reason is still open.
        """
        name = self.sink.name
        met = {one.reason: one for one in outcomes if isinstance(one, Retry) and _calls(one)}
        for reason, one in met.items():
            if self.breaker.cause is None:
                self.alarms.start(fault_alarm(one, name), f"{name}: {reason}", emit)
                self.refused.add(reason)
        for reason in self.refused - met.keys():
            if not refused_for(name, reason):
                self.alarms.clear(f"{name}: {reason}", emit)
                self.refused.discard(reason)

    def mark_healthy(self, emit: Emit) -> None:
        """A batch was answered."""
        self.probed = False
        self.breaker.close(emit)

    def quota_exhausted(self, emit: Emit) -> bool:
        """Whether the budget is used up, of which a person is told then."""
        return self.budget is not None and self.budget.terms(emit).only_opt_outs


@dataclass(slots=True)
class FeedChannel:
    """A feed, and which of its fields bear consent."""

    feed: Feed
    client: Client
    consent: ConsentFields | None = None
    budget: ApiBudget | None = None  # of API calls, where they are counted
    alarms: OpenAlarms = field(default_factory=OpenAlarms)
    deadline: timedelta = 5 * MINUTE  # from when a round is due until it must have come to its end
    idle_until: float = -math.inf  # until when, between two rounds; monotonic seconds
    poll: str | None = None  # of the round that is under way
    between: str = field(
        default_factory=lambda: uuid4().hex
    )  # stands for a poll, of all that is looked at until the next one
    due: float = 0.0  # when the next round is, monotonic seconds
    started: float = math.inf  # when the feed was begun, monotonic seconds
    opted_out_at: float = -math.inf  # when what says "out" was last asked for, monotonic seconds
    backlog: bool = False  # the last round took more than a page
    pages_at: float = -math.inf  # until when only what says "out" is asked for, between two rounds; monotonic seconds
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        # Where it bears consent a minute is the longest pause, whatever the CRM asks for.
        longest = MINUTE if self.consent else MAX_PAUSE
        feed = self.feed
        self.breaker = CircuitBreaker(feed.name, feed.crm, self.alarms, self.deadline, longest)

    def wants_opted_out(self, now: float) -> bool:
        """Whether what says "out" is asked for by itself: before a round that is probably long, and again and again while one is."""
        return (self.poll is not None or self.backlog) and now >= self.opted_out_at + self.feed.every.total_seconds()

    def finish_round(self, now: float, emit: Emit) -> None:
        """A round has ended: the next one comes in its time, or later where the budget is short."""
        every = self.feed.every
        pause = every if self.budget is None else self.budget.terms(emit).poll(every)
        self.due = now + pause.total_seconds()
        self.idle_until = self.due if pause > every else -math.inf
        self.pages_at = now + FULL_PAGES.total_seconds() if self.backlog else -math.inf
        self.alarms.clear(self._late, emit)

    def check(self, now: float, emit: Emit) -> None:
        """Call a person when a round has not come to its end in time, unless one has been called for its fault."""
        if now - max(self.due, self.started) <= self.deadline.total_seconds() or self.alarms.holds(self.breaker.name):
            return
        if self.breaker.cause is not None:
            self.alarms.clear(self._late, emit)
            self.breaker.raise_alarm(emit)
        else:
            minutes = round(self.deadline / MINUTE)
            message = f"{self.feed.name} has not been followed to the end for {minutes} minutes"
            cure = f"see `connector status`: a long backlog, or a slow CRM; {LOST}"
            self.alarms.start(
                Alarm(kind=FEED_FAILING, about=self.feed.name, message=message, cure=cure), self._late, emit
            )

    def end(self, emit: Emit) -> None:
        """Nothing follows it any more."""
        self.breaker.close(emit)
        self.alarms.clear(self._late, emit)

    @property
    def _late(self) -> str:
        return f"{self.feed.name} is late"


@dataclass(slots=True)
class EnricherChannel:
    """An asker."""

    enricher: Enricher
    client: Client
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(f"{self.enricher.provider} (questions)", longest=MAX_RETRY_AFTER)
