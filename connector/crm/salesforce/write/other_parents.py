"""Parents that can be named in several ways: where the org has no record by the first, the next one is named.

Source: Object Reference, "StatusCode" (INVALID_CROSS_REFERENCE_KEY, MALFORMED_ID, ENTITY_IS_DELETED).
"""

from msgspec.structs import replace

from connector.crm.salesforce.write.merged_parents import missing_key
from connector.model.operation import ID_FIELD, Fields, Parent, RecordWrite, Value
from connector.model.outcome import Reason, Rejected, Retry

# Refusals of a record because of an Id in it that leads nowhere.
LEADS_NOWHERE = frozenset({"INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID", "INVALID_ID_FIELD", "ENTITY_IS_DELETED"})


def missing(fields: Fields, outcome: Retry | Rejected) -> list[str]:
    """The relationships for whose parent a record may have been refused, of those whose parent can be named otherwise."""
    if outcome.reason is not Reason.PARENT_MISSING and outcome.code not in LEADS_NOWHERE:
        return []
    others = {name: value for name, value in fields.items() if type(value) is Parent and _has_another(value)}
    if not others:
        return []
    key_field = missing_key(outcome.detail).casefold()
    if key_field:
        return [name for name, parent in others.items() if parent.key_field.casefold() == key_field]
    by_id = [name for name, parent in others.items() if parent.key_field == ID_FIELD]
    # Salesforce names the field of the lookup, or none.
    return [name for name in by_id if not outcome_field(outcome) or behind(name, outcome_field(outcome))]


def outcome_field(outcome: Retry | Rejected) -> str:
    """The field that Salesforce blames; empty where it names none."""
    return outcome.field if isinstance(outcome, Rejected) else ""


def behind(relationship: str, field: str) -> bool:
    """Whether a relationship is that of a lookup field: `Contact__r` of `Contact__c`, `Who` of `WhoId`."""
    name = relationship.casefold()
    return field.casefold() in {f"{name}id", f"{name.removesuffix('__r')}__c"}


def named_otherwise(write: RecordWrite, names: list[str]) -> RecordWrite:
    """The write with the next way of naming the parents of these relationships, or without those that may be left out."""

    def changed(values: Fields) -> Fields:
        made: dict[str, Value] = {}
        for name, value in values.items():
            if name not in names or type(value) is not Parent:
                made[name] = value
            elif value.otherwise:
                made[name] = replace(value.otherwise[0], otherwise=value.otherwise[1:], or_none=value.or_none)
        return made

    return replace(write, set=changed(write.set), create=changed(write.create))


def _has_another(parent: Parent) -> bool:
    return bool(parent.otherwise) or parent.or_none
