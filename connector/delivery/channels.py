"""The channels to sinks, feeds and enrichers: how each is reached, and its recent failures."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from msgspec.structs import replace

from connector.delivery.cures import CURES, Alert, cure_of
from connector.delivery.http_client import Client
from connector.delivery.outcome_policy import DOUBTFUL, Suspect
from connector.delivery.retry import MAX_PAUSE, MAX_REQUESTED_PAUSE, MINUTE, OUTAGE_REASONS, POLICIES, backoff
from connector.delivery.throttle import ApiBudget, BatchSize
from connector.model.consent_fields import ConsentFields
from connector.model.http import Http
from connector.model.outcome import Outcome, Reason, Retry
from connector.ports import Enricher, Feed, Sink
from connector.telemetry.log_events import Alarm, ChannelPaused, ChannelResumed, Cleared, Emit


class OpenAlarms:
    """The raised alarms: one for each cause, even if several sinks and feeds meet it.

    A holder (a sink, a feed) has at most one. An alarm is cleared when no holder meets its cause any more.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, str]] = {}  # holder → kind, about

    def holds(self, holder: str) -> bool:
        """Whether this holder has an alarm."""
        return holder in self._held

    def start(self, alarm: Alarm, holder: str, emit: Emit) -> None:
        """Raise an alarm, unless it is raised already; clears an alarm of another cause that this holder had."""
        key = alarm.kind, alarm.about
        if self._held.get(holder) == key:
            return
        self.clear(holder, emit)
        if key not in self._held.values():
            emit(alarm)
        self._held[holder] = key

    def clear(self, holder: str, emit: Emit) -> None:
        """Note that this holder no longer meets the cause of its alarm."""
        key = self._held.pop(holder, None)
        if key is not None and key not in self._held.values():
            emit(Cleared(kind=key[0], about=key[1]))


NOTHING_LOST = "nothing is lost; the connector continues automatically when this is fixed"
# Faults of a CRM as a whole: its sink and its feeds have the same one, and raise one alarm for it.
CRM_WIDE = frozenset({reason for reason, policy in POLICIES.items() if policy.waits})
FEED_FAILING = "feed_failing"
# The pause between two polls of a backlog: pages that are half full would cost as many calls as full ones.
FULL_PAGES = timedelta(seconds=5)


