"""What MessageCloud's status codes and error codes mean, as tables. oneclick.py parses the answers.

Source: "Strex Norway with One-click Subscriptions", sections "Status Codes" and "Error Codes".
"""

from dataclasses import dataclass

from connector.model.event import Result
from connector.model.outcome import Reason, Rejected, Retry


@dataclass(frozen=True, slots=True)
class Status:
    """A status code: the result, and whether it can still change."""

    result: Result
    final: bool


@dataclass(frozen=True, slots=True)
class Error:
    """An error code: the reason, what to do, and whether the same call may succeed later."""

    reason: Reason
    cure: str
    is_temporary: bool


STATUSES: dict[str, Status] = {
    "DELIVERED": Status(Result.OK, final=True),  # completed, and billed if that was requested
    "REJECTED": Status(Result.FAILED, final=True),  # the subscriber is barred
    "VALIDITY_EXPIRED": Status(Result.FAILED, final=True),  # the request to charge has expired
    "INVALID_MSISDN": Status(Result.FAILED, final=True),  # no such number, or not registered with Strex
    "NO_CREDIT": Status(Result.FAILED, final=True),
    "FAILED": Status(Result.FAILED, final=True),
    "UNKNOWN": Status(Result.PENDING, final=False),
    "ACKNOWLEDGED": Status(Result.PENDING, final=False),  # "the final status … has not yet been received"
    # Not in the document; seen in delivery reports that others have published. The message was accepted.
    "ACCEPTED": Status(Result.PENDING, final=False),
}
# A code that is not in the table.
UNKNOWN_STATUS = Status(Result.PENDING, final=False)

ERRORS: dict[int, Error] = {
    1: Error(Reason.BAD_COMMAND, "see the offer's service_id, and the provider's own words", is_temporary=False),
    2: Error(Reason.CREDENTIALS, "see api.campaign_name and api.key in the provider's settings", is_temporary=True),
    3: Error(Reason.UNAVAILABLE, "MessageCloud cannot reach Strex; it continues automatically", is_temporary=True),
    4: Error(
        Reason.CONFIGURATION, "ask MessageCloud for the short code and the tariff of your service", is_temporary=False
    ),
}
UNKNOWN_ERROR = Error(Reason.UNKNOWN, "ask MessageCloud what this code means", is_temporary=True)


def status_of(code: str | None) -> Status:
    """The meaning of a status code, without regard to case."""
    return STATUSES.get(code.strip().upper(), UNKNOWN_STATUS) if code else UNKNOWN_STATUS


def failure_of(code: int, words: str) -> Retry | Rejected:
    """The meaning of an error code, with the provider's own words.

    If the error is Strex's, the refused call may have been carried out.
    """
    known = ERRORS.get(code, UNKNOWN_ERROR)
    detail = f"error {code}: {words}; {known.cure}" if words else f"error {code}; {known.cure}"
    if not known.is_temporary:
        return Rejected(reason=known.reason, detail=detail)
    return Retry(reason=known.reason, detail=detail, in_doubt=known.reason is not Reason.CREDENTIALS)
