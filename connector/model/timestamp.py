"""Reads times as other programs write them. Pure; knows no provider."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Any

FIRST_YEAR = 2000  # an earlier time was never set: .NET then writes year 1
MAX_LENGTH = 64  # characters of a time in any form; a longer text is not a time
# Not allowed by ISO 8601, but written by senders: a blank before the offset, several blanks after the date.
_BEFORE_OFFSET = re.compile(r"\s+(?=(?:[+-]\d{2}(?::?\d{2})?|Z)$)")
_BEHIND_DATE = re.compile(r"(?<=\d)\s+(?=\d)")


def parse_iso(written: str) -> datetime:
    """A time in ISO 8601 or one of its usual variants; raises ValueError for anything else.

    Allowed: `T` or blanks before the hours; a fraction of any length after a point or comma; the offset as `Z`,
    `UTC`, `GMT`, `+01`, `+0100` or `+01:00`, with or without a blank before it. A time without an offset stays
    without one.
    """
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        if len(written) > MAX_LENGTH:
            raise
    plain = written.strip().upper().replace("\u2212", "-")
    if plain.endswith(("UTC", "GMT")):
        plain = plain[:-3] + "Z"
    return datetime.fromisoformat(_BEHIND_DATE.sub("T", _BEFORE_OFFSET.sub("", plain), count=1))


def read_time(value: Any, zone: tzinfo = UTC) -> datetime | None:
    """The time in UTC that an external value names; None if it is none. `zone` applies to times without an offset."""
    if type(value) is not str:
        return None
    try:
        time = parse_iso(value)
        time = (time.replace(tzinfo=zone) if time.tzinfo is None else time).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year >= FIRST_YEAR else None
