"""The net under the logs: whatever looks like a phone number is taken out. The first rule is not to pass one at all."""

import re

HIDDEN = "…"
# Ids of events are made of UUIDs and digests, whose digits are nobody's number: they are matched first, and kept.
_KEPT = r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})(?![0-9A-Za-z])"
_PLUS = r"(?:\+|%2[Bb]|%252[Bb]|(?<!\d)00)"
_NUMBERS = (
    rf"{_PLUS}(?:[ .()/-]|%20)*\d(?:(?:[ .()/-]|%20){{0,2}}\d){{5,}}",  # international, in any spelling
    r"\d{6,}",  # without a plus; a Norwegian one has 8 digits
    r"(?<!\d)\d{2,4}(?:[ \u00a0]\d{2,4}){2,}(?!\d)",  # in groups, as people write it
)
_NET = re.compile(f"({_KEPT})|{'|'.join(_NUMBERS)}")


def mask(text: str) -> str:
    """The text without anything that could be a phone number."""
    return _NET.sub(lambda found: found[1] or HIDDEN, text)
