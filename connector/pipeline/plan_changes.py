"""Pure: compares two plans of one event field by field, and names the rule of each difference."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import zip_longest

from msgspec import Struct

from connector.model.operation import ENDING, Operation, RecordWrite, ServiceCommand, Value

NEW_RECORD = " (only for a new record)"
KEY = " (key)"


class Kind(StrEnum):
    """What the other plan does with the value."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Change(Struct, frozen=True, kw_only=True):
    """One difference. The values are those of the event, and not masked."""

    kind: Kind
    rule: str  # file: rule; of the plan that writes it, else of the other one
    what: str  # `crm Contact.LastName`, `provider unsubscribe`
    before: Value | str = None
    after: Value | str = None
    consent: bool = False  # it concerns a field that carries consent, or a command that ends a subscription


class _Written(Struct):
    """The values that all writes of one record leave in it."""

    label: str
    key: str
    fields: dict[str, tuple[Value, str, bool]]  # name → value, rule, whether it carries consent


def compare(before: Sequence[Operation], after: Sequence[Operation]) -> list[Change]:
    """The differences; those that concern consent come first."""
    found = [*_of_records(before, after), *_of_commands(before, after)]
    return sorted(found, key=lambda one: not one.consent)


def _of_records(before: Sequence[Operation], after: Sequence[Operation]) -> Iterable[Change]:
    old, new = _records(before), _records(after)
    for record in old.keys() & new.keys():
        yield from _of_record(old.pop(record), new.pop(record))
    # A record whose key differs is compared with the other record of its object, in the order of the plans.
    for label in dict.fromkeys(one.label for one in (*old.values(), *new.values())):
        mine = [one for one in old.values() if one.label == label]
        theirs = [one for one in new.values() if one.label == label]
        for one, other in zip_longest(mine, theirs):
            yield from _of_record(one, other)


def _records(operations: Sequence[Operation]) -> dict[tuple[str, ...], _Written]:
    found: dict[tuple[str, ...], _Written] = {}
    for one in operations:
        if not isinstance(one, RecordWrite):
            continue
        key = f"{one.key_field} = {one.key}"
        record = found.setdefault((one.sink, *one.record), _Written(f"{one.sink} {one.object}", key, {}))
        for name, value in one.create.items():
            record.fields[f"{name}{NEW_RECORD}"] = (value, one.rule, False)
        for name, value in one.set.items():
            record.fields[name] = (value, one.rule, name in one.consent)
        if not one.create and not one.set:
            record.fields.setdefault("", (None, one.rule, False))
    return found


def _of_record(old: _Written | None, new: _Written | None) -> Iterable[Change]:
    label = (old or new or _Written("", "", {})).label
    if old is not None and new is not None and old.key != new.key:
        rule = next(iter(new.fields.values()))[1]
        yield Change(kind=Kind.CHANGED, rule=rule, what=f"{label}{KEY}", before=old.key, after=new.key)
    mine, theirs = old.fields if old else {}, new.fields if new else {}
    for name in dict.fromkeys((*mine, *theirs)):
        what = f"{label}.{name}" if name else label
        if name not in theirs:
            value, rule, consent = mine[name]
            yield Change(kind=Kind.REMOVED, rule=rule, what=what, before=value, consent=consent)
        elif name not in mine:
            value, rule, consent = theirs[name]
            yield Change(kind=Kind.ADDED, rule=rule, what=what, after=value, consent=consent)
        elif mine[name][0] != theirs[name][0]:
            value, rule, consent = theirs[name]
            yield Change(
                kind=Kind.CHANGED,
                rule=rule,
                what=what,
                before=mine[name][0],
                after=value,
                consent=consent or mine[name][2],
            )


def _of_commands(before: Sequence[Operation], after: Sequence[Operation]) -> Iterable[Change]:
    old = {_target(one): one for one in before if isinstance(one, ServiceCommand)}
    new = {_target(one): one for one in after if isinstance(one, ServiceCommand)}
    for target in dict.fromkeys((*old, *new)):
        mine, theirs = old.get(target), new.get(target)
        if mine is not None and theirs is not None:
            if mine.price != theirs.price:
                what = f"{_describe(theirs)} price"
                yield Change(kind=Kind.CHANGED, rule=theirs.rule, what=what, before=mine.price, after=theirs.price)
        elif theirs is not None:
            yield Change(
                kind=Kind.ADDED,
                rule=theirs.rule,
                what=_describe(theirs),
                after=_to(theirs),
                consent=theirs.action in ENDING,
            )
        elif mine is not None:
            yield Change(
                kind=Kind.REMOVED, rule=mine.rule, what=_describe(mine), before=_to(mine), consent=mine.action in ENDING
            )


def _target(one: ServiceCommand) -> tuple[str, ...]:
    return one.sink, one.action, one.phone.e164, one.short_number, one.keyword


def _describe(one: ServiceCommand) -> str:
    return f"{one.sink} {one.action}"


def _to(one: ServiceCommand) -> str:
    price = "" if one.price is None else f", price {one.price}"
    return f"{one.keyword} on {one.short_number} for {one.phone.e164}{price}"
