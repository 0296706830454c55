"""DUPLICATE_VALUE: finds the field and the record that already have the value, in texts of any language.

The English text names pairs: `duplicate value found: A__c duplicates value on record with id: 003…, B__c duplicates
value …`. The field is `<unknown>` if Salesforce does not disclose it (the other record is hidden, or a trigger writes
it), and some texts name no field. Field names and Ids are the same in every language. If the text has neither, the
record is sent once more: an upsert then finds a record whose key was created meanwhile.

Source: Object Reference, "StatusCode" (DUPLICATE_VALUE).
"""

import re
from collections.abc import Sequence

from connector.crm.salesforce.client.record_ids import in_full, last_in
from connector.model.outcome import Outcome, Reason, Rejected, Retry

CODE = "DUPLICATE_VALUE"
PAIR = re.compile(r"(\S+) duplicates value(?: on record(?: with id: ([0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?\b)?)?)?")
UNNAMED = "<unknown>"
# The same key twice in one request.
REPEATED = "duplicate external id specified"
# English texts about another record without a field or Id.
MEMBER = "already a campaign member"


def names_key(message: str, key_field: str) -> bool:
    """Whether the text names the external ID of the upsert: a record with our key was created meanwhile."""
    folded = message.casefold()
    return REPEATED in folded or (
        bool(key_field) and re.search(rf"\b{re.escape(key_field.casefold())}\b", folded) is not None
    )


def unclear(message: str, key_field: str) -> bool:
    """Whether the text leaves open whether our key is the duplicate value."""
    if not key_field or names_key(message, key_field) or MEMBER in message.casefold():
        return False
    fields = [field for field, _ in PAIR.findall(message)]
    return not fields or UNNAMED in fields or "found:" in fields


def names_only_other_fields(message: str, key_field: str, fields: Sequence[str]) -> bool:
    """Whether Salesforce names the other fields, and not our key."""
    folded = {field.casefold() for field in fields}
    return bool(folded) and key_field.casefold() not in folded and not names_key(message, key_field)


def holder(message: str, key_field: str, object_name: str) -> str | None:
    """The 18-character Id of the record that has this external ID, from the text that rejected a new record."""
    if not key_field or not names_key(message, key_field):
        return None
    pairs = PAIR.findall(message)
    named = [record_id for field, record_id in pairs if field.casefold() == key_field.casefold()]
    if pairs:
        return in_full(named[0]) if named and named[0] else None
    return last_in(message, object_name)


def is_unclear(outcome: Outcome, key_field: str | None) -> bool:
    """Whether a record was rejected with a text that leaves the field open."""
    return isinstance(outcome, Retry) and outcome.code == CODE and unclear(outcome.detail, key_field or "")


def after_second_try(outcome: Retry) -> Rejected:
    """The outcome if sending once more did not help: another record has the value."""
    detail = f"{outcome.detail} (sent twice; the integration user may not see the other record)"
    return Rejected(reason=Reason.DUPLICATE_RECORD, detail=detail, code=outcome.code)
