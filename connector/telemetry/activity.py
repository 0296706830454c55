"""Counts for each hour the events from each provider and CRM, and the deliveries to each. It is an Emit."""

from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec import Struct

from connector.model.states import UnitState
from connector.telemetry.log_events import CallbackReceived, FeedPolled, LogEvent, Settled

IN, OUT, FAILED = "in", "out", "failed"  # events received, units delivered, dead letters
HOUR = 3600  # seconds
KEPT = 48  # hours; of what happened before, only the last time of each kind and name is kept


class Count(Struct, frozen=True, kw_only=True):
    """What happened in one hour, counted since 1970."""

    hour: int
    kind: str  # in, out or failed
    name: str  # of the provider, CRM or sink
    n: int
    last_at: datetime


class Activity:
    """Keeps the counts of two days, and the last time of each kind and name."""

    def __init__(self, now: Callable[[], datetime], stored: Iterable[Count] = ()) -> None:
        """`stored` are those of earlier starts."""
        self._now = now
        self._counts: dict[tuple[int, str, str], Count] = {}
        self._unsaved: dict[tuple[int, str, str], Count] = {}
        self._last: dict[tuple[str, str], datetime] = {}
        self.load(stored)

    def load(self, stored: Iterable[Count]) -> None:
        """Add what earlier starts have stored."""
        for one in stored:
            self._keep(one)

    def __call__(self, fact: LogEvent) -> None:
        """Count a log event."""
        if isinstance(fact, CallbackReceived):
            if not fact.known:
                self._count(IN, fact.provider, 1)
        elif isinstance(fact, Settled):
            if fact.state == UnitState.DELIVERED:
                self._count(OUT, fact.sink, 1)
            elif fact.state == UnitState.DEAD:
                self._count(FAILED, fact.sink, 1)
        elif isinstance(fact, FeedPolled) and fact.changes and not fact.baseline:
            self._count(IN, fact.feed.partition(".")[0], fact.changes)

    def _count(self, kind: str, name: str, n: int) -> None:
        now = self._now()
        one = Count(hour=int(now.timestamp()) // HOUR, kind=kind, name=name, n=n, last_at=now)
        self._keep(one)
        _add(self._unsaved, one)

    def _keep(self, one: Count) -> None:
        _add(self._counts, one)
        key = one.kind, one.name
        self._last[key] = max(self._last.get(key, one.last_at), one.last_at)

    def take_unsaved(self) -> list[Count]:
        """What was counted since the last time. Counts that are older than two days are forgotten."""
        oldest = int(self._now().timestamp()) // HOUR - KEPT
        self._counts = {key: one for key, one in self._counts.items() if one.hour > oldest}
        taken, self._unsaved = self._unsaved, {}
        return list(taken.values())

    def not_saved(self, counts: Iterable[Count]) -> None:
        """Count these again at the next take_unsaved(), because they could not be stored."""
        for one in counts:
            _add(self._unsaved, one)

    def last(self, kind: str, name: str) -> datetime | None:
        """When it happened last."""
        return self._last.get((kind, name))

    def by_hour(self, kind: str, hours: int) -> list[tuple[int, int]]:
        """The last hours, each with its count; the present one is the last of them."""
        this = int(self._now().timestamp()) // HOUR
        sums = dict.fromkeys(range(this - hours + 1, this + 1), 0)
        for one in self._counts.values():
            if one.kind == kind and one.hour in sums:
                sums[one.hour] += one.n
        return list(sums.items())


def _add(counts: dict[tuple[int, str, str], Count], one: Count) -> None:
    key = one.hour, one.kind, one.name
    old = counts.get(key)
    if old is not None:
        one = Count(hour=one.hour, kind=one.kind, name=one.name, n=old.n + one.n, last_at=max(old.last_at, one.last_at))
    counts[key] = one
