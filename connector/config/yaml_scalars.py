"""The value of an unquoted word in a YAML file: a number or truth value only if a person means one, otherwise text."""

import re

MAX_DIGITS = 18  # a longer number would not fit 64 bits, and is an id rather than a number
INTEGER = re.compile(r"0|-?[1-9][0-9]*")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def scalar_value(written: str) -> str | int | float | bool | None:
    """The value of an unquoted word.

    A sign `+`, a leading zero, `_`, `:`, an exponent and a date make it text, and so do YAML 1.1's `NO` and `on`:
    phone numbers, codes and countries must stay as they were written.
    """
    if written in CONSTANTS:
        return CONSTANTS[written]
    if len(written) <= MAX_DIGITS:
        if INTEGER.fullmatch(written):
            return int(written)
        if DECIMAL.fullmatch(written):
            return float(written)
    return written
