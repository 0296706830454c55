"""The last safety net of the logs: removes whatever looks like a phone number. The first rule is never to log one."""

import re

HIDDEN = "…"
# Event ids consist of UUIDs and digests, whose digits are no phone numbers: they are matched first, and kept.
_IDS = r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})(?![0-9A-Za-z])"
# A command of ours that names an event by its number, as cures print it.
_COMMANDS = r"`connector (?:explain|replay|dead [a-z]+|parked [a-z]+) \d{1,12}(?: [a-z-]+)?`"
_KEPT = f"{_IDS}|{_COMMANDS}"
_PLUS = r"(?:\+|%2[Bb]|%252[Bb]|(?<!\d)00)"
_NUMBERS = (
    rf"{_PLUS}(?:[ .()/-]|%20)*\d(?:(?:[ .()/-]|%20){{0,2}}\d){{5,}}",  # international, in any notation
    r"\d{6,}",  # without a plus; a Norwegian one has 8 digits
    r"(?<!\d)\d{2,4}(?:[ \u00a0]\d{2,4}){2,}(?!\d)",  # in groups, as people write them
)
_NET = re.compile(f"({_KEPT})|{'|'.join(_NUMBERS)}")


def mask(text: str) -> str:
    """The text without anything that could be a phone number."""
    return _NET.sub(lambda found: found[1] or HIDDEN, text)
