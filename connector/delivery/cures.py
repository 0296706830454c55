"""What a person does about each reason: the only such table. A CRM's own error codes have theirs in its folder."""

from enum import Enum, auto

from msgspec import Struct

from connector.model.outcome import Reason, Retry

RETRY = "then `connector dead retry`"
# A dead letter that other mappings planned is planned again by those in use, so these must be reloaded first.
RELOAD = "then `connector reload` and `connector dead retry`"
SEE_NETWORK = "check the network of this machine, and the status page of the remote system"


class Alert(Enum):
    """When a fault of a whole remote system alerts a person. Every fault does if it lasts."""

    IF_IT_LASTS = auto()
    IF_IT_COMES_AGAIN = auto()
    AT_ONCE = auto()  # waiting alone does not help


class Cure(Struct, frozen=True):
    """What a person does about one reason."""

    dead_letter: str  # for a dead letter, with the command that follows
    waiting: str = SEE_NETWORK  # while the connector still tries by itself: in alarms and `connector status`
    alert: Alert = Alert.IF_IT_LASTS


CURES: dict[Reason, Cure] = {
    Reason.UNAVAILABLE: Cure(f"check whether its address can be reached from this machine, {RETRY}"),
    Reason.TIMEOUT: Cure(
        "it did not answer in time for three days: a smaller `batch` in the config helps against slow triggers; "
        + RETRY
    ),
    Reason.CONNECTION_LOST: Cure(f"check the network between this machine and the remote system, {RETRY}"),
    Reason.SERVER_ERROR: Cure(f"the remote system failed: see its status page, {RETRY}"),
    Reason.UNEXPECTED_ANSWER: Cure(
        "something else answers at this address, such as a proxy: check `url` in the config, " + RETRY,
        "something else answers at this address, such as a proxy: check `url` in the config",
        Alert.IF_IT_COMES_AGAIN,
    ),
    Reason.RATE_LIMITED: Cure(
        f"too many calls in a short time: see which other integration makes them, {RETRY}",
        "it takes no more calls for now: see which other integration makes so many",
    ),
    Reason.QUOTA_EXHAUSTED: Cure(
        f"the day's API calls are used up: see which integration used them, {RETRY} tomorrow",
        "the daily API calls are used up: find out which integration used them",
        Alert.AT_ONCE,
    ),
    Reason.STORAGE_FULL: Cure(
        f"the CRM's storage is full: free some, or buy more, {RETRY}",
        "the CRM has no storage left for new records: free some, or buy more",
        Alert.AT_ONCE,
    ),
    Reason.CREDENTIALS: Cure(
        f"check the sign-in in the config and the rights of its account (`connector check --live`), {RETRY}",
        "check the credentials in the config and the permissions of the account; `connector status` shows the error",
        Alert.AT_ONCE,
    ),
    Reason.WRONG_ADDRESS: Cure(
        f"check `url` in the config: the server at that address does not know our calls, {RETRY}",
        "check the address (`url`) in the config",
        Alert.AT_ONCE,
    ),
    Reason.MAINTENANCE: Cure(
        f"the CRM took no changes: see its status page for the end of its maintenance, {RETRY}",
        "no action is needed: the connector continues automatically after the maintenance",
        Alert.AT_ONCE,
    ),
    Reason.SINK_REFUSES: Cure(
        f"the CRM refuses all calls: `connector status` shows its message, {RETRY}",
        "`connector status` shows the error",
        Alert.AT_ONCE,
    ),
    Reason.ROW_LOCKED: Cure(
        f"another job kept the record locked: wait until it has ended, {RETRY}",
        "a job of the CRM keeps its records locked: see which one runs, such as an import or a recalculation of sharing",
    ),
    Reason.TRIGGER_LIMIT: Cure(
        "a trigger of the CRM needs more for this record than the CRM allows; the detail names it and its package: let the admin "
        "look at what it works on, such as a household or account with very many records, switch the trigger off for the "
        f"integration user, or ask its makers; {RETRY}"
    ),
    Reason.RACE: Cure(f"another program or person creates the same records: find out who, {RETRY}"),
    Reason.PARENT_MISSING: Cure(
        "the CRM does not know the parent record: create it, or let a rule write it first, "
        f"{RETRY}; if it is gone for good, use `connector dead discard`, or give the mapping a second way to name the parent, {RELOAD}"
    ),
    Reason.PARENT_WAITING: Cure(f"its parent has not been written yet: fix that first, {RETRY}"),
    Reason.HALTED: Cure("another record of the same request was refused: `connector dead retry` sends this one alone"),
    Reason.FIELD_REQUIRED: Cure(
        f"the CRM requires a field that the mapping does not write: add it with a `default`, {RELOAD}"
    ),
    Reason.VALIDATION: Cure(f"a validation rule of the CRM refuses it: change the rule or the mapping, {RELOAD}"),
    Reason.TOO_LONG: Cure(
        f"the text does not fit the field: add `truncate` to the mapping or make the field longer, {RELOAD}"
    ),
    Reason.PICKLIST: Cure(f"the value is not in the picklist: add it there, or use `map` in the mapping, {RELOAD}"),
    Reason.BAD_VALUE: Cure(
        f"the value does not fit the field's type: see the mapping by `connector explain`, {RELOAD}"
    ),
    Reason.DUPLICATE_RECORD: Cure(
        "a duplicate rule of the CRM stopped it: merge the records, or except the integration user from the rule, "
        + RETRY
    ),
    Reason.AMBIGUOUS_KEY: Cure(f"several records have this key: merge them and make the key field unique, {RETRY}"),
    Reason.RECORD_MISSING: Cure(
        f"there is no such record to update: create it, or write `upsert:` in the mapping, {RELOAD}; where it is "
        "gone for good, `connector dead discard`"
    ),
    Reason.RECORD_DELETED: Cure(f"the record was deleted: restore it from the recycle bin, {RETRY}"),
    Reason.NO_ACCESS: Cure(f"the integration user may not do this: give it the permission, {RETRY}"),
    Reason.CONFIGURATION: Cure(
        f"the CRM has no such object or field (`connector check --live` says which): fix either, {RELOAD}",
        "`connector status` shows what is missing",
        Alert.IF_IT_COMES_AGAIN,
    ),
    Reason.PARENT_FAILED: Cure(f"its parent was refused: fix that first, {RETRY}"),
    Reason.BAD_COMMAND: Cure(
        f"the provider calls the command malformed: check short number and keyword in the config, {RETRY}"
    ),
    Reason.PROVIDER_DISAGREES: Cure(
        "look the subscriber up at the provider, and end the subscription there if it still runs; then `connector dead discard`"
    ),
    Reason.PRICE_NOT_CHANGED: Cure(
        "the CRM shows an amount that the provider does not charge: look the subscriber up there, correct the "
        "amount on one of the two sides, then `connector dead discard`; or `connector dead retry` asks once more"
    ),
    Reason.UNKNOWN: Cure(f"the CRM's message is shown with it: fix what it names, {RETRY}"),
    Reason.UNKNOWN_CODE: Cure(
        f"ask the CRM's vendor what this code means, fix the cause, {RETRY}; and report the code to us"
    ),
    Reason.MISSING_KEY: Cure(
        f"the event has no value for the record's key: fix the mapping or write `if_missing: skip`, {RELOAD}; or, if it is "
        "an opt-out without a phone number, `connector explain` shows who sent it: opt that person out in the CRM, "
        "then `connector dead discard`"
    ),
    Reason.NOT_ACCEPTED: Cure(f"the webhook did not accept it: see the detail and the receiver's log, {RETRY}"),
    Reason.UNKNOWN_NAME: Cure(f"add the name under `sinks:` in the config (`names:` or `events:`), restart, {RETRY}"),
    Reason.NEEDS_PERSON: Cure(
        "decide: `connector parked release` sends it, `connector parked discard` drops it for good, and "
        "`connector parked list` shows how to answer for a text that may be an opt-out; "
        "`connector parked release` also plans again what could not be planned, once its cause is fixed"
    ),
    Reason.BUG: Cure("this is a bug in the connector: report the detail; after an update, `connector dead retry`"),
}


def cure_of(answer: Retry) -> str:
    """What a person can do about a fault that makes the connector wait: by the sink's own code, else by its reason."""
    return answer.cure or CURES[answer.reason].waiting
