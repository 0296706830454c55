"""Counts what is asked of the org: API calls against the daily limit, logins, requests by route, and writes at once."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

WINDOW = 86_400.0  # seconds; Salesforce counts API calls over the last 24 hours


class Usage:
    """The counters of one org; the limit's window starts anew when it is over."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._writes = 0  # under way now
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
        """How much of the limit is used up in this window."""
        if self._clock() - self._since >= WINDOW:
            self._used = 0
            self._since = self._clock()
        return self._used

    def allow(self, limit: int, used: int) -> None:
        """Set the limit, and how much of it is used up: by others too, for all that the caller sees."""
        self.limit = limit
        self._used = used
        self._since = self._clock()

    def spend(self) -> bool:
        """Count one API call; False when the limit is used up and the call must be refused."""
        self.calls += 1
        if self.used >= self.limit:
            return False
        self._used += 1
        return True

    @contextmanager
    def under_way(self, *, writes: bool) -> Iterator[None]:
        """While a request is worked on."""
        self._writes += writes
        self.most_writes = max(self.most_writes, self._writes)
        try:
            yield
        finally:
            self._writes -= writes

    def shown(self) -> dict[str, Any]:
        """For the control interface."""
        return {
            "api_calls": self.calls,
            "logins": self.logins,
            "most_writes_at_once": self.most_writes,
            "requests": dict(self.requests),
        }

    def header(self) -> str:
        """The value of Sforce-Limit-Info."""
        return f"api-usage={self.used}/{self.limit}"
