"""Classifies Salesforce's rejections by the table of codes. Decodes and sends nothing.

Source: REST API Developer Guide, "Status Codes and Error Responses"; Object Reference, "StatusCode".
"""

import re
from collections.abc import Sequence

from connector.crm.salesforce.client.error_catalogue import BY_CODE, find
from connector.crm.salesforce.client.org_errors import ORG_ERRORS
from connector.crm.salesforce.write import duplicate_values
from connector.model.outcome import Reason, Rejected, Retry

OF_THE_ORG = frozenset(row.reason for row in ORG_ERRORS)
DETAIL_LENGTH = 1000  # characters kept of Salesforce's message; those of validation rules are far shorter

# HTTP status codes of whole requests whose body has no known code.
STATUSES: dict[int, Retry] = {
    401: Retry(reason=Reason.CREDENTIALS),
    404: Retry(reason=Reason.WRONG_ADDRESS),
    408: Retry(reason=Reason.TIMEOUT, in_doubt=True),
    410: Retry(reason=Reason.WRONG_ADDRESS),  # the response of retired API versions
    429: Retry(reason=Reason.RATE_LIMITED, in_doubt=True),
    500: Retry(reason=Reason.SERVER_ERROR, in_doubt=True),
    502: Retry(reason=Reason.SERVER_ERROR, in_doubt=True),
    503: Retry(reason=Reason.UNAVAILABLE),
    504: Retry(reason=Reason.SERVER_ERROR, in_doubt=True),
}

TOO_LONG = frozenset({413, 414, 431})  # request, address or headers too long: only a shorter request helps
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN = 400, 401, 403
NOT_ALLOWED = frozenset({UNAUTHORIZED, FORBIDDEN})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOVED = "write the org's My Domain address as `url` in the config: the server at that address redirects every call"
REFUSED = (
    "see in `connector status` what Salesforce says; look at the integration user, its licence and permission sets, and at the "
    "org's status at status.salesforce.com"
)

# Fields that the integration user may not write, as listed by INVALID_FIELD_FOR_INSERT_UPDATE.
UNWRITABLE = re.compile(r"Unable to create/update fields: (\w+)")
MISSING_COLUMN = re.compile(r"No such column '([^']+)' on (?:sobject of type|entity) '?(\w+)")
RECORD_TYPE = "RecordTypeId"
# Names of custom fields, which are the same in texts of every language.
CUSTOM = re.compile(r"\b\w+__(?:c|pc)\b", re.IGNORECASE)
WORD = re.compile(r"[A-Za-z]\w{3,}", re.ASCII)


def known(code: str) -> bool:
    """Whether the catalogue has this code."""
    return code in BY_CODE


def classify(code: str, message: str, *, key_field: str = "", fields: Sequence[str] = ()) -> Retry | Rejected:
    """The outcome of one record, or of a whole request, that Salesforce rejected with this code.

    An unknown code is retried as long as the retry table says; the caller decides whether it concerns the whole org.
    """
    detail = f"{code}: {message}"[:DETAIL_LENGTH]
    row = find(code, message, key_field)
    if row is None:
        return Retry(reason=Reason.UNKNOWN_CODE, detail=detail, code=code, cure=REFUSED)
    if code == duplicate_values.CODE and duplicate_values.names_only_other_fields(message, key_field, fields):
        return Rejected(reason=Reason.DUPLICATE_RECORD, detail=detail, code=code, field=fields[0])
    if row.outcome is Retry:
        # Advice alerts a person at once; errors of a single record are retried a few times first.
        cure = row.cure if row.reason in OF_THE_ORG else ""
        return Retry(reason=row.reason, detail=detail, code=code, cure=cure)
    reason = row.reason
    if reason is Reason.NO_ACCESS and fields:
        # The integration user may not write a field of all records; the record itself is not the problem.
        reason = Reason.CONFIGURATION
    if reason is Reason.RECORD_MISSING and fields:
        # Not the record itself is missing, but the one that the field references.
        reason = Reason.PARENT_MISSING
    if reason is Reason.PARENT_MISSING and RECORD_TYPE in fields:
        # A record type concerns all records of a rule: it is gone, or the integration user may not use it.
        reason = Reason.CONFIGURATION
    field = _field_to_blame(message, fields) if reason is Reason.CONFIGURATION else next(iter(fields), "")
    return Rejected(reason=reason, detail=detail, code=code, field=field)


def _field_to_blame(message: str, fields: Sequence[str]) -> str:
    if column := missing_column(message):
        return column[0]
    named = UNWRITABLE.search(message)
    return named[1] if named else next(iter([*fields, *CUSTOM.findall(message)]), "")


def missing_column(message: str) -> tuple[str, str] | None:
    """Field and object of `No such column 'x' on sobject of type Contact`, which fails the whole request."""
    named = MISSING_COLUMN.search(message)
    return (named[1], named[2]) if named else None


def words(message: str) -> frozenset[str]:
    """The words of a text of any language that may be field names, which are never translated."""
    return frozenset(WORD.findall(message))
