"""What a row of a feed means beside the shadow: nothing new, an echo of ours, or a change that a person made."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.model.event import Verdict
from connector.model.roles import ConsentFields, Shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a row differs from its shadow."""

    fields: tuple[str, ...] = ()  # that changed
    verdict: Verdict = Verdict.NONE
    number_changed: bool = False  # of a record that is opted out: a person must look, nothing is sent

    def __bool__(self) -> bool:
        return bool(self.fields)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are one to the CRM: numbers by value, blank text and null alike."""
    if isinstance(one, bool) or isinstance(other, bool):
        return bool(one) is bool(other) if _flaglike(one) and _flaglike(other) else False
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return Decimal(str(one)) == Decimal(str(other))
    return (one if one != "" else None) == (other if other != "" else None)


def _flaglike(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def compare(
    row: Mapping[str, Any],
    shadow: Shadow,
    *,
    fields: Collection[str],
    in_doubt: Mapping[str, Collection[Any]],
    consent: ConsentFields | None,
) -> Change:
    """Hold a row against its shadow.

    `fields` are those that the feed watches; `in_doubt` holds, for fields of this record, the values of writes of ours that are under
    way or may have been done: they are no change either. A field that the shadow has never held counts as blank before, so that
    a new record with the flag set is a change and one without is not.
    """
    before = shadow or {}
    changed = tuple(
        name
        for name in fields
        if not alike(row.get(name), before.get(name))
        and not any(alike(row.get(name), value) for value in in_doubt.get(name, ()))
    )
    if not changed or consent is None:
        return Change(fields=changed)
    out = is_out(row, consent)
    verdict = Verdict.NONE
    if consent.flag in changed:
        verdict = Verdict.OPT_OUT if out else Verdict.OPT_IN
    number_changed = consent.phone in changed and out and verdict is Verdict.NONE and shadow is not None
    return Change(fields=changed, verdict=verdict, number_changed=number_changed)


def is_out(fields: Mapping[str, Any], consent: ConsentFields) -> bool:
    """Whether the record's flag says: out."""
    value = fields.get(consent.flag)
    return value is not None and alike(value, consent.opted_out)
