"""Finds a phone number in stored texts, in every form in which people and programs write it, and removes it."""

import re
from collections.abc import Sequence
from functools import cached_property

from connector.model.phone import Phone, national_part

# What stands between the digits of a number: blanks, dashes, dots, brackets; also as a URL, JSON or UTF-16 writes them.
GAP = r"(?:%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\[nrt]|&nbsp;|[^0-9A-Za-z\"{}:,;&=<>@]){0,4}"
IGNORED = bytes(byte for byte in range(256) if not (byte < 128 and chr(byte).isalnum()))  # noqa: PLR2004 - ASCII.
# Gaps that hold letters or digits, by the byte with which they begin.
CODED = {
    b"%": (b"%20", b"%2B", b"%2b", b"%2D", b"%2d", b"%28", b"%29", b"%C2%A0", b"%c2%a0"),
    b"\\": (b"\\u00a0", b"\\u00A0", b"\\n", b"\\r", b"\\t"),
    b"&": (b"&nbsp;",),
}
BETWEEN = b"x"  # no gap of a number
ERASED = "0"  # it is valid wherever a number is: inside a text, and as a number in JSON


class Mentions:
    """Finds one number."""

    def __init__(self, phone: Phone) -> None:
        self._national = national_part(phone)
        self._code = phone.e164[1 : len(phone.e164) - len(self._national)]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        code, national = GAP.join(self._code), GAP.join(self._national)
        trunk = rf"(?:\(0\)|0){GAP}"  # +44 (0)20 …
        abroad = rf"(?:(?:\+|%2[Bb]|00){GAP})?{code}{GAP}(?:{trunk})?"
        return re.compile(rf"(?<![0-9])(?:{abroad}|{trunk})?{national}(?![0-9])")

    def are_in(self, value: str | bytes | None) -> bool:
        """Whether the text or body contains the number."""
        if value is None or not self.may_be_in([value]):
            return False
        return self._pattern.search(_text(value)) is not None

    def without(self, value: str | bytes) -> str | bytes:
        """The text or body with ERASED in place of the number."""
        changed = self._pattern.sub(ERASED, _text(value))
        return changed if isinstance(value, str) else changed.encode("latin-1")

    def may_be_in(self, values: Sequence[str | bytes]) -> bool:
        """A quick check, which is enough for most texts: whether one of them contains the digits in this order."""
        data = BETWEEN.join(
            value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values
        )
        digits = self._national.encode()
        if digits in data:
            return True
        for first, gaps in CODED.items():
            if first in data:
                for one in gaps:
                    data = data.replace(one, b"")
        return digits in data.translate(None, IGNORED)


def _text(value: str | bytes) -> str:
    """A body as text, one character for each byte: nothing in it can be unreadable."""
    return value if isinstance(value, str) else value.decode("latin-1")
