"""The `date:` transform: patterns as spreadsheets write them (`dd.MM.yyyy`), and time zones."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.mapping.values.transforms import TransformFailed
from connector.mapping.values.values import iso, text
from connector.model.timestamp import parse_iso

TOKENS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
TOKEN = re.compile("|".join(TOKENS) + "|.", re.DOTALL)
ISO = "iso"
DATE = "date"
DATETIME = "datetime"
MAX_LENGTH = 64  # characters of a date in any form; a longer text is not a date


# The letters of spreadsheets in other languages, of moment.js and of strftime, and how they are written here.
OTHER_LETTERS = {
    "DD": "dd",
    "D": "dd",
    "d": "dd",
    "%d": "dd",
    "M": "MM",
    "%m": "MM",
    "YYYY": "yyyy",
    "%Y": "yyyy",
    "ÅÅÅÅ": "yyyy",
    "åååå": "yyyy",
    "JJJJ": "yyyy",
    "YY": "yy",
    "%y": "yy",
    "hh": "HH",
    "H": "HH",
    "%H": "HH",
    "TT": "HH",
    "tt": "HH",
    "%M": "mm",
    "MI": "mm",
    "SS": "ss",
    "%S": "ss",
}
LETTERS = re.compile(r"%[A-Za-z]|MI|D+|d+|M+|m+|Y+|y+|H+|h+|S+|s+|T+|t+|J+|Å+|å+|[A-Za-z]|[^A-Za-zÅå%]+|%")


class BadPattern(ValueError):  # noqa: N818 - a finding about the user's file; it becomes a Problem.
    """A date pattern that cannot be used, with the reason."""


def directives(pattern: str) -> str:
    """The pattern in the terms of strptime; `T` and `Z` mean themselves. Raises BadPattern."""
    made = ""
    found: set[str] = set()
    for piece in TOKEN.findall(pattern):
        if piece in found:
            raise BadPattern(f"`{piece}` is there twice")
        if piece == "mm" and "HH" not in found:
            raise BadPattern("`mm` is minutes, and comes after HH")
        if piece in TOKENS:
            made += TOKENS[piece]
            found.add(piece)
        elif piece == "%":
            made += "%%"
        elif piece in {"T", "Z"} or not piece.isalpha():
            made += piece
        else:
            raise BadPattern(f"`{piece}` means nothing in a date")
    if not found:
        raise BadPattern(f"`{pattern}` means nothing in a date")
    return made


def meant_pattern(written: str) -> str:
    """The pattern that is meant, if its letters are those of another tool (DD.MM.YYYY, %d.%m.%Y); else empty.

    Next to hours, `mm` and `MM` are minutes; elsewhere they are the month.
    """
    meant, before = "", ""
    for piece in LETTERS.findall(written):
        token = OTHER_LETTERS.get(piece, piece)
        if token in {"mm", "MM"}:
            token = "mm" if before == "HH" else "MM"
        meant += token
        before = token if token in TOKENS else before
    try:
        directives(meant)
    except BadPattern:
        return ""
    return meant if meant != written else ""


def convert(source: str, target: str, zone: ZoneInfo) -> Callable[[Any], str]:
    """A function from a date in one form to another.

    `iso` reads any ISO 8601 date or time; `date` writes 2026-01-31, `datetime` the UTC time with Z; anything else is
    a pattern. A time without an offset is in the zone, and dates are written in the zone. A date without a time is
    never moved to another day.
    """
    read = parse_iso if source == ISO else _by_pattern(directives(source))
    write = None if target in {DATE, DATETIME} else directives(target)

    def do(value: Any) -> str:
        try:
            moment = value if isinstance(value, date) else read(text(value).strip())
            if not isinstance(moment, datetime):
                moment = datetime(moment.year, moment.month, moment.day, tzinfo=zone)
            local = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
            if target == DATETIME:
                return iso(local.astimezone(UTC))
            return local.strftime(write) if write else local.date().isoformat()
        except (ValueError, OverflowError):
            raise TransformFailed("a date was expected") from None

    return do


def _by_pattern(pattern: str) -> Callable[[str], datetime]:
    def read(written: str) -> datetime:
        if len(written) > MAX_LENGTH:
            raise ValueError
        return datetime.strptime(written, pattern)  # noqa: DTZ007 - the caller sets the zone.

    return read
