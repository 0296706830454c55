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
    """What happened in one hour."""

    hour: int  # since 1970
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
        for count in stored:
            self._keep(count)

    def __call__(self, log_event: LogEvent) -> None:
        """Count a log event."""
        if isinstance(log_event, CallbackReceived):
            if not log_event.known:
                self._count(IN, log_event.provider, 1)
        elif isinstance(log_event, Settled):
            if log_event.state == UnitState.DELIVERED:
                self._count(OUT, log_event.sink, 1)
            elif log_event.state == UnitState.DEAD:
                self._count(FAILED, log_event.sink, 1)
        elif isinstance(log_event, FeedPolled) and log_event.changes and not log_event.baseline:
            self._count(IN, log_event.feed.partition(".")[0], log_event.changes)

    def _count(self, kind: str, name: str, n: int) -> None:
        now = self._now()
        count = Count(hour=int(now.timestamp()) // HOUR, kind=kind, name=name, n=n, last_at=now)
        self._keep(count)
        _add(self._unsaved, count)

    def _keep(self, count: Count) -> None:
        _add(self._counts, count)
        key = count.kind, count.name
        self._last[key] = max(self._last.get(key, count.last_at), count.last_at)

    def take_unsaved(self) -> list[Count]:
        """What was counted since the last time. Counts that are older than two days are forgotten."""
        oldest = int(self._now().timestamp()) // HOUR - KEPT
        self._counts = {key: count for key, count in self._counts.items() if count.hour > oldest}
        taken, self._unsaved = self._unsaved, {}
        return list(taken.values())

    def not_saved(self, counts: Iterable[Count]) -> None:
        """Count these again at the next take_unsaved(), because they could not be stored."""
        for count in counts:
            _add(self._unsaved, count)

    def last(self, kind: str, name: str) -> datetime | None:
        """When it happened last."""
        return self._last.get((kind, name))

    def by_hour(self, kind: str, hours: int) -> list[tuple[int, int]]:
        """The last hours, each with its count; the present one is the last of them."""
        this = int(self._now().timestamp()) // HOUR
        sums = dict.fromkeys(range(this - hours + 1, this + 1), 0)
        for count in self._counts.values():
            if count.kind == kind and count.hour in sums:
                sums[count.hour] += count.n
        return list(sums.items())


def _add(counts: dict[tuple[int, str, str], Count], count: Count) -> None:
    key = count.hour, count.kind, count.name
    old = counts.get(key)
    if old is not None:
        count = Count(
            hour=count.hour,
            kind=count.kind,
            name=count.name,
            n=old.n + count.n,
            last_at=max(old.last_at, count.last_at),
        )
    counts[key] = count
