"""Limits on callbacks whose body has not arrived yet. Pure."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from connector.model.errors import HttpRejected
from connector.model.network_address import customer_of

SHARE = 4  # one address of strangers has at most this part of their places: a fourth


class BodyPlaces:
    """Authenticated callers have places of their own, and all strangers together have others.

    So strangers that send slowly keep no known caller out, and one address of strangers does not keep out the others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_one = max(1, most // SHARE)
        self._known = 0
        self._strangers = 0
        self._by_address: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many places are taken now."""
        return self._known + self._strangers

    @contextmanager
    def known(self) -> Iterator[None]:
        """Take a place of a known caller for the block. Raises HttpRejected (503) if there is none."""
        if self._known >= self._most:
            raise HttpRejected(503, "too many at once")
        self._known += 1
        try:
            yield
        finally:
            self._known -= 1

    @contextmanager
    def stranger(self, address: str | None) -> Iterator[None]:
        """Take a place of a stranger for the block. Raises HttpRejected (503) if there is none.

        The address is None if many callers come from it, such as a proxy's: then only the limit of all strangers
        applies.
        """
        one = customer_of(address) if address is not None else None
        if self._strangers >= self._most:
            raise HttpRejected(503, "too many strangers at once")
        if one is not None and self._by_address[one] >= self._most_of_one:
            raise HttpRejected(503, "too many at once from one address")
        self._strangers += 1
        if one is not None:
            self._by_address[one] += 1
        try:
            yield
        finally:
            self._strangers -= 1
            if one is not None:
                self._by_address[one] -= 1
                if not self._by_address[one]:
                    del self._by_address[one]
