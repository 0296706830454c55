"""Limits a listener's connections, in total and for each address, so that unknown callers cannot use up the file descriptors."""

import errno
import os
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Self

from connector.model.network_address import customer_of
from connector.telemetry.log_events import (
    OUT_OF_DESCRIPTORS,
    TOO_MANY_CONNECTIONS,
    Emit,
    Level,
    Lifecycle,
    RequestRejected,
)
from connector.web.proxies import Network, is_shared

RESERVED_DESCRIPTORS = 128  # for the database, the calls that we make, and the health checks
LEAST_CONNECTIONS = 16  # used even if the limit on descriptors is very low
SILENCE = 60.0  # seconds between two log lines that say the same
UNIX = ""  # the address of a caller on a Unix socket: a proxy on this machine
# accept(2): descriptors or memory are missing, which is not this connection's fault.
SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Connections:
    """Counts a listener's connections, in total and for each address. Refused ones are counted, and reported once a minute."""

    def __init__(
        self,
        *,
        most: int,
        of_one_address: int,
        emit: Emit,
        monotonic: Callable[[], float],
        proxies: Sequence[Network] = (),
    ) -> None:
        """`most` is lowered if the process may not open that many files."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = most if files < 0 else max(min(most, files - RESERVED_DESCRIPTORS), LEAST_CONNECTIONS)
        self._of_one = of_one_address
        self._emit = emit
        self._monotonic = monotonic
        self._proxies = proxies
        self._open: Counter[str] = Counter()
        self._total = 0
        self._said: dict[str, float] = {}
        self._unreported: Counter[str] = Counter()

    def enter(self, address: str, make_room: Callable[[], bool] = lambda: False) -> bool:
        """Count a new connection; False if the limit is reached.

        If all places are taken, `make_room` closes another connection, or returns False.
        """
        customer = customer_of(address)
        many = self._open[customer] >= self._of_one and not (address == UNIX or is_shared(address, self._proxies))
        if many or (self._total >= self.most and not make_room()):
            self._refused(
                TOO_MANY_CONNECTIONS,
                "refused connections: too many are open, in total or from one address",
                "`listen: connections` and `connections_per_address` set the limits; LimitNOFILE of the service caps them",
            )
            return False
        self._open[customer] += 1
        self._total += 1
        return True

    def leave(self, address: str) -> None:
        """A connection that was counted is closed."""
        self._total -= 1
        customer = customer_of(address)
        self._open[customer] -= 1
        if not self._open[customer]:
            del self._open[customer]

    def not_accepted(self, error: BaseException | None) -> bool:
        """Report a connection that could not be accepted; False if the cause was not missing file descriptors."""
        if not isinstance(error, OSError) or error.errno not in SHORTAGE:
            return False
        self._refused(
            OUT_OF_DESCRIPTORS,
            "cannot accept connections: the process has no file descriptor left",
            "raise LimitNOFILE of the service (`ulimit -n` by hand)",
        )
        return True

    def _refused(self, why: str, message: str, cure: str) -> None:
        self._emit(RequestRejected(provider="", endpoint="", status=503, why=why))
        self._unreported[why] += 1
        now = self._monotonic()
        if now - self._said.get(why, -SILENCE) >= SILENCE:
            self._said[why] = now
            details = {"times": str(self._unreported.pop(why)), "cure": cure}
            self._emit(Lifecycle(message=message, level=Level.WARNING, details=details))


class SpareDescriptors:
    """Descriptors that are held open, so that some can be released when the process may open no more."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: list[int] = []
        self.refill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release all of them."""
        self._count = 0
        while self.free_one():
            pass

    def free_one(self) -> bool:
        """Close one, so that something else may be opened; False if none is left."""
        if not self._held:
            return False
        os.close(self._held.pop())
        return True

    def refill(self) -> None:
        """Open as many as before, or as many as possible."""
        while len(self._held) < self._count:
            try:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return
