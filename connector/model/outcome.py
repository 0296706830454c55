"""The result of one operation: a value, never an exception. A batch has exactly one outcome for each operation."""

from datetime import timedelta
from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why something was not delivered.

    A closed list: it is the metrics label, the dead-letter group and the row of the retry table.
    """

    # About the sink as a whole.
    UNAVAILABLE = "unavailable"  # the request did not arrive: refused, 503, not resolved
    TIMEOUT = "timeout"  # it may have been done
    CONNECTION_LOST = "connection_lost"  # it may have been done
    SERVER_ERROR = "server_error"
    UNEXPECTED_ANSWER = "unexpected_answer"  # not what the vendor documents
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    STORAGE_FULL = "storage_full"
    CREDENTIALS = "credentials"
    WRONG_ADDRESS = "wrong_address"  # a redirect, or a 404 if the ping does not answer either
    MAINTENANCE = "maintenance"  # it says that it accepts no changes for now
    SINK_REFUSES = "sink_refuses"  # every call is refused, whatever the record: licence, limit, lock
    # About one operation, which is likely to succeed later.
    ROW_LOCKED = "row_locked"
    # Too many records at once for the CRM's own code; final if it happens with a single record.
    TRIGGER_LIMIT = "trigger_limit"
    RACE = "race"  # two writers created the same key
    PARENT_MISSING = "parent_missing"  # the CRM does not know the parent (yet)
    PARENT_WAITING = "parent_waiting"  # our own write of the parent waits for a retry
    HALTED = "halted"  # not at fault: another record made the request fail
    # About one operation, and repeating cannot help.
    FIELD_REQUIRED = "field_required"
    VALIDATION = "validation"
    TOO_LONG = "too_long"
    PICKLIST = "picklist"
    BAD_VALUE = "bad_value"
    DUPLICATE_RECORD = "duplicate_record"  # a duplicate rule of the CRM
    AMBIGUOUS_KEY = "ambiguous_key"  # several records have the key
    RECORD_MISSING = "record_missing"  # update only, and no such record
    RECORD_DELETED = "record_deleted"
    NO_ACCESS = "no_access"
    CONFIGURATION = "configuration"  # no such object or field
    PARENT_FAILED = "parent_failed"
    BAD_COMMAND = "bad_command"  # the provider says that the command is malformed
    PROVIDER_DISAGREES = "provider_disagrees"  # it does not know a subscription that the ledger holds active
    PRICE_NOT_CHANGED = "price_not_changed"  # the provider knows no active subscription whose price it could change
    UNKNOWN = "unknown"  # refused without a reason
    UNKNOWN_CODE = "unknown_code"  # an error code that is missing in our tables
    NOT_ACCEPTED = "not_accepted"  # a webhook did not answer with success
    # Found while planning.
    UNKNOWN_NAME = "unknown_name"  # the event names a sink or journey event that the config does not have
    MISSING_KEY = "missing_key"
    NEEDS_PERSON = "needs_person"
    BUG = "bug"


class Delivered(Struct, frozen=True, kw_only=True):
    """Done, as confirmed by the sink."""

    record_id: str | None = None
    created: bool = False
    detail: str | None = None  # worth reporting: `was not active`
    left_out: tuple[str, ...] = ()  # consent fields not written, because the record showed newer values
    # There is no one to apply it to: the provider does not know the person, or no record has the number.
    absent: bool = False
    also_updated: tuple[str, ...] = ()  # ids of other records with the same number that also got the opt-out
    was_split: bool = False  # it succeeded only after its request was made smaller


class Retry(Struct, frozen=True, kw_only=True):
    """Not done, or not known to be done; it is worth another try."""

    reason: Reason
    detail: str = ""
    not_before: timedelta | None = None  # the sink asked to wait this long
    in_doubt: bool = False  # it may have been done
    code: str = ""  # the sink's own error code, if it gave one
    cure: str = ""  # what a person must do, if waiting alone does not help and the sink's code says what is wrong
    network: str = ""  # what failed on the way to the sink, in our own words; empty if it answered


class Rejected(Struct, frozen=True, kw_only=True):
    """Refused for good."""

    reason: Reason
    detail: str = ""  # the sink's own words
    also_updated: tuple[str, ...] = ()  # ids of records with the person's number that got the opt-out nevertheless
    code: str = ""  # the sink's own error code, if it gave one
    field: str = ""  # the field at fault, if the sink names one


Outcome = Delivered | Retry | Rejected
