"""Salesforce's error codes, each with what it means for us and where Salesforce tells of it: one table, and nothing that acts.

docs/salesforce-errors.md is this table for people, and a test holds the two equal.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from connector.model.outcome import Reason, Rejected, Retry

DOCS = "https://developer.salesforce.com/docs/atlas.en-us"
REST = f"{DOCS}.api_rest.meta/api_rest"
ERRORS = f"{REST}/errorcodes.htm"  # "Status Codes and Error Responses": of whole requests
STATUS = f"{DOCS}.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm"  # "StatusCode", "ExceptionCode"
LIMITS = f"{REST}/headers_api_usage.htm"  # "Limit Info Header"
TOGETHER = f"{REST}/resources_composite_sobjects_collections.htm"  # "sObject Collections"
COMPOSITE = f"{REST}/resources_composite_composite.htm"  # "Composite"
UPSERT = f"{REST}/dome_upsert.htm"  # "Insert or Update (Upsert) a Record Using an External ID"
DUPLICATES = f"{REST}/headers_duplicaterules.htm"  # "Duplicate Rule Header"
QUERY = f"{REST}/resources_query.htm"  # "Query"

DUPLICATED_FIELD = re.compile(r"duplicate value found: (\S+) duplicates")
BUSY = re.compile(r"UNABLE_TO_LOCK_ROW|unable to obtain exclusive access|CPU time limit", re.IGNORECASE)

Test = Callable[[str, str], bool]  # message, the external ID of an upsert → whether the row is meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One code, or one thing that a code of several meanings stands for: then `test` tells by the message, and `saying` how."""

    code: str
    outcome: type[Retry] | type[Rejected]
    reason: Reason
    means: str
    source: str
    saying: str = ""
    test: Test | None = None


def _says(part: str) -> Test:
    return lambda message, _: part in message.lower()


def _lost_race(message: str, key_field: str) -> bool:
    """Whether another writer created our key meanwhile, so that the next upsert becomes an update.

    `<unknown>` stands where Salesforce will not say which field it was; `Duplicate external id specified` is the same key
    twice in one request.
    """
    if message.lower().startswith("duplicate external id specified"):
        return True
    named = DUPLICATED_FIELD.search(message)
    return named is not None and named[1].casefold() in {key_field.casefold(), "<unknown>"}


def _again(
    code: str, reason: Reason, means: str, source: str = ERRORS, saying: str = "", test: Test | None = None
) -> Row:
    return Row(code=code, outcome=Retry, reason=reason, means=means, source=source, saying=saying, test=test)


def _refused(
    code: str, reason: Reason, means: str, source: str = STATUS, saying: str = "", test: Test | None = None
) -> Row:
    return Row(code=code, outcome=Rejected, reason=reason, means=means, source=source, saying=saying, test=test)


