"""Values in a mapping: when one is missing, how it reads as text or number, and what a CRM is sent. Knows no paths.

None always means missing: absent, null and blank are the same to a mapping.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from connector.model.amount import read_number
from connector.model.operation import Scalar
from connector.model.phone import Phone
from connector.model.text_folding import fold as fold  # noqa: PLC0414 - it is looked for here.

LARGEST_INTEGER = 2**63  # JSON readers differ from here on; such a number is sent as text
ALWAYS_PRESENT = frozenset({bool, int, Decimal, date, datetime})
WRITTEN_OUT = 30  # the most digits of a decimal number that are written without an exponent


def present(value: Any) -> Any:
    """The value, or None if it counts as missing: null, blank, empty, or no number at all (NaN)."""
    kind = value.__class__
    if kind is str:
        return value if value and not value.isspace() else None
    if kind in ALWAYS_PRESENT:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is list or kind is dict or kind is tuple:
        return value or None
    if kind is Phone:
        return value.e164
    if isinstance(value, Enum):
        return present(value.value)
    return value


def text(value: Any) -> str:
    """The value as text: `true`, `2002`, `12.5`, an ISO time in UTC; a list is joined by commas."""
    write = TEXTS.get(value.__class__)
    if write is not None:
        return write(value)
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, default=text)
    if isinstance(value, list | tuple):
        return ", ".join(text(item) for item in value if present(item) is not None)
    return text(present(value)) if isinstance(value, Phone | Enum) else str(value)


def _integer_text(value: int) -> str:
    return str(value) if -LARGEST_INTEGER < value < LARGEST_INTEGER else str(Decimal(value))


def _number_text(number: Decimal) -> str:
    if not number.is_finite():
        return ""
    if abs(number.adjusted()) > WRITTEN_OUT or len(number.as_tuple().digits) > WRITTEN_OUT:
        return str(number)
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z, a form that all CRMs read."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


TEXTS: dict[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: _integer_text,
    float: lambda value: _number_text(Decimal(repr(value))),
    Decimal: _number_text,
    datetime: iso,
    date: date.isoformat,
    type(None): lambda _value: "",
}


def number(value: Any) -> Decimal | None:
    """The number that a value is or is written as (`100`, `12.50`, `1 234,5`, see model/amount.py); None for others, and for True."""
    kind = value.__class__
    if kind is Decimal:
        return value if value.is_finite() else None
    if kind is int:
        return Decimal(value)
    if kind is float:
        return Decimal(repr(value)) if math.isfinite(value) else None
    return read_number(value) if kind is str else None


def scalar(value: Any) -> Scalar:
    """The value as it is sent in the CRM's JSON; None if it is missing."""
    make = SCALARS.get(value.__class__)
    if make is not None:
        return make(value)
    return text(value) if present(value) is not None else None


def _json_integer(value: int) -> Scalar:
    return value if -LARGEST_INTEGER < value < LARGEST_INTEGER else _integer_text(value)


def _json_number(value: Decimal) -> Scalar:
    if not value.is_finite():
        return None
    if abs(value.adjusted()) > WRITTEN_OUT:
        return str(value)
    whole = int(value)
    return _json_integer(whole) if whole == value else float(value)


SCALARS: dict[type, Callable[[Any], Scalar]] = {
    str: lambda value: value if value and not value.isspace() else None,
    bool: lambda value: value,
    int: _json_integer,
    float: lambda value: value if math.isfinite(value) else None,
    Decimal: _json_number,
    datetime: iso,
    date: date.isoformat,
    type(None): lambda _value: None,
}