@dataclass(slots=True)
class CircuitBreaker:
    """Pauses calls to a peer that fails: the reason, since when, and how often in a row for this reason."""

    name: str
    about: str = ""  # of a feed: its CRM, because the fault may be of the whole CRM
    alarms: OpenAlarms = field(default_factory=OpenAlarms)
    deadline: timedelta = 5 * MINUTE  # a person is alerted to a fault that lasts longer
    max_pause: timedelta = MAX_PAUSE  # longest pause that a peer may ask for
    calls: str = ""  # what it pauses, in words for the log: `deliveries to my-crm`
    cause: Retry | None = None  # None while the peer works
    failures: int = 0  # in a row, for this reason
    since: datetime | None = None
    began: float = 0.0  # `since` in monotonic seconds
    open_until: float = 0.0  # monotonic seconds
    failed_at: float = 0.0  # monotonic seconds

    def open(self, answer: Retry, *, now: float, at: datetime, emit: Emit, alerted: bool = False) -> None:
        """Pause calls to the peer; `now` is monotonic, `at` the same time by the clock.

        The pauses grow while the reason stays the same, up to a minute, or to what the peer asks for. A person is
        alerted at once if waiting alone does not help and nobody has been alerted (`alerted`), and for any fault that
        lasts.
        """
        if self.cause is None:
            self.began, self.since = now, at
        if self.cause is None or self.cause.reason is not answer.reason:
            self.failures = 0
        own_pause = min(backoff(POLICIES[answer.reason], self.failures), MINUTE)
        pause = max(own_pause, min(answer.not_before or timedelta(), self.max_pause))
        self.cause = answer
        self.failures += 1
        self.failed_at, self.open_until = now, now + pause.total_seconds()
        seconds = pause.total_seconds()
        emit(
            ChannelPaused(name=self.name, reason=answer.reason, detail=answer.detail, seconds=seconds, calls=self.calls)
        )
        lasts = now - self.began >= self.deadline.total_seconds()
        came_again = CURES[answer.reason].alert is Alert.IF_IT_COMES_AGAIN and self.failures > 1
        if not alerted and (_alerts_at_once(answer) or came_again or lasts):
            self.raise_alarm(emit)

    def close(self, emit: Emit) -> None:
        """Note that the peer works: end the pause, and clear its alarm."""
        if self.cause is not None:
            emit(ChannelResumed(name=self.name, calls=self.calls))
        self.alarms.clear(self.name, emit)
        self.cause, self.failures, self.since, self.open_until = None, 0, None, 0.0

    @property
    def cure(self) -> str:
        """What a person can do about the fault; empty while there is none."""
        return cure_of(self.cause) if self.cause is not None else ""

    def raise_alarm(self, emit: Emit) -> None:
        """Alert a person to the fault, unless a person has been alerted."""
        answer = self.cause
        if answer is None:
            return
        if answer.reason in CRM_WIDE or not self.about:
            alarm = fault_alarm(answer, self.about or self.name)
        elif answer.reason is Reason.UNKNOWN_CODE:
            # A sink that is refused with the same code has the same alarm. This one names the feed, which may be alone.
            message = f"{self.name} cannot be polled: {_reason_in_words(answer)}"
            alarm = replace(fault_alarm(answer, self.about), message=message)
        else:
            message = f"{self.name} cannot be polled: {_reason_in_words(answer)}"
            cure = f"{cure_of(answer)}; {NOTHING_LOST}"
            # An outage stops the sink of the CRM too: both then have one alarm.
            outage = answer.reason in OUTAGE_REASONS
            kind, about = (answer.reason, self.about) if outage else (FEED_FAILING, self.name)
            alarm = Alarm(kind=kind, about=about, message=message, cure=cure)
        self.alarms.start(alarm, self.name, emit)


def fault_alarm(answer: Retry, about: str) -> Alarm:
    """The alarm for a fault of a whole sink or CRM."""
    kind = Reason.SINK_REFUSES if answer.reason is Reason.UNKNOWN_CODE else answer.reason
    return Alarm(
        kind=kind,
        about=about,
        message=f"{about}: {_reason_in_words(answer)}",
        cure=f"{cure_of(answer)}; {NOTHING_LOST}",
    )


def _alerts_at_once(answer: Retry) -> bool:
    """Whether the first such answer alerts a person."""
    return bool(answer.cure) or CURES[answer.reason].alert is Alert.AT_ONCE


def _reason_in_words(answer: Retry) -> str:
    """The reason, with the peer's own code or what failed in the connection: nothing that a person wrote."""
    code = answer.code if answer.code.isascii() and answer.code.replace("_", "").isalnum() else ""
    more = code or answer.network
    return f"{answer.reason} ({more})" if more else str(answer.reason)


@dataclass(frozen=True, slots=True)
class SendAllowance:
    """How many operations may be sent now, or only opt-outs. With `opt_out_first` a waiting opt-out is sent alone."""

    size: int
    only_opt_outs: bool = False
    opt_out_first: bool = False


