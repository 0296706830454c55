"""Looks up parents that are not in the batch, by key, so that a child never names a merged record. Pure.

A merged record keeps its key, so a lookup that is bound by the key alone would name it. What a mapping says for a parent
that does not exist (an alternative, or no parent) is decided here too.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from connector.crm.dynamics.client.api import GUID
from connector.crm.dynamics.client.tables import Tables
from connector.crm.dynamics.write.bodies import Unwritable, own_id, target_of
from connector.crm.dynamics.write.dependencies import parents_by_column
from connector.crm.dynamics.write.lookups import LookUp, Wanted
from connector.crm.dynamics.write.writes import Write
from connector.model.operation import ID_FIELD, Fields, Parent, RecordWrite
from connector.model.outcome import Reason, Retry

ParentKey = tuple[Write, str, int]  # a write, its lookup column, and the place of the alternative


def parents_to_find(write: Write, tables: Tables) -> dict[ParentKey, Wanted]:
    """The parents of a write to look up: those that are not certain to be in the batch."""
    wanted: dict[ParentKey, Wanted] = {}
    for column, parent in parents_by_column(write.record_write):
        if column in write.parents:
            continue
        try:
            target = tables.get(target_of(write.table, column, parent))
        except Unwritable:
            continue  # building the body reports it
        if target is None or not (parent.otherwise or parent.or_none or target.mergeable):
            continue
        for place, alternative in enumerate(parent.ways):
            if alternative.key_field == ID_FIELD and not GUID.fullmatch(alternative.key):
                continue
            record_id = own_id(target, alternative.key_field, alternative.key)
            wanted[write, column, place] = Wanted(
                result_key=(write, column, place),
                table=target,
                column=target.id_column if record_id else alternative.key_field,
                value=record_id or alternative.key,
            )
    return wanted


def name_parents(write: Write, wanted: Mapping[ParentKey, Wanted], look_up: LookUp) -> RecordWrite | Retry:
    """The write with its parents named by id, or its outcome if a parent does not exist."""
    record_write = write.record_write
    parents: dict[str, Parent | None] = {}  # by lookup column; None: it is left out
    for column, parent in parents_by_column(record_write):
        keys = [(write, column, place) for place in range(len(parent.ways)) if (write, column, place) in wanted]
        if not keys:
            continue
        found = next((record for key in keys if (record := look_up.found.get(key))), None)
        if found is not None:
            parents[column] = Parent(ID_FIELD, found.record_id, object=parent.object)
        elif parent.or_none:
            parents[column] = None
        else:
            detail = f"no record has the key of {record_write.object}.{column}"
            return Retry(reason=Reason.PARENT_MISSING, detail=detail)
    return replace(
        record_write, set=_with_parents(record_write.set, parents), create=_with_parents(record_write.create, parents)
    )


def _with_parents(fields: Fields, parents: Mapping[str, Parent | None]) -> Fields:
    """The fields with these parents, without those that do not exist."""
    return {
        column: parents.get(column, value) or value
        for column, value in fields.items()
        if not (column in parents and parents[column] is None)
    }
