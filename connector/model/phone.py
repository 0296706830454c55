"""A phone number that never shows itself by accident."""

import re
import unicodedata
from enum import StrEnum
from typing import Final

import phonenumbers

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# phonenumbers also reads vanity letters, extensions and zero-width characters; an identifier must not.
PLAUSIBLE = re.compile(r"\+?[0-9 ()\-.]{4,24}")
# What people also put between the digits of a number, and the trunk zero that is left out behind a country code.
OTHER_DASHES = str.maketrans(dict.fromkeys("/\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
TRUNK_ZERO = re.compile(r"(?<=[\d)])\s*\(0\)")


class NumberFormat(StrEnum):
    """How a source writes numbers. It is a setting and never guessed: a Danish number read as Norwegian is another person."""

    E164 = "e164"  # +4798079008
    INTERNATIONAL = "international"  # 4798079008: country code, no plus
    NATIONAL = "national"  # 98079008: needs a region


class Phone:
    """A number in E.164 form. Its text forms are masked; the digits are read through `e164` alone."""

    # No dataclass and no Struct: libraries that write those by themselves would write the number.
    __slots__ = ("e164",)

    def __init__(self, e164: str) -> None:
        self.e164: Final = e164

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phone) and self.e164 == other.e164

    def __hash__(self) -> int:
        return hash(self.e164)

    def __repr__(self) -> str:
        return f"<phone {self.masked}>"

    __str__ = __repr__

    @property
    def masked(self) -> str:
        """Country code and last three digits, for a screen that a person asked for."""
        return f"{self.e164[:3]}…{self.e164[-3:]}"


def parse_phone(
    text: object, *, number_format: NumberFormat = NumberFormat.E164, region: str | None = None
) -> Phone | None:
    """Read a number as a source writes it; None where it is no phone number (a short number, an alias).

    A number with `+` or `00` is read as international whatever the format says. Unusual but possible lengths, such as
    Norway's twelve-digit machine numbers, are kept as they are: a number is never dropped for being rare.
    """
    if isinstance(text, Phone):
        return text
    if not isinstance(text, str | int) or isinstance(text, bool):
        return None
    plain = unicodedata.normalize("NFKC", str(text)).strip()
    if E164.fullmatch(plain):
        return Phone(plain)
    if not PLAUSIBLE.fullmatch(plain):
        return None
    digits = re.sub(r"[^0-9]", "", plain)
    if plain.startswith("+"):
        candidate = "+" + digits
    elif digits.startswith("00"):
        candidate = "+" + digits[2:]
    elif number_format is NumberFormat.NATIONAL and region:
        return _national(plain, region)
    elif number_format is NumberFormat.INTERNATIONAL:
        candidate = "+" + digits
    else:
        return None
    return Phone(candidate) if E164.fullmatch(candidate) else None


def phone_as_written(text: object, region: str | None) -> Phone | None:
    """A number as people write it in a CRM: with its country code, or as one of the configured country."""
    if isinstance(text, str):
        # Blanks say nothing, and many of them make a number longer than one may be.
        text = re.sub(r"\s+", "", unicodedata.normalize("NFKC", text).translate(OTHER_DASHES))
        abroad = text.lstrip("(")
        if abroad.startswith(("+", "00")):
            return parse_phone(TRUNK_ZERO.sub("", abroad, count=1))
    return parse_phone(text, number_format=NumberFormat.NATIONAL if region else NumberFormat.E164, region=region)


def _national(plain: str, region: str) -> Phone | None:
    try:
        number = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return Phone(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def national_part(phone: Phone) -> str:
    """The number without its country code, as digits."""
    try:
        number = phonenumbers.parse(phone.e164)
    except phonenumbers.NumberParseException:
        return phone.e164.lstrip("+")
    return phonenumbers.national_significant_number(number)
