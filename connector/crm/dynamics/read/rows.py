"""A record of an answer → a row of the feed. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.crm.dynamics.client.tables import TableInfo, shown_value
from connector.model.operation import ID_FIELD
from connector.ports import Row

STAMP, CHANGED_BY, MASTER = "modifiedon", "_modifiedby_value", "_masterid_value"
CHOICES = frozenset({"Picklist", "State", "Status"})


def columns_of(table: TableInfo, fields: Sequence[str]) -> list[str]:
    """The properties to select for a feed's fields, and those that every row needs."""
    merge = ("merged", MASTER) if table.mergeable else ()
    own = [table.property(name) for name in fields if name not in {ID_FIELD, table.id_column}]
    return list(dict.fromkeys((table.id_column, *own, STAMP, CHANGED_BY, *merge)))


def read_row(
    table: TableInfo, raw: Mapping[str, Any], fields: Sequence[str], *, at: datetime, own_user: str | None = None
) -> Row:
    """Parse a record, or a deletion: that has only an id, and no time, so it gets the time of the answer (`at`).

    Raises:
        ValueError: the id or the time is missing.
    """
    if raw.get("reason") == "deleted" and isinstance(raw.get("id"), str):
        return Row(record_id=raw["id"].lower(), stamp=at, fields=dict.fromkeys(fields), deleted=True)
    record_id, stamp = raw.get(table.id_column), raw.get(STAMP)
    if not isinstance(record_id, str) or not isinstance(stamp, str):
        raise ValueError("a record without its id or its modifiedon")  # noqa: TRY004 - the answer is wrong.
    master = raw.get(MASTER) if raw.get("merged") is True else None
    changed_by = raw.get(CHANGED_BY)
    known = isinstance(changed_by, str) and own_user is not None
    return Row(
        record_id=record_id.lower(),
        stamp=datetime.fromisoformat(stamp),
        fields={name: _value(table, raw, name) for name in fields},
        deleted=master is not None,
        merged_into=master if isinstance(master, str) else None,
        by_us=str(changed_by).lower() == own_user if known else None,
    )


def _value(table: TableInfo, raw: Mapping[str, Any], name: str) -> Any:
    if name == ID_FIELD:
        return raw.get(table.id_column)
    column = table.columns.get(name)
    value = raw.get(table.property(name))
    return shown_value(value) if column is not None and column.kind in CHOICES else value
