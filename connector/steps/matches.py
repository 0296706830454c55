"""Writes with a match: what the store remembers of the records that they may mean, and what it learns of those they meant."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connector.delivery.sending import Beside
from connector.mapping.compile import FeedPlan
from connector.model.operation import Operation, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected
from connector.model.remembered import Remembered
from connector.store.records import ShadowWrite
from connector.store.store import Store
from connector.store.units import Unlinked


def remembered_of(operations: Sequence[Operation], store: Store) -> Callable[[RecordWrite], Remembered]:
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


def of_household(beside: Beside, feeds: Mapping[str, Mapping[str, FeedPlan]]) -> list[ShadowWrite]:
    """The shadows of records that were given an opt-out beside the one it was for, so that it does not come back as a change."""
    write = beside.write
    watched = feeds.get(write.sink, {}).get(write.object)
    if watched is None:
        return []
    fields = {name: write.set[name] for name in write.consent if name in write.set and name in watched.fields}
    return [
        ShadowWrite(
            crm=write.sink, object=write.object, record_id=record_id, fields=fields, opted_out=True, written=True
        )
        for record_id in beside.record_ids
    ]


def forgotten(operation: Operation | None, outcome: Outcome) -> Unlinked | None:
    """What a match had better not remember: it was found to mean no record, or none that a machine can choose."""
    if not isinstance(operation, RecordWrite) or operation.match is None:
        return None
    nobody = isinstance(outcome, Delivered) and outcome.absent
    unclear = isinstance(outcome, Rejected) and outcome.reason in {Reason.NEEDS_PERSON, Reason.RECORD_DELETED}
    if not nobody and not unclear:
        return None
    return Unlinked(crm=operation.sink, object=operation.object, key_field=operation.key_field, key=operation.key)
