"""Parents with alternatives: if the org has no record for the first one, the next one is used.

Source: Object Reference, "StatusCode" (INVALID_CROSS_REFERENCE_KEY, MALFORMED_ID, ENTITY_IS_DELETED).
"""

from msgspec.structs import replace

from connector.crm.salesforce.write.merged_parents import missing_key
from connector.model.operation import ID_FIELD, Fields, Parent, RecordWrite, Value
from connector.model.outcome import Reason, Rejected, Retry

# Rejections of a record for an Id in it that does not exist.
MISSING_ID_CODES = frozenset({"INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID", "INVALID_ID_FIELD", "ENTITY_IS_DELETED"})


def replaceable(fields: Fields, outcome: Retry | Rejected) -> list[str]:
    """The relationships with an alternative whose parent may be the reason for the rejection."""
    if outcome.reason is not Reason.PARENT_MISSING and outcome.code not in MISSING_ID_CODES:
        return []
    alternatives = {name: value for name, value in fields.items() if type(value) is Parent and _has_alternative(value)}
    if not alternatives:
        return []
    key_field = missing_key(outcome.detail).casefold()
    if key_field:
        return [name for name, parent in alternatives.items() if parent.key_field.casefold() == key_field]
    by_id = [name for name, parent in alternatives.items() if parent.key_field == ID_FIELD]
    # Salesforce names the lookup field, or no field.
    return [name for name in by_id if not outcome_field(outcome) or is_of_lookup(name, outcome_field(outcome))]


def outcome_field(outcome: Retry | Rejected) -> str:
    """The field named in the rejection; empty if there is none."""
    return outcome.field if isinstance(outcome, Rejected) else ""


def is_of_lookup(relationship: str, field: str) -> bool:
    """Whether a relationship belongs to a lookup field: `Contact__r` to `Contact__c`, `Who` to `WhoId`."""
    name = relationship.casefold()
    return field.casefold() in {f"{name}id", f"{name.removesuffix('__r')}__c"}


def with_next_parents(record_write: RecordWrite, names: list[str]) -> RecordWrite:
    """The write with the next alternative for these parents, or without them if they are optional."""

    def changed(values: Fields) -> Fields:
        changed_values: dict[str, Value] = {}
        for name, value in values.items():
            if name not in names or type(value) is not Parent:
                changed_values[name] = value
            elif value.otherwise:
                changed_values[name] = replace(value.otherwise[0], otherwise=value.otherwise[1:], or_none=value.or_none)
        return changed_values

    return replace(record_write, set=changed(record_write.set), create=changed(record_write.create))


def _has_alternative(parent: Parent) -> bool:
    return bool(parent.otherwise) or parent.or_none
