"""What became of one operation: a value, never an exception. A batch has exactly one outcome for each of its operations."""

from datetime import timedelta
from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why something was not delivered. Closed: it is the metrics label, the dead-letter group and the row of the retry table."""

    # The sink as a whole.
    UNAVAILABLE = "unavailable"  # nothing reached it: refused, 503, not resolved
    TIMEOUT = "timeout"  # it may have been done
    CONNECTION_LOST = "connection_lost"  # it may have been done
    SERVER_ERROR = "server_error"
    UNEXPECTED_ANSWER = "unexpected_answer"  # not what the vendor documents
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    STORAGE_FULL = "storage_full"
    CREDENTIALS = "credentials"
    WRONG_ADDRESS = "wrong_address"  # a redirect, or a 404 where the ping does not answer either
    MAINTENANCE = "maintenance"  # it takes no changes for now, and says so
    SINK_REFUSES = (
        "sink_refuses"  # every call is refused, for a reason that is about no single record: licence, limit, lock
    )
    # One operation, likely to go through later.
    ROW_LOCKED = "row_locked"
    TRIGGER_LIMIT = "trigger_limit"  # too many records at once for the CRM's own code; with one alone it is final
    RACE = "race"  # two writers created the same key
    PARENT_MISSING = "parent_missing"  # the CRM does not know the parent (yet)
    PARENT_WAITING = "parent_waiting"  # our own write of the parent is to be retried
    HALTED = "halted"  # innocent: another record spoiled the request
    # One operation, and repeating cannot help.
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
    BAD_COMMAND = "bad_command"  # the provider calls the command malformed
    PROVIDER_DISAGREES = "provider_disagrees"  # it does not know a subscription that the ledger holds active
    PRICE_NOT_CHANGED = "price_not_changed"  # the provider knows no active subscription whose price it could change
    UNKNOWN = "unknown"  # refused without a word that tells why
    UNKNOWN_CODE = "unknown_code"  # an error code that our tables lack
    # Found while planning.
    MISSING_KEY = "missing_key"
    NEEDS_PERSON = "needs_person"
    BUG = "bug"


class Delivered(Struct, frozen=True, kw_only=True):
    """Done, and the sink said so."""

    record_id: str | None = None
    created: bool = False
    detail: str | None = None  # worth telling: `was not active`
    left_out: tuple[str, ...] = ()  # consent fields that were superseded by what the record showed
    absent: bool = False  # there is nobody whom it is for: the provider does not know them, or no record has the number
    also_updated: tuple[str, ...] = ()  # ids of other records with the same number that were given the opt-out too
    divided: bool = False  # it went through only in a request that was made smaller


class Retry(Struct, frozen=True, kw_only=True):
    """Not done, or not known to be done; worth another try."""

    reason: Reason
    detail: str = ""
    not_before: timedelta | None = None  # the sink asked for this much patience
    in_doubt: bool = False  # it may have been done
    code: str = ""  # the sink's own word for it, where it has one
    cure: str = ""  # what a person must do, where waiting alone does not mend it and the sink's word tells what it is
    network: str = ""  # what failed on the way to the sink, in our own words; empty where it answered


class Rejected(Struct, frozen=True, kw_only=True):
    """Refused for good."""

    reason: Reason
    detail: str = ""  # the sink's own words
    also_updated: tuple[
        str, ...
    ] = ()  # ids of records with the person's number that were given the opt-out all the same
    code: str = ""  # the sink's own word for it, where it has one
    field: str = ""  # the field that is to blame, where the sink names one


Outcome = Delivered | Retry | Rejected
