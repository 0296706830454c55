"""Claimed units → the operations that are still sent: consent is asked again, and what is known of their records is looked up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from connector.consent.guard import as_sendable
from connector.model.crm_traits import CrmTraits
from connector.model.operation import ID_FIELD, Operation, RecordWrite
from connector.model.outcome import Delivered
from connector.model.remembered import Remembered
from connector.ports import Shadow
from connector.store.store import Store
from connector.store.units import Unit

SUPERSEDED = Delivered(detail="superseded by what came after it")


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """One operation of a claimed unit as it may go out; None where nothing is left of it."""

    unit: int  # place in the claim
    index: int  # place in the unit
    operation: Operation | None


def pending_writes(units: Sequence[Unit], store: Store, traits: CrmTraits) -> list[PendingWrite]:
    """Ask consent again before anything goes out: the world has gone on since the plan was made.

    A plan of an earlier version may name a record by another form of its id than the full one.
    """
    people = sorted({unit.lane for unit in units if unit.lane.startswith("+")})
    ledgers = store.consents.of_many(people)
    return [
        PendingWrite(
            place,
            index,
            as_sendable(
                _by_full_id(operation, traits),
                event_id=unit.event_id,
                overtaken=unit.overtaken_by is not None,
                newer=[
                    (one.object, one.key_field, _full_key(one.key_field, one.key, traits), one.field)
                    for one in unit.newer
                ],
                ledger=ledgers.get(unit.lane, ()),
            ),
        )
        for place, unit in enumerate(units)
        for index, operation in zip(unit.indexes, unit.operations, strict=True)
    ]


def _by_full_id(operation: Operation, traits: CrmTraits) -> Operation:
    if not isinstance(operation, RecordWrite) or operation.key_field != ID_FIELD:
        return operation
    key = traits.full_id(operation.key)
    return operation if key == operation.key else replace(operation, key=key)


def _full_key(key_field: str, key: str, traits: CrmTraits) -> str:
    return traits.full_id(key) if key_field == ID_FIELD else key


def known_shadow(operations: Sequence[Operation], store: Store) -> Callable[[RecordWrite], Shadow]:
    """The shadows of the records whose flag is to be cleared."""
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for one in operations:
        if isinstance(one, RecordWrite) and one.clears_flag:
            wanted.setdefault((one.sink, one.object, one.key_field), []).append(one.key)
    known = {group: store.records.shadows_by_key(*group, keys) for group, keys in wanted.items()}
    return lambda one: known.get((one.sink, one.object, one.key_field), {}).get(one.key)


def known_id(operations: Sequence[Operation], store: Store) -> Callable[[RecordWrite], str | None]:
    """The records that are known to exist, of those that are written otherwise when they are new."""
    wanted: dict[tuple[str, str, str], set[str]] = {}
    for one in operations:
        if isinstance(one, RecordWrite) and one.match is None and (one.create or one.clears_flag):
            wanted.setdefault((one.sink, one.object, one.key_field), set()).add(one.key)
    known = {group: store.records.record_ids(*group, list(keys)) for group, keys in wanted.items()}
    return lambda one: known.get((one.sink, one.object, one.key_field), {}).get(one.key)


def merged_id(operations: Sequence[Operation], store: Store) -> Callable[[RecordWrite], str | None]:
    """The records that the keys of writes named until they were merged into others."""
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for one in operations:
        if isinstance(one, RecordWrite) and one.key_field != ID_FIELD:
            wanted.setdefault((one.sink, one.object, one.key_field), []).append(one.key)
    moved = {group: found for group, keys in wanted.items() if (found := store.records.moved(*group, keys))}
    return lambda one: moved.get((one.sink, one.object, one.key_field), {}).get(one.key)


def remembered_match(operations: Sequence[Operation], store: Store) -> Callable[[RecordWrite], Remembered]:
    """For each write with a match the record that it meant before, and the opted-out ones with its number."""
    keys: dict[tuple[str, str, str], list[str]] = {}
    numbers: dict[tuple[str, str], list[str]] = {}
    for one in operations:
        if isinstance(one, RecordWrite) and one.match is not None:
            keys.setdefault((one.sink, one.object, one.key_field), []).append(one.key)
            if one.clears_flag:
                numbers.setdefault((one.sink, one.object), []).append(one.match.phone.e164)
    links = {group: store.records.record_ids(*group, several) for group, several in keys.items()}
    shadows: Mapping[tuple[str, str], Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        group: store.records.opted_out_by_phone(*group, several) for group, several in numbers.items()
    }

    def remembered(write: RecordWrite) -> Remembered:
        number = write.match.phone.e164 if write.match else ""
        return Remembered(
            record_id=links.get((write.sink, write.object, write.key_field), {}).get(write.key),
            shadows=shadows.get((write.sink, write.object), {}).get(number, {}),
        )

    return remembered
