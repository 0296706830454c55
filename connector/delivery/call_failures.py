"""The meaning of a call without a usable answer, for all peers."""

from msgspec.structs import replace

from connector.model.http import Failure, HttpError
from connector.model.outcome import Reason, Retry

SOMETHING_ELSE = (
    "something else seems to answer at its address: look at its `url:` in the config, a proxy or a firewall"
)
FAILURES = {
    Failure.REFUSED: Retry(reason=Reason.UNAVAILABLE),
    Failure.TIMEOUT: Retry(reason=Reason.TIMEOUT, in_doubt=True),
    Failure.LOST: Retry(reason=Reason.CONNECTION_LOST, in_doubt=True),
    Failure.UNREADABLE: Retry(reason=Reason.UNEXPECTED_ANSWER, in_doubt=True, cure=SOMETHING_ELSE),
    Failure.CREDENTIALS: Retry(reason=Reason.CREDENTIALS),
    Failure.MOVED: Retry(reason=Reason.WRONG_ADDRESS),
}
NETWORK = frozenset({Failure.REFUSED, Failure.TIMEOUT, Failure.LOST, Failure.UNREADABLE})


def outcome_of(failed: HttpError) -> Retry:
    """The outcome, with what failed: name resolution, TLS, connection, time-out."""
    network = failed.detail if failed.failure in NETWORK else ""
    return replace(FAILURES[failed.failure], detail=failed.detail, network=network)
