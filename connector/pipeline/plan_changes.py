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
    return sorted(found, key=lambda change: not change.consent)


def _of_records(before: Sequence[Operation], after: Sequence[Operation]) -> Iterable[Change]:
    old, new = _records(before), _records(after)
    for record in old.keys() & new.keys():
        yield from _of_record(old.pop(record), new.pop(record))
    # A record whose key differs is compared with the other record of its object, in the order of the plans.
    for label in dict.fromkeys(record.label for record in (*old.values(), *new.values())):
        old_records = [record for record in old.values() if record.label == label]
        new_records = [record for record in new.values() if record.label == label]
        for old_record, new_record in zip_longest(old_records, new_records):
            yield from _of_record(old_record, new_record)


def _records(operations: Sequence[Operation]) -> dict[tuple[str, ...], _Written]:
    found: dict[tuple[str, ...], _Written] = {}
    for operation in operations:
        if not isinstance(operation, RecordWrite):
            continue
        key = f"{operation.key_field} = {operation.key}"
        record = found.setdefault(
            (operation.sink, *operation.record), _Written(f"{operation.sink} {operation.object}", key, {})
        )
        for name, value in operation.create.items():
            record.fields[f"{name}{NEW_RECORD}"] = (value, operation.rule, False)
        for name, value in operation.set.items():
            record.fields[name] = (value, operation.rule, name in operation.consent)
        if not operation.create and not operation.set:
            record.fields.setdefault("", (None, operation.rule, False))
    return found


def _of_record(old: _Written | None, new: _Written | None) -> Iterable[Change]:
    label = (old or new or _Written("", "", {})).label
    if old is not None and new is not None and old.key != new.key:
        rule = next(iter(new.fields.values()))[1]
        yield Change(kind=Kind.CHANGED, rule=rule, what=f"{label}{KEY}", before=old.key, after=new.key)
    old_fields, new_fields = old.fields if old else {}, new.fields if new else {}
    for name in dict.fromkeys((*old_fields, *new_fields)):
        what = f"{label}.{name}" if name else label
        if name not in new_fields:
            value, rule, consent = old_fields[name]
            yield Change(kind=Kind.REMOVED, rule=rule, what=what, before=value, consent=consent)
        elif name not in old_fields:
            value, rule, consent = new_fields[name]
            yield Change(kind=Kind.ADDED, rule=rule, what=what, after=value, consent=consent)
        elif old_fields[name][0] != new_fields[name][0]:
            value, rule, consent = new_fields[name]
            yield Change(
                kind=Kind.CHANGED,
                rule=rule,
                what=what,
                before=old_fields[name][0],
                after=value,
                consent=consent or old_fields[name][2],
            )


def _of_commands(before: Sequence[Operation], after: Sequence[Operation]) -> Iterable[Change]:
    old = {_target(command): command for command in before if isinstance(command, ServiceCommand)}
    new = {_target(command): command for command in after if isinstance(command, ServiceCommand)}
    for target in dict.fromkeys((*old, *new)):
        old_command, new_command = old.get(target), new.get(target)
        if old_command is not None and new_command is not None:
            if old_command.price != new_command.price:
                what = f"{_describe(new_command)} price"
                yield Change(
                    kind=Kind.CHANGED,
                    rule=new_command.rule,
                    what=what,
                    before=old_command.price,
                    after=new_command.price,
                )
        elif new_command is not None:
            yield Change(
                kind=Kind.ADDED,
                rule=new_command.rule,
                what=_describe(new_command),
                after=_to(new_command),
                consent=new_command.action in ENDING,
            )
        elif old_command is not None:
            yield Change(
                kind=Kind.REMOVED,
                rule=old_command.rule,
                what=_describe(old_command),
                before=_to(old_command),
                consent=old_command.action in ENDING,
            )


def _target(command: ServiceCommand) -> tuple[str, ...]:
    return command.sink, command.action, command.phone.e164, command.short_number, command.keyword


def _describe(command: ServiceCommand) -> str:
    return f"{command.sink} {command.action}"


def _to(command: ServiceCommand) -> str:
    price = "" if command.price is None else f", price {command.price}"
    return f"{command.keyword} on {command.short_number} for {command.phone.e164}{price}"
