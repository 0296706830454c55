"""Finds the parents of writes among the other writes of a batch. Pure: uses only the batch itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from connector.model.operation import ID_FIELD, Fields, Parent, RecordWrite

LEVELS = 10  # of parents and children: mappings have far fewer; a cycle of parents ends here


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """For each write, by position in the batch: writes it must wait for, parents whose failure it shares, and its stage."""

    wait_for: Mapping[int, Sequence[int]]
    parents: Mapping[int, Sequence[int]]  # those of `wait_for` that are certain
    stages: Mapping[int, int]  # 0: no parent in the batch
    fields: Mapping[int, Mapping[str, int]] = field(default_factory=dict)  # the relationship to each of `parents`
    children: Collection[int] = ()  # the writes that have a parent, in the batch or not


def relations(write: RecordWrite) -> list[tuple[str, Parent]]:
    """The lookup columns of a write that name a parent."""
    found = [(name, value) for name, value in write.set.items() if type(value) is Parent]
    if write.create:
        found += [(name, value) for name, value in write.create.items() if type(value) is Parent]
    return found


def find_dependencies(
    writes: Mapping[int, RecordWrite], related: Mapping[int, Sequence[tuple[str, Parent]]]
) -> Dependencies:
    """Find the parents of each write among the others. `related` are the relations of those that have any."""
    indexes_by_key: dict[tuple[str, str], list[int]] = {}
    for index, write in writes.items():
        indexes_by_key.setdefault((write.key_field.casefold(), write.key.lower()), []).append(index)
    wait_for: dict[int, Sequence[int]] = dict.fromkeys(writes, ())
    parents: dict[int, Sequence[int]] = dict.fromkeys(writes, ())
    fields: dict[int, Mapping[str, int]] = {}
    for index, named in related.items():
        groups = {
            name: [one for one in _possible_parents(parent, writes, indexes_by_key) if one != index]
            for name, parent in named
        }
        wait_for[index] = [one for group in groups.values() for one in group]
        certain = {name: group[0] for name, group in groups.items() if len(group) == 1}
        parents[index] = list(certain.values())
        if certain:
            fields[index] = certain
    return Dependencies(wait_for=wait_for, parents=parents, stages=_stages(wait_for), fields=fields, children=related)


def with_parents(write: RecordWrite, fields: Mapping[str, int], record_ids: Mapping[int, str]) -> RecordWrite:
    """The write, with its parents named by id if their ids are known."""

    def named(values: Fields) -> Fields:
        return {
            name: Parent(ID_FIELD, record_ids[fields[name]], object=value.object)
            if isinstance(value, Parent) and fields.get(name) in record_ids
            else value
            for name, value in values.items()
        }

    if record_ids.keys().isdisjoint(fields.values()):
        return write
    return replace(write, set=named(write.set), create=named(write.create))


def _possible_parents(
    parent: Parent,
    writes: Mapping[int, RecordWrite],
    indexes_by_key: Mapping[tuple[str, str], Sequence[int]],
) -> Sequence[int]:
    """The writes that may be for the record to which a relationship points."""
    found = indexes_by_key.get((parent.key_field.casefold(), parent.key.lower()), ())
    if parent.object is None:
        return found
    return [one for one in found if writes[one].object == parent.object]


def _stages(wait_for: Mapping[int, Sequence[int]]) -> dict[int, int]:
    stages = dict.fromkeys(wait_for, 0)
    children = [index for index, parents in wait_for.items() if parents]
    for _ in range(LEVELS):
        changed_any = False
        for child in children:
            stage = 1 + max(stages[parent] for parent in wait_for[child])
            if stage > stages[child]:
                stages[child] = stage
                changed_any = True
        if not changed_any:
            break
    return stages
