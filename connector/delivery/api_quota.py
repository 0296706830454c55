"""Pure: a budget of API calls, and the limits that follow from what is left of it.

A CRM counts the calls of all its users over the last 24 hours. The connector uses at most its share of them, and
reserves some of it for opt-outs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

HOUR = timedelta(hours=1)
DAY_HOURS = 24
DAY = DAY_HOURS * HOUR
EASY = 0.5  # of the budget: while this much is left, nothing waits
CALLS = 2  # of a batch, usually
MAX_GAP = timedelta(minutes=15)
MAX_POLL = timedelta(minutes=5)  # the deadline of an opt-out, because people make opt-outs in the CRM
MAX_RESERVE = 5  # at most a fifth of the budget, so that a small org has something left for everything else


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
        return min(self.quota.reserve, (self.budget or 0) // MAX_RESERVE)

    @property
    def left(self) -> int | None:
        """Calls left for everything except opt-outs: of our budget, or of the org's if others have used more than their share."""
        return self._left_after(0, 0.0)

    @property
    def terms(self) -> UsageLimits:
        """The limits that follow from the state."""
        left, budget = self.left, self.budget
        if left is None or budget is None:
            return UsageLimits()
        if left <= 0:
            return UsageLimits(gap=MAX_GAP, only_opt_outs=True)
        if left >= EASY * (budget - self.reserve):
            return UsageLimits()
        # So that the rest is enough for a day: a call becomes available again only when it is a day old.
        return UsageLimits(gap=min(MAX_GAP, DAY * CALLS / left))

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
        if self.usage is None or self.budget is None:
            return None
        ours = self._ours_after(hours)
        others = max(0, self.usage.used - self.ours)  # assume that they continue as they do now
        ends = min(self.budget - ours, self.usage.maximum - others - ours)
        return int(ends - more) - self.reserve

    def _ours_after(self, hours: int) -> int:
        return sum(n for ago, n in self.hours.items() if ago + hours < DAY_HOURS)
