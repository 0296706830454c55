"""What Salesforce's error codes mean for us, as one table. Nothing is decoded or sent here.

Source: REST API Developer Guide, "Status Codes and Error Responses"; Object Reference, "StatusCode".
"""

import re

from connector.model.outcome import Reason, Rejected, Retry

DETAIL_LENGTH = 1000  # characters of Salesforce's own words that are kept; validation rules are far shorter

# The code alone decides, but for the codes in judge(), where Salesforce uses one code for several things.
RETRIED: dict[str, Reason] = {
    "INVALID_SESSION_ID": Reason.CREDENTIALS,
    "INVALID_AUTH_HEADER": Reason.CREDENTIALS,
    "API_DISABLED_FOR_ORG": Reason.CREDENTIALS,
    "API_CURRENTLY_DISABLED": Reason.CREDENTIALS,
    "STORAGE_LIMIT_EXCEEDED": Reason.QUOTA_EXHAUSTED,
    "SERVER_UNAVAILABLE": Reason.UNAVAILABLE,
    "SERVICE_UNAVAILABLE": Reason.UNAVAILABLE,
    "TXN_SECURITY_METERING_ERROR": Reason.RATE_LIMITED,
    "UNKNOWN_EXCEPTION": Reason.SERVER_ERROR,
    "QUERY_TIMEOUT": Reason.SERVER_ERROR,
    "UNABLE_TO_LOCK_ROW": Reason.ROW_LOCKED,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": Reason.HALTED,
    "PROCESSING_HALTED": Reason.HALTED,
    "INVALID_QUERY_LOCATOR": Reason.UNEXPECTED_ANSWER,
}
REJECTED: dict[str, Reason] = {
    "REQUIRED_FIELD_MISSING": Reason.FIELD_REQUIRED,
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": Reason.VALIDATION,
    "FIELD_INTEGRITY_EXCEPTION": Reason.VALIDATION,
    "FIELD_FILTER_VALIDATION_EXCEPTION": Reason.VALIDATION,
    "STRING_TOO_LONG": Reason.TOO_LONG,
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": Reason.PICKLIST,
    "INVALID_EMAIL_ADDRESS": Reason.BAD_VALUE,
    "NUMBER_OUTSIDE_VALID_RANGE": Reason.BAD_VALUE,
    "INVALID_TYPE_ON_FIELD_IN_RECORD": Reason.BAD_VALUE,
    "MALFORMED_ID": Reason.BAD_VALUE,
    "INVALID_CROSS_REFERENCE_KEY": Reason.BAD_VALUE,
    "INVALID_ID_FIELD": Reason.BAD_VALUE,
    "JSON_PARSER_ERROR": Reason.BAD_VALUE,
    "MALFORMED_QUERY": Reason.BUG,
    "INVALID_FIELD": Reason.CONFIGURATION,
    "INVALID_FIELD_FOR_INSERT_UPDATE": Reason.CONFIGURATION,
    "INVALID_TYPE": Reason.CONFIGURATION,
    "NOT_FOUND": Reason.CONFIGURATION,
    "METHOD_NOT_ALLOWED": Reason.CONFIGURATION,
    "ENTITY_IS_DELETED": Reason.RECORD_DELETED,
    "DUPLICATES_DETECTED": Reason.DUPLICATE_RECORD,
    "DUPLICATE_EXTERNAL_ID": Reason.AMBIGUOUS_KEY,
    "INSUFFICIENT_ACCESS": Reason.NO_ACCESS,
    "INSUFFICIENT_ACCESS_OR_READONLY": Reason.NO_ACCESS,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": Reason.NO_ACCESS,
}

