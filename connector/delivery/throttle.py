"""Pure: how many operations are sent together, and how many API calls are left.

A CRM counts the calls of all its users over the last 24 hours. The connector uses at most its share of them, and
reserves some of it for opt-outs.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from connector.model.http import Failure, HttpError, HttpReply
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.telemetry.log_events import Alarm, Cleared, Emit

LIMITED_SHARE = 0.05  # of a batch: so many locks or limits of triggers make the next batch smaller, fewer may be chance
MIN_BATCH = 10  # operations: smaller batches are slow for reasons other than their size
STEPS = 20  # batches from the minimum to the maximum


class BatchSize(Struct, frozen=True):
    """The size of the next batch, in operations, and the largest size that the config allows."""

    maximum: int
    size: int

    @classmethod
    def of(cls, maximum: int) -> Self:
        """The size at the start."""
        return cls(maximum, maximum)

    def after(self, outcomes: Sequence[Outcome], took: timedelta, slow: timedelta) -> "BatchSize":
        """The size after a batch whose longest call `took` this long; a call of `slow` is too long (CrmTraits.slow_request).

        It is halved if that was slow or met locks or limits of triggers, and grows a little if it was good and full.
        """
        if len(outcomes) <= MIN_BATCH:
            return self
        limited = sum(
            one.was_split if isinstance(one, Delivered) else _may_succeed_in_smaller_batch(one) for one in outcomes
        )
        if took > slow or limited >= LIMITED_SHARE * len(outcomes):
            return replace(self, size=min(self.size, max(MIN_BATCH, self.size // 2)))
        if 2 * len(outcomes) >= self.size:
            return replace(self, size=min(self.maximum, self.size + max(1, self.maximum // STEPS)))
        return self


def _may_succeed_in_smaller_batch(failed: Retry | Rejected) -> bool:
    """Whether the operation might succeed in a smaller batch."""
    return isinstance(failed, Retry) and failed.reason in {Reason.ROW_LOCKED, Reason.TRIGGER_LIMIT}


SECONDS_PER_HOUR = 3600
HOUR = timedelta(hours=1)
DAY_HOURS = 24
DAY = DAY_HOURS * HOUR
RELAXED_SHARE = 0.5  # of the budget: while this much is left, nothing waits
CALLS_PER_BATCH = 2  # usually
MAX_GAP = timedelta(minutes=15)
MAX_POLL = timedelta(minutes=5)  # the deadline of an opt-out, because people make opt-outs in the CRM
MAX_RESERVE = 0.2  # of the budget, so that a small org has something left for everything else


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """API calls of the whole org in the last 24 hours, ours and everyone else's, as the CRM reported them."""

    used: int
    maximum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """From the config: the share of the org's calls that the connector may use, and how many of these are only for opt-outs."""

    share: float
    reserve: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLimits:
    """The limits for calls to the CRM now."""

    gap: timedelta = timedelta()  # between two batches that are not full
    only_opt_outs: bool = False

    def poll(self, every: timedelta) -> timedelta:
        """The pause between two polls of a feed."""
        return max(every, min(self.gap, MAX_POLL))


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """The state of a budget. `hours`: our calls by how many hours ago they were made (0: this hour)."""

    quota: Quota
    usage: Usage | None  # None: the CRM has not reported it yet
    hours: Mapping[int, int]

    @property
    def ours(self) -> int:
        """Our calls in the last 24 hours."""
        return self._ours_after(0)

    @property
    def budget(self) -> int | None:
        """How many calls in 24 hours are ours, including the reserve."""
        return int(self.quota.share * self.usage.maximum) if self.usage else None

    @property
    def reserve(self) -> int:
        """How many of them are kept for opt-outs."""
        return min(self.quota.reserve, int((self.budget or 0) * MAX_RESERVE))

    @property
    def left(self) -> int | None:
        """Calls left for everything except opt-outs: of our budget, or of the org's if others have used more than their share."""
        return self._left_after(0, 0.0)

    @property
    def limits(self) -> UsageLimits:
        """The limits that follow from the state."""
        left, budget = self.left, self.budget
        if left is None or budget is None:
            return UsageLimits()
        if left <= 0:
            return UsageLimits(gap=MAX_GAP, only_opt_outs=True)
        if left >= RELAXED_SHARE * (budget - self.reserve):
            return UsageLimits()
        # The calls left must be enough for a day: a call becomes available again only when it is a day old.
        return UsageLimits(gap=min(MAX_GAP, DAY * CALLS_PER_BATCH / left))

    @property
    def pace(self) -> float:
        """Our recent calls per hour."""
        return max(self.hours.get(0, 0), self.hours.get(1, 0))

    @property
    def lasts(self) -> timedelta | None:
        """How long the budget lasts at this pace; None if it lasts for a day, or is not known."""
        if self.left is None:
            return None
        before = self.left
        for hour in range(1, DAY_HOURS + 1):
            left = self._left_after(hour, self.pace * hour)
            assert left is not None  # noqa: S101 - it was known before the loop.
            if left <= 0:
                return HOUR * (hour - 1 + max(0, before) / max(1, before - left)) if before > 0 else timedelta()
            before = left
        return None

    def _left_after(self, hours: int, more: float) -> int | None:
        """Calls left after so many hours, in which we make so many more."""
        if self.usage is None or self.budget is None:
            return None
        ours = self._ours_after(hours)
        others = max(0, self.usage.used - self.ours)  # assume that they continue as they do now
        left = min(self.budget - ours, self.usage.maximum - others - ours)
        return int(left - more) - self.reserve

    def _ours_after(self, hours: int) -> int:
        return sum(n for ago, n in self.hours.items() if ago + hours < DAY_HOURS)


