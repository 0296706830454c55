"""Limits the use of a public endpoint: it has no authentication, and each use costs a call to the provider."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.model.errors import HttpRejected
from connector.model.network_address import customer_of

MINUTE = timedelta(minutes=1)
MAX_PEERS = 10_000  # callers that are remembered, about a megabyte; the one that has waited longest is forgotten first


@dataclass(slots=True, kw_only=True)
class RateLimiter:
    """Counts requests by the caller's address and minute, and requests that are running."""

    per_minute: int
    at_once: int
    _running: int = 0
    _peers: OrderedDict[str, tuple[datetime, int]] = field(default_factory=OrderedDict)

    def acquire(self, peer: str, now: datetime) -> None:
        """Let one request in; release() must follow.

        Raises HttpRejected: 429 if this caller, 503 if all callers together ask too much.
        """
        if self._running >= self.at_once:
            raise HttpRejected(503, "too many at once")
        site = customer_of(peer)
        since, count = self._peers.pop(site, (now, 0))
        # A minute that starts in the future was started before the clock was set back.
        if not since <= now < since + MINUTE:
            since, count = now, 0
        self._peers[site] = (since, min(count + 1, self.per_minute + 1))
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        if count >= self.per_minute:
            raise HttpRejected(429, "too many from one address")
        self._running += 1

    def release(self) -> None:
        """One request has ended."""
        self._running -= 1
