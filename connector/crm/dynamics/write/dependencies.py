"""Finds the parents of writes among the other writes of a batch. Pure: uses only the batch itself."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from connector.crm.dynamics.write.writes import Write
from connector.model.operation import ID_FIELD, Fields, Parent, RecordWrite

LEVELS = 10  # of parents and children: mappings have far fewer; a cycle of parents ends here


def parents_by_column(record_write: RecordWrite) -> list[tuple[str, Parent]]:
    """The lookup columns of a write that name a parent, with that parent."""
    found = [(name, value) for name, value in record_write.set.items() if type(value) is Parent]
    if record_write.create:
        found += [(name, value) for name, value in record_write.create.items() if type(value) is Parent]
    return found


def find_dependencies(writes: Sequence[Write]) -> None:
    """Find the parents of each write among the others, and its stage."""
    writes_by_key: dict[tuple[str, str], list[Write]] = {}
    for write in writes:
        key = (write.original.key_field.casefold(), write.original.key.lower())
        writes_by_key.setdefault(key, []).append(write)
    for write in writes:
        parents = parents_by_column(write.original)
        if parents:
            groups = {
                column: [other for other in _possible_parents(parent, writes_by_key) if other is not write]
                for column, parent in parents
            }
            write.is_child = True
            write.wait_for = [other for group in groups.values() for other in group]
            write.parents = {column: group[0] for column, group in groups.items() if len(group) == 1}
    _find_stages([write for write in writes if write.wait_for])


def with_parent_ids(record_write: RecordWrite, record_ids: Mapping[str, str]) -> RecordWrite:
    """The write with the parents in these lookup columns named by their ids."""

    def changed(values: Fields) -> Fields:
        return {
            column: Parent(ID_FIELD, record_ids[column], object=value.object)
            if isinstance(value, Parent) and column in record_ids
            else value
            for column, value in values.items()
        }

    if not record_ids:
        return record_write
    return replace(record_write, set=changed(record_write.set), create=changed(record_write.create))


def _possible_parents(parent: Parent, writes_by_key: Mapping[tuple[str, str], Sequence[Write]]) -> Sequence[Write]:
    """The writes that may be for the record to which a lookup points."""
    same_key = writes_by_key.get((parent.key_field.casefold(), parent.key.lower()), ())
    if parent.object is None:
        return same_key
    return [write for write in same_key if write.original.object == parent.object]


def _find_stages(children: Sequence[Write]) -> None:
    for _ in range(LEVELS):
        changed_any = False
        for child in children:
            stage = 1 + max(parent.stage for parent in child.wait_for)
            if stage > child.stage:
                child.stage = stage
                changed_any = True
        if not changed_any:
            break
