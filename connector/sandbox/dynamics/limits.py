"""The service protection limits of one user, and the counters of the org.

Source: "Service protection API limits": 6,000 requests and 20 minutes of execution in five minutes, 52 at once.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connector.sandbox.dynamics.errors import RefusedError
from connector.sandbox.dynamics.faults import LIMIT_CODES

WINDOW = 300.0  # seconds


class Limits:
    """What one user has used."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.requests, self.seconds, self.at_once, self.parallelism = 6000, 1200.0, 52, 4
        self._running = 0
        self.reset()

    def reset(self) -> None:
        """Start all counters at zero."""
        self.calls = 0
        self.operations = 0
        self.logins = 0
        self.most_at_once = 0
        self.by_route: Counter[str] = Counter()
        self._recent: deque[tuple[float, float]] = deque()

    @contextmanager
    def running(self, route: str) -> Iterator[None]:
        """Count a request during the block. Raises RefusedError with Retry-After."""
        now = self._clock()
        self.calls += 1
        self.by_route[route] += 1
        while self._recent and self._recent[0][0] <= now - WINDOW:
            self._recent.popleft()
        if self._running >= self.at_once:
            raise self._refused("concurrent_limit", 1)
        if len(self._recent) >= self.requests:
            raise self._refused("limit_exceeded", self._recent[0][0] + WINDOW - now)
        if sum(spent for _, spent in self._recent) >= self.seconds:
            raise self._refused("execution_limit", self._recent[0][0] + WINDOW - now)
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            yield
        finally:
            self._running -= 1
            self._recent.append((now, self._clock() - now))

    @staticmethod
    def _refused(name: str, seconds: float) -> RefusedError:
        code, message = LIMIT_CODES[name]
        return RefusedError(429, code, message, {"Retry-After": str(max(1, round(seconds)))})

    def headers(self) -> dict[str, str]:
        """What every answer tells of the limits."""
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(max(0, self.requests - len(self._recent))),
            "x-ms-dop-hint": str(self.parallelism),
        }

    def as_json(self) -> dict[str, Any]:
        """The JSON for the control interface."""
        return {
            "api_calls": self.calls,
            "operations": self.operations,
            "logins": self.logins,
            "most_at_once": self.most_at_once,
            "requests": dict(self.by_route),
        }
