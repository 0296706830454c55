"""Finds the parents of writes among the other writes of a batch. Pure: uses only the batch itself."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from msgspec.structs import replace

from connector.crm.salesforce.write.writes import Write
from connector.model.operation import ID_FIELD, Fields, Parent, RecordWrite

LEVELS = 10  # of parents and children: mappings have far fewer; a cycle of parents ends here


def find_dependencies(writes: Sequence[Write]) -> None:
    """Find the parents of each write among the others, and its stage."""
    writes_by_key: dict[tuple[str, str], list[Write]] = {}
    for write in writes:
        writes_by_key.setdefault((write.original.key_field.casefold(), write.original.key.lower()), []).append(write)
    for write in writes:
        relations = _relations(write.original)
        if relations:
            groups = {
                name: [other for other in _possible_parents(name, parent, writes_by_key) if other is not write]
                for name, parent in relations
            }
            write.wait_for = [other for group in groups.values() for other in group]
            write.parents = {name: group[0] for name, group in groups.items() if len(group) == 1}
    _find_stages([write for write in writes if write.wait_for])


def with_parents(write: Write, record_ids: Mapping[Write, str]) -> RecordWrite:
    """The write, with its parents named by Id if their Ids are known."""
    named = {name: record_ids[parent] for name, parent in write.parents.items() if parent in record_ids}

    def changed(values: Fields) -> Fields:
        return {
            name: Parent(ID_FIELD, named[name]) if isinstance(value, Parent) and name in named else value
            for name, value in values.items()
        }

    if not named:
        return write.record_write
    return replace(write.record_write, set=changed(write.record_write.set), create=changed(write.record_write.create))


def _relations(record_write: RecordWrite) -> list[tuple[str, Parent]]:
    return [
        (name, value)
        for values in (record_write.set, record_write.create)
        for name, value in values.items()
        if type(value) is Parent
    ]


def _possible_parents(
    name: str, parent: Parent, writes_by_key: Mapping[tuple[str, str], Sequence[Write]]
) -> Sequence[Write]:
    """The writes that may be for the record to which a relationship points."""
    found = writes_by_key.get((parent.key_field.casefold(), parent.key.lower()), ())
    # A relationship names the object only if it can have several types; most others have the object's name.
    hint = _base(parent.object or name)
    named = [write for write in found if _base(write.original.object) == hint]
    if parent.object is not None:
        return named
    return named or found


@lru_cache(maxsize=1024)
def _base(name: str) -> str:
    return name.casefold().removesuffix("__c").removesuffix("__r")


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