# Status codes of whole requests whose body names no code that we know.
STATUSES: dict[int, Retry] = {
    401: Retry(reason=Reason.CREDENTIALS),
    404: Retry(reason=Reason.WRONG_ADDRESS),
    408: Retry(reason=Reason.TIMEOUT, in_doubt=True),
    410: Retry(reason=Reason.WRONG_ADDRESS),  # API versions that were retired answer so
    429: Retry(reason=Reason.RATE_LIMITED, in_doubt=True),
    500: Retry(reason=Reason.SERVER_ERROR, in_doubt=True),
    502: Retry(reason=Reason.SERVER_ERROR, in_doubt=True),
    503: Retry(reason=Reason.UNAVAILABLE),
    504: Retry(reason=Reason.SERVER_ERROR, in_doubt=True),
}

MISSING_COLUMN = re.compile(r"No such column '([^']+)' on (?:sobject of type|entity) '?(\w+)")
# Codes that stand for several things: see _by_message().
BY_MESSAGE = frozenset({"REQUEST_LIMIT_EXCEEDED", "DUPLICATE_VALUE", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"})
DUPLICATED_FIELD = re.compile(r"duplicate value found: (\S+) duplicates")
HOLDER = re.compile(r"duplicate value found: (\S+) duplicates value on record with id: ([A-Za-z0-9]{15,18})\b")
LOCKED = re.compile(r"UNABLE_TO_LOCK_ROW|unable to obtain exclusive access|CPU time limit", re.IGNORECASE)


def known(code: str) -> bool:
    """Whether the catalogue has this code."""
    return code in RETRIED or code in REJECTED or code in BY_MESSAGE


def judge(code: str, message: str, *, key_field: str = "") -> Retry | Rejected:
    """The outcome of one record, or of a whole request, that Salesforce refused with this code.

    The message decides where one code stands for several things; `key_field` is the external ID of an upsert.
    An unknown code is worth a few tries: the retry table bounds them.
    """
    detail = f"{code}: {message}"[:DETAIL_LENGTH]
    special = _by_message(code, message, key_field)
    if special is not None:
        outcome, reason = special
        return outcome(reason=reason, detail=detail)
    if code in RETRIED:
        return Retry(reason=RETRIED[code], detail=detail)
    if code in REJECTED:
        return Rejected(reason=REJECTED[code], detail=detail)
    return Retry(reason=Reason.UNKNOWN, detail=detail)


def _by_message(code: str, message: str, key_field: str) -> tuple[type[Retry] | type[Rejected], Reason] | None:
    if code == "REQUEST_LIMIT_EXCEEDED":
        # One code for the day's allowance and for too many long requests at once.
        return Retry, Reason.RATE_LIMITED if "concurrent" in message.lower() else Reason.QUOTA_EXHAUSTED
    if code == "INVALID_FIELD" and "foreign key external id" in message.lower():
        return Retry, Reason.PARENT_MISSING
    if code == "DUPLICATE_VALUE":
        return (Retry, Reason.RACE) if _lost_race(message, key_field) else (Rejected, Reason.DUPLICATE_RECORD)
    if code == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY":
        # An Apex trigger failed; what failed inside it stands in the text alone.
        return (Retry, Reason.ROW_LOCKED) if LOCKED.search(message) else (Rejected, Reason.VALIDATION)
    return None


def holder(detail: str, key_field: str) -> str | None:
    """The Id of the record that holds this external ID already, from the words with which a new record was refused."""
    named = HOLDER.search(detail)
    return named[2] if named is not None and named[1].casefold() == key_field.casefold() else None


def _lost_race(message: str, key_field: str) -> bool:
    """Whether another writer created our key meanwhile, so that the next upsert becomes an update.

    `<unknown>` stands where Salesforce will not say which field it was; `Duplicate external id specified` is the same key
    twice in one request.
    """
    if message.lower().startswith("duplicate external id specified"):
        return True
    named = DUPLICATED_FIELD.search(message)
    return named is not None and named[1].casefold() in {key_field.casefold(), "<unknown>"}


def missing_column(message: str) -> tuple[str, str] | None:
    """Field and object of `No such column 'x' on sobject of type Contact`, which fails the whole request."""
    named = MISSING_COLUMN.search(message)
    return (named[1], named[2]) if named else None
