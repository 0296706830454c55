"""Exceptions: component failures and rejected requests. Each message says the cure."""

from dataclasses import dataclass


class ConnectorError(Exception):
    """Base of all exceptions that a person may see; the message says what to do."""


class StoreUnavailable(ConnectorError):  # noqa: N818 - reads as the state it tells of.
    """The store cannot accept anything now (disk full, I/O error). The caller answers 503 and the sender repeats."""


class PeerUnavailable(ConnectorError):  # noqa: N818 - the same.
    """A peer cannot be reached now, not even to sign in. Waiting helps."""


class PeerMoved(ConnectorError):  # noqa: N818 - the same.
    """A peer's sign-in address redirects every call elsewhere; the message says where to."""


class AlreadyRunning(ConnectorError):  # noqa: N818 - the same.
    """Another process has the database open."""


@dataclass(slots=True)
class HttpRejected(Exception):  # noqa: N818 - the same.
    """A request that is rejected. Nothing of it is stored.

    `status` is 401, 403, 404, 405, 413, 414 or 415; `why` is a short constant for metrics and logs, never data of
    the request.
    """

    status: int
    why: str


@dataclass(slots=True)
class Unreadable(Exception):  # noqa: N818 - the same.
    """An authentic request that cannot be parsed. It is stored raw. `why` never holds data of the request."""

    why: str
