"""What to do about a dead letter: one sentence for each reason. The only table of advice for people; nothing else belongs here."""

from connector.model.outcome import Reason

RETRY = "then `connector dead retry`"
# A dead letter that other mappings planned is planned again by those in use, so these must be reloaded first.
RELOAD = "then `connector reload` and `connector dead retry`"
COMMANDS = ("dead retry", "dead discard", "parked release", "parked discard", "replay")

CURES: dict[Reason, str] = {
    Reason.UNAVAILABLE: f"see whether its address can be reached from this machine, {RETRY}",
    Reason.TIMEOUT: "it took too long for days: a smaller `batch` in the config helps against slow triggers; " + RETRY,
    Reason.CONNECTION_LOST: f"see the network between here and there, {RETRY}",
    Reason.SERVER_ERROR: f"it failed on the other side: see its status page, {RETRY}",
    Reason.UNEXPECTED_ANSWER: "something else answers at this address, such as a proxy: check `url` in the config, "
    + RETRY,
    Reason.RATE_LIMITED: f"too many calls in a short time: see which other integration makes them, {RETRY}",
    Reason.QUOTA_EXHAUSTED: f"the day's API calls are used up: see which integration used them, {RETRY} tomorrow",
    Reason.STORAGE_FULL: f"the CRM's storage is full: free some, or buy more, {RETRY}",
    Reason.CREDENTIALS: f"check the sign-in in the config and the rights of its account (`connector check --live`), {RETRY}",
    Reason.WRONG_ADDRESS: f"check `url` in the config: the server at that address does not know our calls, {RETRY}",
    Reason.MAINTENANCE: f"the CRM took no changes: see its status page for the end of its maintenance, {RETRY}",
    Reason.SINK_REFUSES: f"the CRM refuses all calls: `connector status` shows its message, {RETRY}",
    Reason.ROW_LOCKED: f"another job kept the record locked: wait until it has ended, {RETRY}",
    Reason.TRIGGER_LIMIT: "a trigger of the CRM needs more for this record than Salesforce allows; the detail names it and its "
    "package: let the admin look at what it works on, such as a household or account with very many records, switch the trigger off "
    f"for the integration user, or ask its makers; {RETRY}",
    Reason.RACE: f"another program or person creates the same records: find out who, {RETRY}",
    Reason.PARENT_MISSING: "the CRM does not know the parent record: create it, or let a rule write it first, "
    f"{RETRY}; if it is gone for good, use `connector dead discard`, or give the mapping a second way to name the parent, {RELOAD}",
    Reason.PARENT_WAITING: f"its parent has not been written yet: fix that first, {RETRY}",
    Reason.HALTED: "another record of the same request was refused: `connector dead retry` sends this one alone",
    Reason.FIELD_REQUIRED: f"the CRM requires a field that the mapping does not write: add it with a `default`, {RELOAD}",
    Reason.VALIDATION: f"a validation rule of the CRM refuses it: change the rule or the mapping, {RELOAD}",
    Reason.TOO_LONG: f"the text does not fit the field: add `truncate` to the mapping or make the field longer, {RELOAD}",
    Reason.PICKLIST: f"the value is not in the picklist: add it there, or use `map` in the mapping, {RELOAD}",
    Reason.BAD_VALUE: f"the value does not fit the field's type: see the mapping by `connector explain`, {RELOAD}",
    Reason.DUPLICATE_RECORD: "a duplicate rule of the CRM stopped it: merge the records or let the integration user pass, "
    + RETRY,
    Reason.AMBIGUOUS_KEY: f"several records have this key: merge them and make the key field unique, {RETRY}",
    Reason.RECORD_MISSING: f"there is no such record to update: create it, or write `upsert:` in the mapping, {RELOAD}; where it is "
    "gone for good, `connector dead discard`",
    Reason.RECORD_DELETED: f"the record was deleted: restore it from the recycle bin, {RETRY}",
    Reason.NO_ACCESS: f"the integration user may not do this: give it the permission, {RETRY}",
    Reason.CONFIGURATION: f"the CRM has no such object or field (`connector check --live` says which): fix either, {RELOAD}",
    Reason.PARENT_FAILED: f"its parent was refused: fix that first, {RETRY}",
    Reason.BAD_COMMAND: f"the provider calls the command malformed: check short number and keyword in the config, {RETRY}",
    Reason.PROVIDER_DISAGREES: "look the subscriber up at the provider: if they are gone there, all is well; if not, end it there; "
    "then `connector dead discard`",
    Reason.PRICE_NOT_CHANGED: "the CRM shows an amount that the provider does not charge: look the subscriber up there, put it right "
    "on one of the two sides, then `connector dead discard`; or `connector dead retry` asks once more",
    Reason.UNKNOWN: f"the CRM's message is shown with it: fix what it names, {RETRY}",
    Reason.UNKNOWN_CODE: f"ask the CRM's vendor what this code means, fix the cause, {RETRY}; and report the code to us",
    Reason.MISSING_KEY: f"the event has no value for the record's key: fix the mapping or write `if_missing: skip`, {RELOAD}",
    Reason.NOT_ACCEPTED: f"the webhook did not accept it: see the detail and the receiver's log, {RETRY}",
    Reason.UNKNOWN_NAME: f"add the name under `sinks:` in the config (`names:` or `events:`), restart, {RETRY}",
    Reason.NEEDS_PERSON: "decide: `connector parked release` sends it, `connector parked discard` never does, and "
    "`connector parked list` shows how to answer for a text that may be an opt-out; "
    "`connector parked release` also plans again what could not be planned, once its cause is fixed",
    Reason.BUG: "this is a bug in the connector: report the detail; after an update, `connector dead retry`",
}


def cure(reason: Reason | str | None, which: str = "") -> str | None:
    """The advice; None if there is no reason. `which`: see addressed()."""
    return None if reason is None else addressed(CURES[Reason(reason)], which)


def addressed(text: str, which: str) -> str:
    """The advice with its commands as they can be typed: `which` says of what, such as an event's id or `--group 3fa20c`."""
    if not which:
        return text
    for command in COMMANDS:
        # Only a retry takes causes; the others name events.
        what = which if command == "dead retry" or not which.startswith("-") else "EVENT"
        text = text.replace(f"`connector {command}`", f"`connector {command} {what}`")
    return text