# Such a call has not reached the CRM.
UNSENT = frozenset({Failure.REFUSED, Failure.CREDENTIALS, Failure.MOVED, Failure.NOT_PUBLIC})
CURE = (
    "opt-outs are still sent, from the reserve; everything else waits, and nothing is lost: see `connector status`, find out "
    "which integration uses the CRM's calls, and change `quota:` in the config if the connector's share is too small"
)


class ApiBudget:
    """Counts every answer of one CRM. `read` finds the org's own count in the headers of an answer."""

    def __init__(
        self, crm: str, quota: Quota, read: Callable[[Mapping[str, str]], Usage | None], now: Callable[[], datetime]
    ) -> None:
        self.crm = crm
        self.exhausted = False  # only the reserve is left, and a person has been alerted
        self._quota = quota
        self._read = read
        self._now = now
        self._usage: Usage | None = None
        self._calls: Counter[int] = Counter()  # by hour since 1970
        self._unsaved: Counter[int] = Counter()

    def record_call(self, result: HttpReply | HttpError) -> None:
        """A call has ended."""
        if isinstance(result, HttpError) and result.failure in UNSENT:
            return
        hour = self._hour()
        self._calls[hour] += 1
        self._unsaved[hour] += 1
        if isinstance(result, HttpReply):
            self._usage = self._read(result.headers) or self._usage

    def remember(self, calls: Mapping[int, int]) -> None:
        """Add the calls of an earlier start, by hour since 1970."""
        self._calls.update(calls)

    def unsaved(self) -> Mapping[int, int]:
        """Calls since the last call of this method, by hour since 1970."""
        unsaved, self._unsaved = self._unsaved, Counter()
        return unsaved

    def not_saved(self, calls: Mapping[int, int]) -> None:
        """These counts could not be stored: they are returned again next time."""
        self._unsaved.update(calls)

    def state(self) -> BudgetState:
        """The current state of the budget."""
        now = self._hour()
        for too_old in [hour for hour in self._calls if hour <= now - DAY_HOURS]:
            del self._calls[too_old]
        # An hour in the future was counted before the clock was set back.
        hours: Counter[int] = Counter()
        for hour, n in self._calls.items():
            hours[max(0, now - hour)] += n
        return BudgetState(quota=self._quota, usage=self._usage, hours=hours)

    def limits(self, emit: Emit) -> UsageLimits:
        """The limits for calls to the CRM now. Alerts a person once when only the reserve is left, and reports when that ends."""
        limits = self.state().limits
        if limits.only_opt_outs and not self.exhausted:
            message = f"{self.crm}: the API calls of the last 24 hours are used up, except for the reserve"
            emit(Alarm(kind=Reason.QUOTA_EXHAUSTED, about=self.crm, message=message, cure=CURE))
        elif self.exhausted and not limits.only_opt_outs:
            emit(Cleared(kind=Reason.QUOTA_EXHAUSTED, about=self.crm))
        self.exhausted = limits.only_opt_outs
        return limits

    def _hour(self) -> int:
        return int(self._now().timestamp()) // SECONDS_PER_HOUR