# Of several rows with one code the first that fits counts.
CATALOGUE: tuple[Row, ...] = (
    _again("INVALID_SESSION_ID", Reason.CREDENTIALS, "the session is over; signed in once for everybody, and repeated"),
    _again("INVALID_AUTH_HEADER", Reason.CREDENTIALS, "the session is not understood"),
    _again("API_DISABLED_FOR_ORG", Reason.CREDENTIALS, "the edition or the user has no API", STATUS),
    _again("API_CURRENTLY_DISABLED", Reason.CREDENTIALS, "Salesforce has switched the API off for now", STATUS),
    _again(
        "REQUEST_LIMIT_EXCEEDED",
        Reason.RATE_LIMITED,
        "too many long requests at once",
        LIMITS,
        "ConcurrentRequests …",
        _says("concurrent"),
    ),
    _again("REQUEST_LIMIT_EXCEEDED", Reason.QUOTA_EXHAUSTED, "the org's calls of 24 hours are used up", LIMITS),
    _again("STORAGE_LIMIT_EXCEEDED", Reason.STORAGE_FULL, "the org has no room for new records", STATUS),
    _again("TXN_SECURITY_METERING_ERROR", Reason.RATE_LIMITED, "a transaction security policy is busy", STATUS),
    _again("SERVER_UNAVAILABLE", Reason.UNAVAILABLE, "Salesforce is down or overloaded"),
    _again("SERVICE_UNAVAILABLE", Reason.UNAVAILABLE, "Salesforce is down or overloaded"),
    _again(
        "UNKNOWN_EXCEPTION", Reason.SERVER_ERROR, "a fault inside Salesforce; the second time its record is looked for"
    ),
    _again("REQUEST_RUNNING_TOO_LONG", Reason.SERVER_ERROR, "the request took longer than Salesforce allows"),
    _again("QUERY_TIMEOUT", Reason.SERVER_ERROR, "a query took too long", QUERY),
    _again("INVALID_QUERY_LOCATOR", Reason.UNEXPECTED_ANSWER, "a page of a query is gone: asked anew", QUERY),
    _again(
        "INVALID_REPLICATION_DATE", Reason.UNEXPECTED_ANSWER, "changes of so long ago are not kept: asked anew", STATUS
    ),
    _again("UNABLE_TO_LOCK_ROW", Reason.ROW_LOCKED, "somebody else writes the record or its parent", STATUS),
    _again("ALL_OR_NONE_OPERATION_ROLLED_BACK", Reason.HALTED, "another record of the request was refused", TOGETHER),
    _again("PROCESSING_HALTED", Reason.HALTED, "another part of the request was refused", COMPOSITE),
    _again(
        "INVALID_FIELD",
        Reason.PARENT_MISSING,
        "the parent record is not there (yet)",
        UPSERT,
        "Foreign key external ID …",
        _says("foreign key external id"),
    ),
    _refused("INVALID_FIELD", Reason.CONFIGURATION, "no such field, or the integration user may not see it", ERRORS),
    _again(
        "DUPLICATE_VALUE",
        Reason.RACE,
        "somebody else has just created our key: the next try updates it",
        UPSERT,
        "… of the key itself",
        _lost_race,
    ),
    _refused(
        "DUPLICATE_VALUE", Reason.DUPLICATE_RECORD, "another record holds a value that must be unique; its Id is told"
    ),
    _again(
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        Reason.ROW_LOCKED,
        "a trigger met a locked record, or took too much CPU time",
        STATUS,
        "UNABLE_TO_LOCK_ROW, CPU time limit …",
        lambda message, _: BUSY.search(message) is not None,
    ),
    _refused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", Reason.VALIDATION, "a trigger or flow of the org failed"),
    _refused("REQUIRED_FIELD_MISSING", Reason.FIELD_REQUIRED, "the record lacks a field that the org wants"),
    _refused("MISSING_ARGUMENT", Reason.FIELD_REQUIRED, "the record lacks its key"),
    _refused(
        "FIELD_CUSTOM_VALIDATION_EXCEPTION", Reason.VALIDATION, "a validation rule says no, in the admin's own words"
    ),
    _refused("FIELD_INTEGRITY_EXCEPTION", Reason.VALIDATION, "fields of the record contradict each other"),
    _refused("FIELD_FILTER_VALIDATION_EXCEPTION", Reason.VALIDATION, "a lookup filter says no"),
    _refused("STRING_TOO_LONG", Reason.TOO_LONG, "the text is longer than its field"),
    _refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Reason.PICKLIST, "the picklist does not have the value"),
    _refused("INVALID_EMAIL_ADDRESS", Reason.BAD_VALUE, "this is no e-mail address"),
    _refused("NUMBER_OUTSIDE_VALID_RANGE", Reason.BAD_VALUE, "the number does not fit its field"),
    _refused("INVALID_TYPE_ON_FIELD_IN_RECORD", Reason.BAD_VALUE, "the value is of another kind than its field"),
    _refused("MALFORMED_ID", Reason.BAD_VALUE, "this is no Id, or one of another object"),
    _refused(
        "INVALID_CROSS_REFERENCE_KEY",
        Reason.PARENT_MISSING,
        "the Id of a parent leads to no record",
        saying="of a record that has an external ID, or with the lookup field named",
        test=lambda _, key_field: bool(key_field),
    ),
    _refused("INVALID_CROSS_REFERENCE_KEY", Reason.RECORD_MISSING, "there is no record with this Id"),
    _refused("INVALID_ID_FIELD", Reason.BAD_VALUE, "this is no Id"),
    _refused(
        "JSON_PARSER_ERROR",
        Reason.BAD_VALUE,
        "a value cannot be read; a number in a text field is sent again as text",
        ERRORS,
    ),
    _refused("INVALID_FIELD_FOR_INSERT_UPDATE", Reason.CONFIGURATION, "the integration user may not write the field"),
    _refused("INVALID_TYPE", Reason.CONFIGURATION, "no such object, or the integration user may not see it", ERRORS),
    _refused("NOT_FOUND", Reason.CONFIGURATION, "no such object or external ID", ERRORS),
    _refused("METHOD_NOT_ALLOWED", Reason.CONFIGURATION, "the object cannot be written so", ERRORS),
    _refused("ENTITY_IS_DELETED", Reason.RECORD_DELETED, "the record was deleted or merged; merges are followed"),
    _refused("DUPLICATES_DETECTED", Reason.DUPLICATE_RECORD, "a duplicate rule: see `duplicates:` below", DUPLICATES),
    _refused("DUPLICATE_EXTERNAL_ID", Reason.AMBIGUOUS_KEY, "several records have the key", UPSERT),
    _refused("INSUFFICIENT_ACCESS", Reason.NO_ACCESS, "the integration user may not do this"),
    _refused("INSUFFICIENT_ACCESS_OR_READONLY", Reason.NO_ACCESS, "the integration user may not write this record"),
    _refused("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", Reason.NO_ACCESS, "the same, of its parent or owner"),
    _refused("MALFORMED_QUERY", Reason.BUG, "a question of ours is not understood", QUERY),
    _refused("EXCEEDED_ID_LIMIT", Reason.BUG, "more records in one request than Salesforce takes", TOGETHER),
)

BY_CODE: dict[str, tuple[Row, ...]] = {
    row.code: tuple(one for one in CATALOGUE if one.code == row.code) for row in CATALOGUE
}


def find(code: str, message: str, key_field: str) -> Row | None:
    """The row of a refusal; None for a code that nobody has met yet."""
    return next((row for row in BY_CODE.get(code, ()) if row.test is None or row.test(message, key_field)), None)
