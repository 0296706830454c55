"""Reads numbers and amounts as people and programs write them. Pure; knows no provider and no CRM.

The rule, for Norwegian, Danish and American writers alike:

- Blanks and apostrophes only group thousands: `1 234`, `1 234,50`.
- If both comma and point occur, the last one is the decimal mark: `1.234,50`, `1,234.50`.
- If one of them occurs several times, it groups thousands: `1.234.567`.
- If one of them occurs once, it is the decimal mark: `199,50`, `12.5`, `1234.567`, `0,125`. With one to three digits before it
  and exactly three after it, it is ambiguous: some writers group thousands with it. `1,234` is then no number, and a person must
  say. `1.234` is a number, as programs write it, but no amount: nobody is charged thousandths, so a thousand may be meant.
"""

import re
from decimal import Decimal
from typing import Any

# More than 18 digits before the decimals are an id and no number.
NUMBER = re.compile(
    r"(?P<sign>[+-]?)"
    r"(?:(?P<whole>[0-9]{1,18})|(?P<grouped>[0-9]{1,3}(?:(?P<group>[ '.,])[0-9]{3})(?:(?P=group)[0-9]{3}){0,4}))"
    r"(?:(?P<point>[.,])(?P<decimals>[0-9]{1,40}))?"
)
PLAIN = re.compile(r"[0-9]{1,18}")
# Blanks that word processors and formatting libraries put between thousands, other apostrophes, and the minus sign.
SPELLINGS = str.maketrans(
    {**dict.fromkeys("\u00a0\u2007\u2009\u202f", " "), "\u2019": "'", **dict.fromkeys("\u2212\u2012\u2013\u2014", "-")}
)
CURRENCIES = r"kr\.?|nok|dkk|sek|isk|eur|usd|gbp|[$\u20ac\u00a3]"
# `kr 199,-`, `199:-` (Swedish), `199.`, `$12`, `12 NOK`.
AMOUNT = re.compile(
    rf"(?:(?:{CURRENCIES})\s*)?(?P<number>[+-]?[0-9][0-9 '.,]*?)(?:[.,:](?P<dash>-?))?(?:\s*(?:{CURRENCIES}))?",
    re.IGNORECASE,
)
MAX_LENGTH = 64  # characters; more is not a number
LIMIT = Decimal(10**9)  # nobody pays as much
FLOAT_NOISE = Decimal("0.0001")  # of a sender that counts in binary fractions: 199.99000000000001


def read_number(text: str) -> Decimal | None:
    """The number that a text is written as, by the rule above. None for anything else, also with a currency."""
    if len(text) > MAX_LENGTH:
        return None
    text = text.strip()
    if PLAIN.fullmatch(text):
        return Decimal(text)
    found = NUMBER.fullmatch(text.translate(SPELLINGS))
    if found is None:
        return None
    grouped, group, point = found["grouped"], found["group"], found["point"]
    if grouped is None:
        whole = found["whole"]
        if point == "," and _thousand_or_one(found):
            return None
    else:
        if point == group or (grouped.count(group) == 1 and group in ".," and point is None):
            return None
        whole = grouped.replace(group, "")
    return Decimal(f"{found['sign']}{whole}.{found['decimals']}" if point else f"{found['sign']}{whole}")


def read_amount(value: Any) -> Decimal | None:
    """The amount that an external value holds, with or without a currency or a final `,-`. None in doubt."""
    if type(value) is int:
        return Decimal(value)
    if type(value) is float:
        amount = Decimal(repr(value))
        return amount if amount.is_finite() else None
    if type(value) is not str or len(value) > MAX_LENGTH:
        return None
    found = AMOUNT.fullmatch(value.strip().translate(SPELLINGS))
    if found is None:
        return None
    if found["dash"]:
        # The dash stands for the decimals, so a separator before it groups thousands: `1.234,-`.
        return read_number(f"{found['number']}{'.' if ',' in found['number'] else ','}00")
    number = NUMBER.fullmatch(found["number"])
    return None if number is None or _thousand_or_one(number) else read_number(found["number"])


def can_be_paid(amount: Decimal) -> bool:
    """Whether somebody may have paid this amount: it is not below zero, not huge, and has no thousandths."""
    return 0 <= amount < LIMIT and abs(amount - round(amount, 2)) < FLOAT_NOISE


def _thousand_or_one(found: re.Match[str]) -> bool:
    whole, decimals = found["whole"], found["decimals"]
    return bool(whole and decimals) and len(decimals) == 3 and len(whole) <= 3 and int(whole) > 0  # noqa: PLR2004 - a thousand's digits.
