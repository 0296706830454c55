"""How often a public door may be used: it has no lock, and each use costs a call at the provider."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.model.errors import HttpRejected
from connector.model.network_address import customer_of

MINUTE = timedelta(minutes=1)
MAX_PEERS = 10_000  # that are remembered: about a megabyte; whoever is forgotten first has waited longest


@dataclass(slots=True, kw_only=True)
class RateLimiter:
    """Counts by the caller's address and minute, and what is under way."""

    per_minute: int
    at_once: int
    _inside: int = 0
    _peers: OrderedDict[str, tuple[datetime, int]] = field(default_factory=OrderedDict)

    def acquire(self, peer: str, now: datetime) -> None:
        """Let one in; leave() follows. Raises Refused: 429 where this caller, 503 where all together want too much."""
        if self._inside >= self.at_once:
            raise HttpRejected(503, "too many at once")
        site = customer_of(peer)
        since, count = self._peers.pop(site, (now, 0))
        # A minute that has begun in the future was begun before the clock was set back.
        if not since <= now < since + MINUTE:
            since, count = now, 0
        self._peers[site] = (since, min(count + 1, self.per_minute + 1))
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        if count >= self.per_minute:
            raise HttpRejected(429, "too many from one address")
        self._inside += 1

    def release(self) -> None:
        """One is done."""
        self._inside -= 1
