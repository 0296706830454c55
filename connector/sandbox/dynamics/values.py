"""Values of a body, checked against the columns of a table."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from connector.sandbox.dynamics.errors import (
    no_option,
    out_of_range,
    required,
    too_long,
    unknown_navigation,
    unknown_property,
    wrong_type,
)
from connector.sandbox.dynamics.odata import GUID
from connector.sandbox.dynamics.storage import Row, moment
from connector.sandbox.dynamics.tables import CHOICES, LOOKUPS, NUMBERS, TEXTS, Column, Relationship, Table

BIND = "@odata.bind"
DAY = re.compile(r"\d{4}-\d\d-\d\d")
Resolve = Callable[[Relationship, str], str]  # an `@odata.bind` value → the id of the record


def read_values(table: Table, body: Mapping[str, Any], resolve: Resolve, *, new: bool) -> Row:
    """The values to store. Raises RefusedError."""
    values: Row = {}
    for name, value in body.items():
        if name.endswith(BIND):
            relationship = table.navigation(name.removesuffix(BIND))
            if relationship is None:
                raise unknown_navigation(name.removesuffix(BIND))
            values[table.columns[relationship.column].stored_as] = resolve(relationship, str(value))
        elif "@" in name:
            continue
        elif value is None and (relationship := table.navigation(name)) is not None:
            values[table.columns[relationship.column].stored_as] = None
        else:
            column = table.columns.get(name)
            if column is None or column.kind in LOOKUPS:
                raise unknown_property(name, table.name)
            if not (column.on_create if new else column.on_update):
                continue  # the API drops what may not be written
            values[name] = _checked(table, column, value)
    for column in table.required if new else ():
        if values.get(column.stored_as) is None:
            raise required(column.name, table.name)
    return values


def _checked(table: Table, column: Column, value: Any) -> Any:
    if value is None:
        if column.required == "SystemRequired":
            raise required(column.name, table.name)
        return None
    if column.kind in TEXTS:
        return _text(table, column, value)
    if column.kind in NUMBERS:
        return _number(column, value)
    if column.kind in CHOICES:
        return _option(table, column, value)
    if column.kind == "Boolean":
        if not isinstance(value, bool):
            raise wrong_type(column.name, value, "Edm.Boolean")
        return value
    return _guid(column, value) if column.kind == "Uniqueidentifier" else _time(column, value)


def _option(table: Table, column: Column, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(column.name, value, "Edm.Int32")
    if value not in column.options:
        raise no_option(column.name, table.name, value, ",".join(map(str, column.options)))
    return value


def _guid(column: Column, value: Any) -> str:
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise wrong_type(column.name, value, "Edm.Guid")
    return value.lower()


def _text(table: Table, column: Column, value: Any) -> str | None:
    if not isinstance(value, str):
        raise wrong_type(column.name, value, "Edm.String")
    if 2 * len(value) > column.length and len(value.encode("utf-16-le")) // 2 > column.length:
        raise too_long(column.name, table.name, column.length)
    return value or None  # an empty text is stored as null


def _number(column: Column, value: Any) -> int | float:
    whole = column.kind in {"Integer", "BigInt"}
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise wrong_type(column.name, value, "Edm.Int32" if whole else "Edm.Decimal")
    if (column.least is not None and value < column.least) or (column.most is not None and value > column.most):
        raise out_of_range(column.name, whole=whole)
    return value if whole else round(float(value), column.precision)


def _time(column: Column, value: Any) -> str:
    day = column.format == "DateOnly"
    if isinstance(value, str):
        try:
            if day and DAY.fullmatch(value):
                return str(datetime.fromisoformat(value).date())
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise wrong_type(column.name, value, "Edm.Date" if day else "Edm.DateTimeOffset") from None
        if day:
            raise wrong_type(column.name, value, "Edm.Date")
        return moment((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    raise wrong_type(column.name, value, "Edm.Date" if day else "Edm.DateTimeOffset")
