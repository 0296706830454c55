"""A write's fields → the body of its operation, and a record's address. Pure.

Sources: "Create a table row using the Web API" (`@odata.bind`), "Update and delete table rows" (a lookup is emptied by
its navigation property), "Use an alternate key to reference a record".
"""

import uuid
from collections.abc import Mapping
from typing import Any

from connector.crm.dynamics.client.api import GUID, BadKey, by_id, by_key
from connector.crm.dynamics.client.tables import LOOKUPS, TableInfo, Tables
from connector.mapping.values.values import text
from connector.model.operation import ID_FIELD, Fields, Parent
from connector.model.outcome import Reason, Rejected

NAMESPACE = uuid.UUID("0b5d7c0e-9a7c-5f0e-8a53-5b1a3f3d6c11")  # of ids that are derived from a key
TEXTS = frozenset({"String", "Memo", "Uniqueidentifier", "DateTime"})
WHOLE = frozenset({"Integer", "BigInt", "Picklist", "State", "Status"})
NUMBERS = frozenset({"Decimal", "Double", "Money"})


class Unwritable(ValueError):  # noqa: N818 - named after the state that it reports.
    """A write cannot be sent; `outcome` says why."""

    def __init__(self, outcome: Rejected) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


def own_id(table: TableInfo, key_field: str, key: str) -> str | None:
    """The record's id if the key is an id or is written to the id column; None for an alternate key.

    A key of the sender in the id column always becomes the same id, so that no alternate key is needed and a repeat is
    recognised.
    """
    if key_field == ID_FIELD or (key_field == table.id_column and GUID.fullmatch(key)):
        return key.strip("{}").lower()
    if key_field == table.id_column:
        return str(uuid.uuid5(NAMESPACE, f"{table.name}:{key}"))
    return None


def address(table: TableInfo, key_field: str, key: str) -> str:
    """The address of a record. Raises Unwritable."""
    record_id = own_id(table, key_field, key)
    if record_id is not None:
        return f"{table.set_name}{by_id(record_id)}"
    try:
        return f"{table.set_name}{by_key(key_field, key)}"
    except BadKey as error:
        raise Unwritable(Rejected(reason=Reason.BAD_VALUE, detail=str(error), field=key_field)) from None


def body(tables: Tables, table: TableInfo, fields: Fields) -> dict[str, Any]:
    """The body of an operation. Raises Unwritable."""
    values: dict[str, Any] = {}
    for name, value in fields.items():
        column = table.columns.get(name)
        if column is None:
            raise Unwritable(missing_column(table, name))
        kind = column.kind
        if type(value) is str and kind in TEXTS:
            values[name] = value
        elif kind in LOOKUPS:
            values.update(_lookup(tables, table, name, value))
        else:
            values[name] = to_json_type(kind, value)
    return values


def missing_column(table: TableInfo, name: str) -> Rejected:
    """The outcome of a write to a column that the table does not have."""
    own = name.casefold()
    meant = own if own in table.columns else next((one for one, nav in _navigations(table) if nav == name), "")
    hint = f": write {meant}" if meant else ": create the column, or correct the mapping"
    return Rejected(reason=Reason.CONFIGURATION, detail=f"{table.name} has no column {name}{hint}", field=name)


def _navigations(table: TableInfo) -> list[tuple[str, str]]:
    return [(column, name) for column, targets in table.lookups.items() for name in targets.values()]


def target_of(table: TableInfo, name: str, parent: Parent) -> str:
    """The table that a lookup is to point to. Raises Unwritable."""
    targets = table.lookups.get(name, {})
    wanted = parent.object.casefold() if parent.object else None
    if wanted is None and len(targets) == 1:
        return next(iter(targets))
    if wanted in targets:
        return str(wanted)
    listed = ", ".join(sorted(targets)) or "nothing"
    detail = f"{table.name}.{name} points to {listed}: name one of them with type:"
    raise Unwritable(Rejected(reason=Reason.CONFIGURATION, detail=detail, field=name))


def _lookup(tables: Tables, table: TableInfo, name: str, value: object) -> Mapping[str, Any]:
    """A lookup column: its navigation property with the address of the record."""
    if value is None:
        return dict.fromkeys(table.lookups.get(name, {}).values())
    parent = value if isinstance(value, Parent) else Parent(ID_FIELD, str(value))
    target = target_of(table, name, parent)
    known = tables.get(target)
    if known is None or (parent.key_field == ID_FIELD and not GUID.fullmatch(parent.key)):
        detail = f"{table.name}.{name}: a lookup needs the id of a {target}, or its key"
        raise Unwritable(Rejected(reason=Reason.BAD_VALUE, detail=detail, field=name))
    bound = address(known, parent.key_field, parent.key)
    return {f"{table.lookups[name][target]}@odata.bind": bound}


def to_json_type(kind: str, value: object) -> object:
    """A value in the JSON type of a column of this kind. A value that does not fit is sent unchanged, and refused."""
    if value is None or isinstance(value, Parent):
        return value
    if kind in TEXTS:
        return value if isinstance(value, str) else text(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    if kind == "Boolean":
        return {"true": True, "false": False, "1": True, "0": False}.get(str(value).casefold(), value)
    try:
        if kind in WHOLE:
            return int(value) if float(value) == int(float(value)) else value
        return float(value) if kind in NUMBERS and isinstance(value, str) else value
    except ValueError:
        return value
