"""Finds the record that a merge kept, by the Ids of the merged records.

Source: Object Reference, "Contact" (MasterRecordId), "System Fields" (IsDeleted); REST API Developer Guide, "QueryAll".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.crm.salesforce.client.api import identifier, literal
from connector.crm.salesforce.client.record_ids import comparable, mergeable
from connector.crm.salesforce.client.responses import value_of
from connector.crm.salesforce.client.rest import RestClient
from connector.model.operation import ID_FIELD

IDS = 200  # per query
MAX_MERGES = 10  # of repeated merges that are followed
DELETED = "IsDeleted"
MASTER = "MasterRecordId"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecord:
    """A record that is not deleted."""

    record_id: str
    row: Mapping[str, Any]

    def value(self, field: str) -> Any:
        """The value of a field that was read."""
        return value_of(self.row, field)


def soql(object_name: str, columns: Iterable[str], where: str, values: Iterable[str]) -> str:
    """A query for records by the values of one field, with the columns that show deletion and merging."""
    wanted = [ID_FIELD, DELETED, *([MASTER] if mergeable(object_name) else ()), *columns]
    chosen = {name.casefold(): identifier(name) for name in wanted}
    listed = ",".join(literal(value) for value in values)
    return f"SELECT {','.join(chosen.values())} FROM {identifier(object_name)} WHERE {identifier(where)} IN ({listed})"  # noqa: S608 - SOQL; names are checked and texts quoted.


def is_deleted(row: Mapping[str, Any]) -> bool:
    """Whether the row is in the recycle bin."""
    return value_of(row, DELETED) is True


def master(row: Mapping[str, Any]) -> str | None:
    """The Id of the record that the row was merged into."""
    found = value_of(row, MASTER)
    return found if isinstance(found, str) and found else None


async def find_kept(
    rest: RestClient, object_name: str, record_ids: Iterable[str], columns: Iterable[str]
) -> dict[str, KeptRecord]:
    """The existing record for each of these Ids (comparable): the record itself or the one it was merged into; none if deleted.

    Raises RequestFailed.
    """
    columns = tuple(columns)
    names: dict[str, set[str]] = {one: {comparable(one)} for one in record_ids}  # Id to query now → Ids that lead to it
    found: dict[str, KeptRecord] = {}
    for _ in range(MAX_MERGES):
        if not names:
            break
        asked = list(names)
        queries = [
            soql(object_name, columns, ID_FIELD, asked[start : start + IDS]) for start in range(0, len(asked), IDS)
        ]
        answers = await rest.rows_of(queries)
        by_id = {comparable(one): origins for one, origins in names.items()}
        names = {}
        for row in (row for rows in answers for row in rows):
            record_id = str(row.get(ID_FIELD))
            origins = by_id.get(comparable(record_id), set())
            if not is_deleted(row):
                found |= {one: KeptRecord(record_id=record_id, row=row) for one in origins}
            elif (kept := master(row)) is not None:
                names.setdefault(kept, set()).update(origins)
    return found
