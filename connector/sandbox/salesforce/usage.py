"""Counts the org's usage: API calls against the daily limit, sign-ins, requests by route, and concurrent writes."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

WINDOW = 86_400.0  # seconds; Salesforce counts API calls over the last 24 hours


class Usage:
    """The counters of one org; the limit's window restarts when it has ended."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._writes = 0  # currently running
        self.reset()

    def reset(self) -> None:
        """Start all counters at zero."""
        self.calls = 0
        self.logins = 0
        self.most_writes = 0
        self.requests: Counter[str] = Counter()
        self._used = 0
        self._since = self._clock()

    @property
    def used(self) -> int:
        """The calls counted in this window."""
        if self._clock() - self._since >= WINDOW:
            self._used = 0
            self._since = self._clock()
        return self._used

    def allow(self, limit: int, used: int) -> None:
        """Set the limit and its used part, which may include other callers."""
        self.limit = limit
        self._used = used
        self._since = self._clock()

    def spend(self) -> bool:
        """Count one API call; False if the limit is used up and the call must be rejected."""
        self.calls += 1
        if self.used >= self.limit:
            return False
        self._used += 1
        return True

    @contextmanager
    def under_way(self, *, writes: bool) -> Iterator[None]:
        """Count a request as running during the block."""
        self._writes += writes
        self.most_writes = max(self.most_writes, self._writes)
        try:
            yield
        finally:
            self._writes -= writes

    def as_json(self) -> dict[str, Any]:
        """The JSON for the control interface."""
        return {
            "api_calls": self.calls,
            "logins": self.logins,
            "most_writes_at_once": self.most_writes,
            "requests": dict(self.requests),
        }

    def header(self) -> str:
        """The value of Sforce-Limit-Info."""
        return f"api-usage={self.used}/{self.limit}"
