"""Exceptions: broken rooms and refusals at the door. Each says the cure."""

from dataclasses import dataclass


class ConnectorError(Exception):
    """Base of all exceptions that a person may see; the message says what to do."""


class StoreUnavailable(ConnectorError):  # noqa: N818 - reads as the state it tells of.
    """The store cannot take anything now (disk full, I/O error); the caller answers 503 and the sender repeats."""


class PeerUnavailable(ConnectorError):  # noqa: N818 - the same.
    """A peer cannot be reached for now, not even to sign in; waiting mends it."""


class PeerMoved(ConnectorError):  # noqa: N818 - the same.
    """Where a peer's sign-in should be, every call is sent elsewhere; the message says where to."""


class AlreadyRunning(ConnectorError):  # noqa: N818 - the same.
    """Another process holds the database."""


@dataclass(slots=True)
class HttpRejected(Exception):  # noqa: N818 - the same.
    """A request that is not let in. Nothing of it is stored.

    `status` is 401, 403, 404, 405, 413, 414 or 415; `why` is a short constant for metrics and logs, never data of the request.
    """

    status: int
    why: str


@dataclass(slots=True)
class Unreadable(Exception):  # noqa: N818 - the same.
    """An authentic request that is not understood; it is kept raw. `why` never holds data of the request."""

    why: str
