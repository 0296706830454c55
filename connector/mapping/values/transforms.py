"""The transforms of values, by their names in a mapping file. Each is a pure function of a value; no dates, no paths."""

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Literal

from connector.mapping.values.values import fold, number, present, text
from connector.model.phone import Phone, national_part

# One thousand may be written 1000, 1 000, 1.000 or 1 000,50; two digits after a comma or point are cents.
AMOUNT = re.compile(r"(?<![\d.,])(\d{1,3}(?:[ .\u00a0]\d{3})+|\d{1,18})(?:[.,](\d{1,2}))?(?!\d)")
EMAIL = re.compile(r"[\w.+-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}", re.IGNORECASE | re.ASCII)
DIGITS = re.compile(r"\d+", re.ASCII)
WORD = re.compile(r"[^\W\d_]+")
NAME_PART = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")

Step = Callable[[Any], Any]
Case = Literal["upper", "lower", "title"]
Piece = Literal["first", "rest", "last"]
Kind = Literal["amount", "email", "number", "word"]
PhoneForm = Literal["e164", "national", "digits"]


class TransformFailed(Exception):  # noqa: N818 - a finding about one event's data; apply makes it a dead letter.
    """A value that a transform cannot use. The message says what was expected and never the value."""


def case(form: Case) -> Step:
    """The text in capitals, in small letters, or with a capital for each word."""
    if form == "title":
        return lambda value: NAME_PART.sub(lambda found: found.group().capitalize(), text(value))
    return (lambda value: text(value).upper()) if form == "upper" else (lambda value: text(value).lower())


def part(pieces: Piece | Sequence[Piece]) -> Step:
    """The first word, all words but the first, or the last word.

    With several pieces, each is taken from the result of the one before. The rest of a single word is missing. In a
    list, the items count as words.
    """
    steps = [_piece(pieces)] if isinstance(pieces, str) else [_piece(one) for one in pieces]
    if len(steps) == 1:
        return steps[0]

    def take(value: Any) -> Any:
        for step in steps:
            value = present(step(value))
            if value is None:
                return None
        return value

    return take


def _piece(piece: Piece) -> Step:
    def take(value: Any) -> Any:
        words = value if isinstance(value, list) else text(value).split()
        if not words:
            return None
        if piece == "rest":
            return words[1:] if isinstance(value, list) else " ".join(words[1:])
        return words[0 if piece == "first" else -1]

    return take


def extract(kind: Kind) -> Step:
    """The first amount, e-mail address, run of digits or run of letters in the text; missing if there is none."""
    if kind == "amount":
        return _amount
    pattern = {"email": EMAIL, "number": DIGITS, "word": WORD}[kind]

    def find(value: Any) -> Any:
        found = pattern.search(text(value))
        return found.group() if found else None

    return find


def _amount(value: Any) -> Decimal | None:
    found = AMOUNT.search(text(value))
    if not found:
        return None
    whole = re.sub(r"\D", "", found[1])
    return Decimal(f"{whole}.{found[2] or '0'}")


def write_phone(phone: Phone, form: PhoneForm) -> str:
    """A phone number in one of the forms."""
    if form == "national":
        return national_part(phone)
    return phone.e164 if form == "e164" else phone.e164.removeprefix("+")


def round_to(places: int) -> Step:
    """The number rounded to so many decimals, half away from zero, as banks and people do."""
    unit = Decimal(1).scaleb(-places)

    def do(value: Any) -> Decimal:
        try:
            return _number(value).quantize(unit, rounding=ROUND_HALF_UP)
        except InvalidOperation:
            raise TransformFailed("the number is too large to be rounded") from None

    return do


def multiply(factor: Decimal) -> Step:
    """The number times the factor."""

    def do(value: Any) -> Decimal:
        try:
            return _number(value) * factor
        except ArithmeticError:
            raise TransformFailed("the number is too large to be multiplied") from None

    return do


def _number(value: Any) -> Decimal:
    made = number(value)
    if made is None:
        raise TransformFailed("a number was expected")
    return made


def join(separator: str) -> Step:
    """A list as one text; other values stay as they are."""

    def do(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return separator.join(text(item) for item in value if present(item) is not None)

    return do


def split(separator: str) -> Step:
    """The text as a list, without blanks around its items and without empty items."""
    return lambda value: [piece.strip() for piece in text(value).split(separator) if piece.strip()]


def prefix(start: str) -> Step:
    """The text with another text before it."""
    return lambda value: start + text(value)


def translate(table: dict[str, Any], otherwise: Any) -> Step:
    """The value in the table for the text, ignoring case; `otherwise` for all others."""
    folded = {fold(key): present(value) for key, value in table.items()}
    other = present(otherwise)
    return lambda value: folded.get(fold(text(value)), other)
