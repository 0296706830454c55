"""Converts JSON values to stored values, by field type.

Text is trimmed and empty text becomes null; a datetime keeps whole seconds in UTC, as in Salesforce.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connector.sandbox.salesforce.fields import Field, Kind
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.refusals import RecordRefusedError, undecodable

Stored = str | int | float | None

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)")
MAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
LARGEST_AMOUNT = 1e16  # 16 digits before the decimal point


def as_moment(seconds: float) -> str:
    """A time (seconds since 1970) in the REST API's format."""
    return datetime.fromtimestamp(math.floor(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def parse_moment(value: str) -> datetime | None:
    """An ISO 8601 time with its zone; None if it is invalid."""
    if not MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def utf16_length(text: str) -> int:
    """The length of a text as Salesforce counts it: an emoji counts as two.

    Source: Salesforce Help, article 005166849 (LEN in formulas, String.length in Apex).
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _text(field: Field, value: Any) -> Stored:
    if not isinstance(value, str):
        if value is None:
            return None
        raise undecodable("string", value)
    value = value.strip()
    if utf16_length(value) > field.length:
        raise RecordRefusedError(
            "STRING_TOO_LONG",
            f"{field.label}: data value too large: {value} (max length={field.length})",
            field.name,
        )
    return value or None


def _email(field: Field, value: Any) -> Stored:
    stored = _text(field, value)
    if stored is not None and not MAIL.fullmatch(str(stored)):
        raise RecordRefusedError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {stored}", field.name)
    return stored


def _picklist(field: Field, value: Any) -> Stored:
    stored = _text(field, value)
    if stored is None or not field.restricted:
        return stored
    for allowed in field.values:
        if allowed.casefold() == str(stored).casefold():
            return allowed
    raise RecordRefusedError(
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        f"{field.label}: bad value for restricted picklist field: {stored}",
        field.name,
    )


def _boolean(_: Field, value: Any) -> Stored:
    match value:
        case True | "true" | "1":
            return 1
        case False | "false" | "0":
            return 0
        case _:
            raise undecodable("boolean", value)


def _number(field: Field, value: Any) -> Stored:
    if value is None:
        return None
    try:
        if isinstance(value, bool | dict | list):
            raise undecodable(str(field.kind), value)
        number = float(value)
    except ValueError:
        raise undecodable(str(field.kind), value) from None
    if not abs(number) < LARGEST_AMOUNT:
        raise RecordRefusedError(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{field.label}: value outside of valid range on numeric field: {value}",
            field.name,
        )
    return float(Decimal(str(number)).quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP))


def _date(_: Field, value: Any) -> Stored:
    if value is None:
        return None
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except (TypeError, ValueError):
        raise undecodable("date", value) from None


def _datetime(_: Field, value: Any) -> Stored:
    if value is None:
        return None
    parsed = parse_moment(value) if isinstance(value, str) else None
    if parsed is None:
        raise undecodable("datetime", value)
    return parsed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def wrong_target(field: Field, value: Any) -> RecordRefusedError:
    """The rejection of an invalid id, or of one that the field may not reference."""
    return RecordRefusedError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {value}", field.name)


def _reference(field: Field, value: Any) -> Stored:
    if value is None or value == "":
        return None
    full = canonical(value)
    if full is None:
        if not isinstance(value, str):
            raise undecodable("reference", value)
        raise wrong_target(field, value)
    return full


CONVERTERS: dict[Kind, Callable[[Field, Any], Stored]] = {
    Kind.TEXT: _text,
    Kind.LONG_TEXT: _text,
    Kind.PHONE: _text,
    Kind.EMAIL: _email,
    Kind.PICKLIST: _picklist,
    Kind.BOOLEAN: _boolean,
    Kind.CURRENCY: _number,
    Kind.NUMBER: _number,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.REFERENCE: _reference,
    Kind.ID: _reference,
}


def stored(field: Field, value: Any) -> Stored:
    """The stored form of a JSON value.

    Raises:
        RecordRefusedError: the value has the right type and is not allowed here.
        RequestRefusedError: the value has the wrong type, and the whole request fails.
    """
    return CONVERTERS[field.kind](field, value)
