"""Dataverse's error codes: for each its meaning for us and its source. A table without logic.

docs/dynamics-errors.md shows this table to people; a test keeps the two equal. Codes are the hexadecimal form of the
numbers in Microsoft's list. A code may come with several HTTP statuses.
"""

from dataclasses import dataclass

from connector.model.outcome import Reason, Rejected, Retry

LIST = "https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes"
WEBAPI = "https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors"
CLIENT = "https://learn.microsoft.com/troubleshoot/power-platform/dataverse/web-api-client-errors"
CONDITIONS = (
    "https://learn.microsoft.com/power-apps/developer/data-platform/webapi/perform-conditional-operations-using-web-api"
)
LIMITS = "https://learn.microsoft.com/power-apps/developer/data-platform/api-limits"
BULK = "https://learn.microsoft.com/power-apps/developer/data-platform/bulk-operations"
KEYS = "https://learn.microsoft.com/power-apps/developer/data-platform/use-alternate-key-reference-record"
TRACKING = "https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems"

UNKNOWN_PROPERTY = "0x80048d19"
NOT_FOUND_BY_ID, NOT_FOUND_BY_KEY = "0x80040217", "0x80060891"
VERSION_MISMATCH = "0x80060882"
EXISTS, KEY_TAKEN = "0x80040237", "0x80060892"
EXPIRED_LINK, NOT_TRACKED = "0x80044352", "0x80072491"
REFUSED = (
    "see in `connector status` what Dataverse says; look at the application user and its security role, and at the environment "
    "in the Power Platform admin center: its state, its storage, and whether its IP firewall lets this server in"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One code, or one meaning of a code with several: then `saying` is a part of its message, in lower case."""

    code: str
    outcome: type[Retry] | type[Rejected]
    reason: Reason
    means: str
    source: str
    saying: str = ""
    cure: str = ""  # what a person does, if the advice for the reason does not say it


def _again(code: str, reason: Reason, means: str, source: str, saying: str = "", cure: str = "") -> Row:
    return Row(code=code, outcome=Retry, reason=reason, means=means, source=source, saying=saying, cure=cure)


def _refused(code: str, reason: Reason, means: str, source: str, saying: str = "", cure: str = "") -> Row:
    return Row(code=code, outcome=Rejected, reason=reason, means=means, source=source, saying=saying, cure=cure)


# If several rows have the same code, the first that matches is used.
CATALOGUE: tuple[Row, ...] = (
    # About the whole org or our user: the sink pauses.
    _again("0x80072322", Reason.RATE_LIMITED, "more than 6,000 requests in five minutes by this user", LIMITS),
    _again("0x80072321", Reason.RATE_LIMITED, "more than 20 minutes of execution in five minutes by this user", LIMITS),
    _again("0x80072326", Reason.RATE_LIMITED, "too many requests at once by this user", LIMITS),
    _again(
        "0x80072560",
        Reason.CREDENTIALS,
        "the app signs in, but is no user of this org",
        CLIENT,
        cure="create an application user for the app in the Power Platform admin center: see docs/dynamics.md",
    ),
    _again(
        "0x80041d1f",
        Reason.CREDENTIALS,
        "the application user is disabled",
        LIST,
        cure="enable the application user in the Power Platform admin center",
    ),
    _again(
        "0x80040225",
        Reason.CREDENTIALS,
        "the application user is disabled, or belongs to no business unit",
        LIST,
        cure="enable the application user in the Power Platform admin center",
    ),
    _again(
        "0x8004a112",
        Reason.CREDENTIALS,
        "the application user was disabled",
        LIST,
        cure="enable the application user in the Power Platform admin center",
    ),
    _again("0x8005f101", Reason.CREDENTIALS, "the access token has expired", LIST),
    _again("0x8004a101", Reason.CREDENTIALS, "the access token has expired", LIST),
    _again("0x8004a102", Reason.CREDENTIALS, "the access token is not valid", LIST),
    _again(
        "0x8004d24b",
        Reason.SINK_REFUSES,
        "the user has no licence",
        LIST,
        cure="give the application user what the detail in `connector status` asks for",
    ),
    _again(
        "0x8004a104",
        Reason.SINK_REFUSES,
        "the environment is disabled",
        LIST,
        cure="enable the environment in the Power Platform admin center",
    ),
    _again(
        "0x8004415c",
        Reason.SINK_REFUSES,
        "the trial of the environment has ended",
        LIST,
        cure="convert the environment to production in the Power Platform admin center",
    ),
    _again("0x80072325", Reason.STORAGE_FULL, "the storage of the database is full", LIST),
    _again("0x80072324", Reason.UNAVAILABLE, "the database has too many requests at once", LIST),
    _again("0x8004a001", Reason.UNAVAILABLE, "the server is busy", LIST),
    _again("0x80073000", Reason.UNAVAILABLE, "the server does not reach its database", LIST),
    _again("0x8005f103", Reason.RATE_LIMITED, "too many requests", LIST),
    _again("0x8004430d", Reason.SINK_REFUSES, "the org's storage or licence does not allow this write", LIST),
    _again("0x80044151", Reason.TIMEOUT, "the database took too long", BULK),
    _again("0x80044150", Reason.ROW_LOCKED, "the database met a deadlock", BULK),
    _again("0x80043e09", Reason.MAINTENANCE, "the org is being maintained", LIST),
    # About one record, and repeating may help.
    _again(VERSION_MISMATCH, Reason.RACE, "the record changed since it was read", CONDITIONS),
    _again(EXISTS, Reason.RACE, "another write created the record first", CONDITIONS),
    _again(KEY_TAKEN, Reason.RACE, "another record has this key", KEYS),
    _again(NOT_FOUND_BY_KEY, Reason.PARENT_MISSING, "no record has the key of a lookup", KEYS),
    _again("0x8004ed47", Reason.ROW_LOCKED, "another transaction holds a lock", LIST),
    *(
        _again(code, Reason.ROW_LOCKED, "a plug-in of the org met a deadlock", LIST, "deadlock")
        for code in ("0x80040265", "0x80040224")
    ),
    *(
        _again(code, Reason.SERVER_ERROR, "a plug-in of the org had to wait too long for the database", LIST, saying)
        for code in ("0x80040265", "0x80040224")
        for saying in ("sql timeout", "timeout expired")
    ),
    _again("0x80044172", Reason.SERVER_ERROR, "a plug-in of the org took too long", LIST),
    _again("0x80044173", Reason.SERVER_ERROR, "a plug-in of the org took too long", LIST),
    _again("0x80081111", Reason.SERVER_ERROR, "a plug-in of the org took too long", LIST),
    _again("0x8004418d", Reason.SERVER_ERROR, "nothing is free to run a plug-in of the org", LIST),
    _again("0x8004418e", Reason.SERVER_ERROR, "nothing is free to run a plug-in of the org", LIST),
    _again("0x80081116", Reason.SERVER_ERROR, "plug-ins of the org have crashed too often", LIST),
    # About one record, and repeating cannot help.
    _refused("0x80040265", Reason.VALIDATION, "a plug-in of the org refuses the record, in its own words", WEBAPI),
    _refused("0x80040224", Reason.VALIDATION, "a plug-in or a workflow of the org failed", LIST),
    _refused("0x80044331", Reason.TOO_LONG, "a text is longer than its column", CLIENT),
    _refused("0x8004431a", Reason.PICKLIST, "the choice has no such value", LIST),
    _refused("0x8004432f", Reason.BAD_VALUE, "a whole number is outside the limits of its column", LIST),
    _refused("0x80044330", Reason.BAD_VALUE, "a number is outside the limits of its column", LIST),
    _refused("0x8004f02c", Reason.BAD_VALUE, "a date is outside the limits of its column", LIST),
    _refused(
        "0x80040203", Reason.FIELD_REQUIRED, "a column that must have a value has none", LIST, "cannot be set to null"
    ),
    _refused("0x80040203", Reason.BAD_VALUE, "a value is not allowed", LIST),
    _refused(NOT_FOUND_BY_ID, Reason.RECORD_DELETED, "no record has this id", CONDITIONS),
    # Privileges are of a whole table, and their names are the same in every language.
    _refused(
        "0x80040220", Reason.CONFIGURATION, "the application user's security role lacks this privilege", CLIENT, "prv"
    ),
    _refused("0x80040220", Reason.NO_ACCESS, "the application user may not do this with this record", CLIENT),
    *(
        _refused(code, Reason.CONFIGURATION, "the application user may not use a secured column", LIST)
        for code in ("0x8004f502", "0x8004f503", "0x8004f504", "0x8004f506", "0x8004f507")
    ),
    _refused("0x80040276", Reason.CONFIGURATION, "nobody may create records in this table", LIST),
    _refused("0x80040204", Reason.NO_ACCESS, "the application user may not do this", LIST),
    _refused("0x80040277", Reason.NO_ACCESS, "the application user may not do this", LIST),
    _refused("0x80048405", Reason.NO_ACCESS, "the application user may not do this", LIST),
    _refused("0x8004022e", Reason.NO_ACCESS, "the record is read-only", LIST),
    _refused("0x80048408", Reason.BAD_VALUE, "the status does not belong to the state", LIST),
    _refused("0x80048306", Reason.NO_ACCESS, "the application user may not reach this record", CLIENT),
    _refused("0x80040299", Reason.NO_ACCESS, "the application user may not do this", CLIENT),
    _refused("0x80040333", Reason.DUPLICATE_RECORD, "a duplicate detection rule found a similar record", LIST),
    _refused(
        "0x80073002", Reason.DUPLICATE_RECORD, "a unique index of the org is violated; which one is not said", LIST
    ),
    _refused(UNKNOWN_PROPERTY, Reason.CONFIGURATION, "the table has no such column", CLIENT, "does not exist on type"),
    _refused(
        UNKNOWN_PROPERTY, Reason.CONFIGURATION, "the table has no such lookup", CLIENT, "only declared navigation"
    ),
    _refused(UNKNOWN_PROPERTY, Reason.BAD_VALUE, "a value has the wrong type for its column", CLIENT),
    _refused("0x0", Reason.CONFIGURATION, "the table has no such column", CLIENT, "does not exist on type"),
    _refused("0x0", Reason.BAD_VALUE, "a value has the wrong type for its column", CLIENT),
    _refused("0x8006088a", Reason.CONFIGURATION, "the org has no such table, or the address is wrong", CLIENT),
    _refused(
        "0x80060888",
        Reason.CONFIGURATION,
        "no alternate key has this column, or it is not Active yet",
        KEYS,
        cure="create the key with `connector dynamics setup`, or wait until it is Active",
    ),
    _refused(NOT_TRACKED, Reason.CONFIGURATION, "change tracking is off for the table", TRACKING),
    _again(EXPIRED_LINK, Reason.UNEXPECTED_ANSWER, "the delta link has expired: all records are read again", TRACKING),
    # 400 with this code is a fault of the record, 500 one of the service; see responses.py.
    _refused("0x80040216", Reason.UNKNOWN, "Dataverse met an unexpected error with this record", LIST),
)

BY_CODE: dict[str, tuple[Row, ...]] = {
    row.code: tuple(one for one in CATALOGUE if one.code == row.code) for row in CATALOGUE
}


def find(code: str, message: str) -> Row | None:
    """The row for a rejection; None if the code is unknown."""
    said = message.lower()
    return next((row for row in BY_CODE.get(code, ()) if row.saying in said), None)


def cure_of(code: str) -> str:
    """What a person does about a code; empty if the advice for its reason is enough."""
    return next((row.cure for row in BY_CODE.get(code, ()) if row.cure), "")
