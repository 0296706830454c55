"""Parents that are not in the batch: found by their keys before the child is written, so that a merged one is not named. Pure.

A merged record keeps its key, so a lookup that is bound by the key alone would name it. What a mapping says for a parent
that does not exist (another way to name it, or leaving it out) is decided here too.
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

Place = tuple[int, str, int]  # a write, its lookup column, and which of the ways to name the parent


def parents_to_find(
    index: int, write: RecordWrite, table: TableInfo, tables: Tables, inside: Container[str]
) -> dict[Place, Wanted]:
    """The parents of a write to look up; `inside` are the columns whose parents are in the batch."""
    wanted: dict[Place, Wanted] = {}
    for name, parent in relations(write):
        if name in inside:
            continue
        try:
            target = tables.get(target_of(table, name, parent))
        except Unwritable:
            continue  # the body of the write says so
        if target is None or not (parent.otherwise or parent.or_none or target.mergeable):
            continue
        for place, way in enumerate(parent.ways):
            if way.key_field == ID_FIELD and not GUID.fullmatch(way.key):
                continue
            record_id = own_id(target, way.key_field, way.key)
            column = target.id_column if record_id else way.key_field
            wanted[index, name, place] = Wanted(
                index=(index, name, place), table=target, column=column, value=record_id or way.key
            )
    return wanted


def name_parents(
    index: int, write: RecordWrite, wanted: Mapping[Place, Wanted], look_up: LookUp
) -> RecordWrite | Retry:
    """The write with the parents that were found, by id; or its outcome if one does not exist."""
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
    return replace(write, set=_renamed(write.set, named), create=_renamed(write.create, named))


def _renamed(fields: Fields, named: Mapping[str, Parent | None]) -> Fields:
    """The fields with these parents; one that does not exist is left out."""
    return {
        name: named.get(name, value) or value
        for name, value in fields.items()
        if not (name in named and named[name] is None)
    }
