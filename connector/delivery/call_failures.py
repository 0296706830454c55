"""The outcome of a call without a usable reply, and the meaning of Retry-After, for all peers."""

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

from msgspec.structs import replace

from connector.model.http import Failure, HttpError
from connector.model.outcome import Reason, Retry

MAX_RETRY_AFTER = timedelta(hours=1)  # a longer Retry-After is shortened to this: opt-outs have a deadline
DIGITS = 9  # of the seconds in Retry-After that are read: a larger number is above the maximum anyway
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
    Failure.NOT_PUBLIC: Retry(reason=Reason.WRONG_ADDRESS, cure="write a `url` that leads to a public address"),
}
NETWORK = frozenset({Failure.REFUSED, Failure.TIMEOUT, Failure.LOST, Failure.UNREADABLE})


def outcome_of(failed: HttpError) -> Retry:
    """The outcome. Its `network` says what failed: name resolution, TLS, connection or time-out."""
    network = failed.detail if failed.failure in NETWORK else ""
    return replace(FAILURES[failed.failure], detail=failed.detail, network=network)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Retry-After as seconds or as a date (RFC 9110, 10.2.3); a date is compared with the answer's own clock."""
    header = headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return min(timedelta(seconds=int(header[:DIGITS])), MAX_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(header) - parsedate_to_datetime(headers["date"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), MAX_RETRY_AFTER)
