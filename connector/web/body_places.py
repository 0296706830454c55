"""Limits on callbacks whose body has not arrived yet. Pure."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from connector.model.errors import HttpRejected
from connector.model.network_address import customer_of

SHARE = 4  # one address has at most this part of the places of unauthenticated callers: a fourth


class BodyPlaces:
    """Authenticated callers have places of their own, and all unauthenticated callers together have others.

    So unauthenticated callers that send slowly keep no authenticated one out, and one address does not keep out others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_one = max(1, most // SHARE)
        self._authenticated = 0
        self._unauthenticated = 0
        self._by_address: Counter[str] = Counter()

    @property
    def taken_count(self) -> int:
        """How many places are taken now."""
        return self._authenticated + self._unauthenticated

    @contextmanager
    def authenticated(self) -> Iterator[None]:
        """Take a place of an authenticated caller for the block. Raises HttpRejected (503) if there is none."""
        if self._authenticated >= self._most:
            raise HttpRejected(503, "too many at once")
        self._authenticated += 1
        try:
            yield
        finally:
            self._authenticated -= 1

    @contextmanager
    def unauthenticated(self, address: str | None) -> Iterator[None]:
        """Take a place of an unauthenticated caller for the block. Raises HttpRejected (503) if there is none.

        The address is None if many callers come from it, such as a proxy's: then only the limit of all such
        callers applies.
        """
        customer = customer_of(address) if address is not None else None
        if self._unauthenticated >= self._most:
            raise HttpRejected(503, "too many unauthenticated callers at once")
        if customer is not None and self._by_address[customer] >= self._most_of_one:
            raise HttpRejected(503, "too many at once from one address")
        self._unauthenticated += 1
        if customer is not None:
            self._by_address[customer] += 1
        try:
            yield
        finally:
            self._unauthenticated -= 1
            if customer is not None:
                self._by_address[customer] -= 1
                if not self._by_address[customer]:
                    del self._by_address[customer]
