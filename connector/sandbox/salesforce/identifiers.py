"""Record ids in Salesforce's form: 15 characters in base 62, and 3 more that encode letter case."""

import re

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
INSTANCE = "5f00"  # the server that made the record, as in ids of a real org
COUNTER_LENGTH = 8
SHORT, LONG = 15, 18  # characters
SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")


def lengthen(short: str) -> str:
    """The 18 characters of a 15-character id: each added character encodes which of five letters are capitals."""
    added = []
    for start in (0, 5, 10):
        bits = 0
        for place in range(5):
            if "A" <= short[start + place] <= "Z":
                bits |= 1 << place
        added.append(CHECK[bits])
    return short + "".join(added)


def record_id(prefix: str, number: int) -> str:
    """The id of the `number`th record of an object."""
    digits = []
    for _ in range(COUNTER_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(DIGITS[digit])
    return lengthen(prefix + INSTANCE + "".join(reversed(digits)))


def canonical(value: object) -> str | None:
    """The 18-character form of an id of either length; None if it is not an id."""
    if not isinstance(value, str) or not SHAPE.fullmatch(value):
        return None
    full = lengthen(value[:SHORT])
    # Some tools change the case of the added characters; only the first 15 matter.
    return full if len(value) == SHORT or full.upper() == value.upper() else None
