"""Computes what is left to do of an event's new plan when a part of its old plan was done already."""

from collections.abc import Sequence

from msgspec.structs import replace

from connector.model.operation import Fields, Operation, RecordWrite, Repeat, ServiceCommand, SinkCall, Value


def still_to_do(
    wanted: Sequence[Operation], done: Sequence[Operation], in_doubt: Sequence[Operation] = ()
) -> list[Operation]:
    """The operations of the new plan that were not done yet, and of records that were written the fields that differ.

    `in_doubt` may have been done. An operation that must never be repeated is left out if one of its kind was done, or
    may have been done.
    """
    never_again = any(one.repeat is Repeat.NEVER for one in (*done, *in_doubt))
    commands = {_command(one) for one in done if isinstance(one, ServiceCommand)}
    calls = {one.record for one in done if isinstance(one, SinkCall)}
    written, final = _values(done), _values(wanted)
    # Records that were created for the consent fields alone: the fields for a new record are written to them now.
    made = {one.record for one in done if isinstance(one, RecordWrite) and one.consent_only and one.create}
    left: list[Operation] = []
    for one in wanted:
        if one.repeat is Repeat.NEVER and never_again:
            continue
        if isinstance(one, ServiceCommand):
            left += [] if _command(one) in commands else [one]
        elif isinstance(one, SinkCall):
            left += [] if one.record in calls else [one]
        elif (before := written.get(one.record)) is None:
            left.append(one)
        elif (rest := _differing(one, before, final[one.record], made=one.record in made)) is not None:
            left.append(rest)
    return left


def _values(operations: Sequence[Operation]) -> dict[tuple[str, str, str], dict[str, Value]]:
    """The values that the writes leave in each record's fields: of several the last.

    A write of the consent fields alone that was done holds in `create` what it wrote to a record that it created.
    """
    values: dict[tuple[str, str, str], dict[str, Value]] = {}
    for one in operations:
        if isinstance(one, RecordWrite):
            values.setdefault(one.record, {}).update({**(one.create if one.consent_only else {}), **one.set})
    return values


def _differing(write: RecordWrite, before: Fields, final: Fields, *, made: bool) -> RecordWrite | None:
    """The write with only the fields whose final values differ from those that were written; None if there are none."""
    fields = {name: value for name, value in write.set.items() if name not in before or before[name] != final[name]}
    if made:
        fields = {name: value for name, value in write.create.items() if name not in before} | fields
    if not fields:
        return None
    consent = tuple(name for name in write.consent if name in fields)
    clears_flag = write.clears_flag and write.consent[:1] == consent[:1]
    return replace(write, set=fields, create={} if made else write.create, consent=consent, clears_flag=clears_flag)


def _command(one: ServiceCommand) -> tuple[str, str, str, str, float | None]:
    return one.action, one.phone.e164, one.short_number, one.keyword, one.price
