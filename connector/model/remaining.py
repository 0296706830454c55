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
    never_again = any(operation.repeat is Repeat.NEVER for operation in (*done, *in_doubt))
    commands = {_command(operation) for operation in done if isinstance(operation, ServiceCommand)}
    calls = {operation.record for operation in done if isinstance(operation, SinkCall)}
    written, final = _values(done), _values(wanted)
    # Records that were created for the consent fields alone: the fields for a new record are written to them now.
    created = {
        operation.record
        for operation in done
        if isinstance(operation, RecordWrite) and operation.consent_only and operation.create
    }
    left: list[Operation] = []
    for operation in wanted:
        if operation.repeat is Repeat.NEVER and never_again:
            continue
        if isinstance(operation, ServiceCommand):
            left += [] if _command(operation) in commands else [operation]
        elif isinstance(operation, SinkCall):
            left += [] if operation.record in calls else [operation]
        elif (before := written.get(operation.record)) is None:
            left.append(operation)
        elif (
            rest := _differing(operation, before, final[operation.record], created=operation.record in created)
        ) is not None:
            left.append(rest)
    return left


def _values(operations: Sequence[Operation]) -> dict[tuple[str, str, str], dict[str, Value]]:
    """The values that the writes leave in each record's fields: of several the last.

    A write of the consent fields alone that was done holds in `create` what it wrote to a record that it created.
    """
    values: dict[tuple[str, str, str], dict[str, Value]] = {}
    for operation in operations:
        if isinstance(operation, RecordWrite):
            values.setdefault(operation.record, {}).update(
                {**(operation.create if operation.consent_only else {}), **operation.set}
            )
    return values


def _differing(write: RecordWrite, before: Fields, final: Fields, *, created: bool) -> RecordWrite | None:
    """The write with only the fields whose final values differ from those that were written; None if there are none."""
    fields = {name: value for name, value in write.set.items() if name not in before or before[name] != final[name]}
    if created:
        fields = {name: value for name, value in write.create.items() if name not in before} | fields
    if not fields:
        return None
    consent = tuple(name for name in write.consent if name in fields)
    clears_flag = write.clears_flag and write.consent[:1] == consent[:1]
    return replace(write, set=fields, create={} if created else write.create, consent=consent, clears_flag=clears_flag)


def _command(command: ServiceCommand) -> tuple[str, str, str, str, float | None]:
    return command.action, command.phone.e164, command.short_number, command.keyword, command.price
