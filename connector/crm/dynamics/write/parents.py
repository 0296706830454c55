"""Looks up parents that are not in the batch, by key, so that a child never names a merged record. Pure.

A merged record keeps its key, so a lookup that is bound by the key alone would name it. What a mapping says for a parent
that does not exist (an alternative, or no parent) is decided here too.
"""

from collections.abc import Container, Mapping

from msgspec.structs import replace

from connector.crm.dynamics.client.api import GUID
from connector.crm.dynamics.client.tables import TableInfo, Tables
from connector.crm.dynamics.write.bodies import Unwritable, own_id, target_of
from connector.crm.dynamics.write.dependencies import relations
from connector.crm.dynamics.write.lookups import LookUp, Wanted
from connector.model.operation import ID_FIELD, Fields, Parent, RecordWrite
from connector.model.outcome import Reason, Retry

ParentKey = tuple[int, str, int]  # index of a write, its lookup column, and index of the alternative


def parents_to_find(
    index: int, write: RecordWrite, table: TableInfo, tables: Tables, batch_parents: Container[str]
) -> dict[ParentKey, Wanted]:
    """The parents of a write to look up; `batch_parents` are the columns whose parents are in the batch."""
    wanted: dict[ParentKey, Wanted] = {}
    for name, parent in relations(write):
        if name in batch_parents:
            continue
        try:
            target = tables.get(target_of(table, name, parent))
        except Unwritable:
            continue  # building the body reports it
        if target is None or not (parent.otherwise or parent.or_none or target.mergeable):
            continue
        for place, alternative in enumerate(parent.ways):
            if alternative.key_field == ID_FIELD and not GUID.fullmatch(alternative.key):
                continue
            record_id = own_id(target, alternative.key_field, alternative.key)
            column = target.id_column if record_id else alternative.key_field
            wanted[index, name, place] = Wanted(
                index=(index, name, place), table=target, column=column, value=record_id or alternative.key
            )
    return wanted


def name_parents(
    index: int, write: RecordWrite, wanted: Mapping[ParentKey, Wanted], look_up: LookUp
) -> RecordWrite | Retry:
    """The write with its parents named by id, or its outcome if a parent does not exist."""
    named: dict[str, Parent | None] = {}
    for name, parent in relations(write):
        places = [(index, name, place) for place in range(len(parent.ways)) if (index, name, place) in wanted]
        if not places:
            continue
        found = next((one for place in places if (one := look_up.found.get(place))), None)
        if found is not None:
            named[name] = Parent(ID_FIELD, found.record_id, object=parent.object)
        elif parent.or_none:
            named[name] = None
        else:
            detail = f"no record has the key of {write.object}.{name}"
            return Retry(reason=Reason.PARENT_MISSING, detail=detail)
    return replace(write, set=_with_parents(write.set, named), create=_with_parents(write.create, named))


def _with_parents(fields: Fields, named: Mapping[str, Parent | None]) -> Fields:
    """The fields with these parents, without those that do not exist."""
    return {
        name: named.get(name, value) or value
        for name, value in fields.items()
        if not (name in named and named[name] is None)
    }