@dataclass(slots=True)
class SinkChannel:
    """A sink with its client, limits and state."""

    sink: Sink
    client: Client
    budget: ApiBudget | None = None  # of API calls, if they are counted
    warm_up: Callable[[Http], Awaitable[None]] | None = None  # what the sink prepares before its first batch
    alarms: OpenAlarms = field(default_factory=OpenAlarms)
    deadline: timedelta = 5 * MINUTE  # a person is alerted to a fault that lasts longer
    closing: bool = False  # the daemon stops: nothing more is sent
    sent: float = -math.inf  # when the last batch was sent, monotonic seconds
    send_lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by the batch that is being sent
    suspect: Suspect | None = None  # the last record that was refused with an unknown code
    locked: set[str] = field(default_factory=set)  # the people of the last batch, if all of its records were locked
    probed: bool = False  # one record has been tried since the last pause, and failed too
    # Reasons for which single records are refused and a person was alerted.
    refused: set[Reason] = field(default_factory=set)
    batch_size: BatchSize = field(init=False)
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        self.batch_size = BatchSize.of(self.sink.batch)
        self.breaker = CircuitBreaker(
            self.sink.name,
            alarms=self.alarms,
            deadline=self.deadline,
            calls=f"deliveries to {self.sink.name}",
        )

    async def prepare(self) -> None:
        """Let the sink look up what its first batch needs. Only the first call does so."""
        if self.warm_up is not None:
            warm_up, self.warm_up = self.warm_up, None
            await warm_up(self.client)

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Adapt the size of the next batch to these outcomes and to the time that the calls took."""
        self.batch_size = self.batch_size.after(outcomes, self.client.longest(), self.sink.traits.slow_request)

    def allowance(self, now: float) -> SendAllowance | None:
        """What may be sent now. A sink with a fault is tested with one unit, an opt-out if there is one."""
        if self.closing:
            return None
        if self.breaker.cause is None:
            return SendAllowance(self.batch_size.size)
        if now < self.breaker.open_until:
            # If the sink has asked for more than a minute, opt-outs wait only that long.
            waited = now >= self.breaker.failed_at + MINUTE.total_seconds()
            return SendAllowance(1, only_opt_outs=True) if waited else None
        if self.breaker.cause.reason is Reason.UNAVAILABLE:
            # If the sink is unreachable, a batch does no harm and needs no more calls than a single record.
            return SendAllowance(self.batch_size.size, opt_out_first=True)
        return SendAllowance(self.batch_size.size if self.probed else 1)

    def accepts(self, operations: int, now: float) -> bool:
        """Whether a batch of this size may still be sent, after the result of the previous one."""
        allowance = self.allowance(now)
        return allowance is not None and not allowance.only_opt_outs and operations <= allowance.size

    def mark_failed(self, fault: Retry, allowance: SendAllowance, *, now: float, at: datetime, emit: Emit) -> None:
        """Pause the sink: a whole batch failed because of it.

        If the record of a probe may itself be the cause, other records are tried before the next pause.
        """
        if self.breaker.cause is not None and allowance.size == 1 and not self.probed and fault.reason in DOUBTFUL:
            self.probed = True
            self.breaker.open_until = now
            return
        self.probed = False
        alerted = fault.reason is Reason.QUOTA_EXHAUSTED and self.quota_exhausted(emit)
        self.breaker.open(fault, now=now, at=at, emit=emit, alerted=alerted)

    def note_refused(self, outcomes: Sequence[Outcome], refused_for: Callable[[str, Reason], bool], emit: Emit) -> None:
        """Alert a person to records that are refused because of the org, although others succeed.

        `refused_for` says whether a unit that was refused for a reason is still open.
        """
        name = self.sink.name
        refused_now = {
            outcome.reason: outcome for outcome in outcomes if isinstance(outcome, Retry) and _alerts_at_once(outcome)
        }
        for reason, outcome in refused_now.items():
            if self.breaker.cause is None:
                self.alarms.start(fault_alarm(outcome, name), f"{name}: {reason}", emit)
                self.refused.add(reason)
        for reason in self.refused - refused_now.keys():
            if not refused_for(name, reason):
                self.alarms.clear(f"{name}: {reason}", emit)
                self.refused.discard(reason)

    def mark_healthy(self, emit: Emit) -> None:
        """Note that the sink has answered a batch: end the pause."""
        self.probed = False
        self.breaker.close(emit)

    def quota_exhausted(self, emit: Emit) -> bool:
        """Whether the budget is used up; alerts a person in that case."""
        return self.budget is not None and self.budget.limits(emit).only_opt_outs


@dataclass(slots=True)
class FeedChannel:
    """A feed with its client, consent fields and state."""

    feed: Feed
    client: Client
    consent: ConsentFields | None = None
    budget: ApiBudget | None = None  # of API calls, if they are counted
    alarms: OpenAlarms = field(default_factory=OpenAlarms)
    deadline: timedelta = 5 * MINUTE  # time from a poll's due time to its end; then a person is alerted
    idle_until: float = -math.inf  # idle until then, between two polls; monotonic seconds
    poll: str | None = None  # id of the poll that is under way
    # Names what is read until the next poll ends. The ids of its polls begin with it.
    round_id: str = field(default_factory=lambda: uuid4().hex)
    due: float = 0.0  # when the next poll is due, monotonic seconds
    started: float = math.inf  # when the feed was begun, monotonic seconds
    opted_out_at: float = -math.inf  # when opted-out records were last asked for, monotonic seconds
    backlog: bool = False  # the last poll took more than a page
    pages_at: float = -math.inf  # until then only opted-out records are asked for, between two polls; monotonic seconds
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        # For a feed with consent fields a minute is the longest pause, whatever the CRM asks for.
        longest = MINUTE if self.consent else MAX_PAUSE
        feed = self.feed
        self.breaker = CircuitBreaker(
            feed.name, feed.crm, self.alarms, self.deadline, longest, calls=f"polls of {feed.name}"
        )

    def wants_opted_out(self, now: float) -> bool:
        """Whether to query opted-out records separately: before a poll that is probably long, and repeatedly during one."""
        return (self.poll is not None or self.backlog) and now >= self.opted_out_at + self.feed.every.total_seconds()

    def knows_opt_outs(self, now: float) -> bool:
        """Whether the opt-outs of the CRM have been read since the start, and lately. True if the feed shows no opt-outs."""
        read_at = max(self.due, self.opted_out_at)
        return self.consent is None or (self.due > 0 and now - read_at <= self.deadline.total_seconds())

    def finish_round(self, now: float, emit: Emit) -> None:
        """Schedule the next poll: on time, or later if the API budget is short."""
        every = self.feed.every
        pause = every if self.budget is None else self.budget.limits(emit).poll(every)
        self.due = now + pause.total_seconds()
        self.idle_until = self.due if pause > every else -math.inf
        self.pages_at = now + FULL_PAGES.total_seconds() if self.backlog else -math.inf
        self.alarms.clear(self._lateness, emit)

    def check(self, now: float, emit: Emit) -> None:
        """Alert a person when a poll has not ended in time, unless its fault has alerted one."""
        if now - max(self.due, self.started) <= self.deadline.total_seconds() or self.alarms.holds(self.breaker.name):
            return
        if self.breaker.cause is not None:
            self.alarms.clear(self._lateness, emit)
            self.breaker.raise_alarm(emit)
        else:
            minutes = round(self.deadline / MINUTE)
            message = f"no poll of {self.feed.name} has finished for {minutes} minutes"
            cure = f"see `connector status`: the backlog is long, or the CRM is slow; {NOTHING_LOST}"
            self.alarms.start(
                Alarm(kind=FEED_FAILING, about=self.feed.name, message=message, cure=cure), self._lateness, emit
            )

    def end(self, emit: Emit) -> None:
        """Clear the feed's alarms, because it is no longer followed."""
        self.breaker.close(emit)
        self.alarms.clear(self._lateness, emit)

    @property
    def _lateness(self) -> str:
        return f"{self.feed.name} is late"


@dataclass(slots=True)
class EnricherChannel:
    """An enricher with its client and state."""

    enricher: Enricher
    client: Client
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(
            f"{self.enricher.provider} (questions)",
            max_pause=MAX_REQUESTED_PAUSE,
            calls=f"look-ups at {self.enricher.provider}",
        )
