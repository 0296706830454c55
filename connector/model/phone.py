"""A phone number that is never printed by accident, and the only reader of numbers from providers, people and phones."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

import phonenumbers
from phonenumbers import ValidationResult

from connector.model.written_number import WrittenNumber, written_numbers

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
FORGOTTEN = "forgotten-"  # with a keyed hash it replaces a forgotten person's number
# Numbers of most callbacks, in countries whose numbers have one length. They need no check against the number plans.
# Norway's longer numbers need none either, such as the machine numbers of twelve digits, which libphonenumber does not
# know.
USUAL = re.compile(r"\+(?:45[2-9][0-9]{7}|47[2-9][0-9]{7,11}|467[0-9]{8}|447[0-9]{9}|1[2-9][0-9]{2}[2-9][0-9]{6})")
# The same without a plus. No number in Norway or Denmark has ten digits without its country code.
USUAL_AT_HOME = {region: re.compile(r"4[57][2-9][0-9]{7}") for region in ("NO", "DK")}
SPREADSHEET = re.compile(r"\A(\+?[0-9]{6,})\.0\Z")  # a number that a spreadsheet took for a decimal one
# Digits of a person's number without its country code; a shorter one is a service's, such as 02800 in Norway.
MIN_DIGITS = 6
TOO_MANY_DIGITS = 10**16  # ITU-T E.164: a number has 15 digits at the most
MIN_WITH_OTHERS = 7  # digits of a possible second number in one field; fewer are a remark, such as a house number
# What libphonenumber says of the length of an existing number: possible in its country, or longer. Norway's machine
# numbers have twelve digits, and libphonenumber knows only eight.
EXISTS = frozenset({ValidationResult.IS_POSSIBLE, ValidationResult.TOO_LONG})
# The North American plan. libphonenumber knows it only by its area codes, and new ones are added each year.
NORTH_AMERICA = 1
AREA_AND_EXCHANGE = re.compile(r"[2-9][0-9]{2}[2-9][0-9]{6}")


class NumberFormat(StrEnum):
    """How a source writes numbers. A setting, never guessed: a Danish number read as Norwegian is another person's."""

    E164 = "e164"  # +4798079008
    INTERNATIONAL = "international"  # 4798079008: country code, no plus
    NATIONAL = "national"  # 98079008: needs a region; as people write them


class Phone:
    """A number in E.164 form. Its text forms are masked; only `e164` gives the digits."""

    # No dataclass and no Struct: libraries that serialise these automatically would print the number.
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
    def is_forgotten(self) -> bool:
        """Whether it is the pseudonym of a forgotten person, and no number that can be called."""
        return self.e164.startswith(FORGOTTEN)

    @property
    def masked(self) -> str:
        """Country code and last three digits, for a screen that a person requested."""
        if self.is_forgotten:
            return "a forgotten person"
        return f"{self.e164[:3]}…{self.e164[-3:]}"


def parse_phone(
    text: object, *, number_format: NumberFormat = NumberFormat.E164, region: str | None = None
) -> Phone | None:
    """Read a number as a source writes it; None if it is none (a short number, an alias) or may be several people's.

    A number with `+` or `00` is read as international whatever the format says. A number that cannot exist is None.
    A number that a program writes with its country code is kept even if it is longer than libphonenumber knows, such
    as Norway's twelve-digit ones.
    """
    if type(text) is str and USUAL.fullmatch(text):
        return Phone(text)
    regions = () if region is None or number_format is NumberFormat.E164 else (region,)
    return _only(possible_phones(text, regions, number_format=number_format))


def possible_phones(
    text: object, regions: Sequence[str], *, number_format: NumberFormat = NumberFormat.NATIONAL
) -> tuple[Phone, ...]:
    """All phone numbers that a text may mean: one if it is clear, none if it is not a number.

    `regions` are the possible countries of a number without its country code, the likeliest first. Several numbers
    in one text mean the phones that all of them may mean; if there is none, any phone that one of them may mean.
    """
    if isinstance(text, Phone):
        return (text,)
    if (
        isinstance(text, bool)
        or not isinstance(text, str | int)
        or (isinstance(text, int) and not 0 < text < TOO_MANY_DIGITS)
    ):
        return ()
    plain = SPREADSHEET.sub(r"\1", str(text))
    if USUAL.fullmatch(plain):
        return (Phone(plain),)
    if number_format is NumberFormat.INTERNATIONAL and len(regions) == 1:
        usual = USUAL_AT_HOME.get(regions[0])
        if usual is not None and usual.fullmatch(plain):
            return (Phone("+" + plain),)
    written = written_numbers(plain, glued=number_format is NumberFormat.NATIONAL)
    found: list[tuple[Phone, ...]] = []
    before: list[WrittenNumber] = []
    for number, means in _read(written, regions, number_format):
        if means:
            # "47 (mobile) 90000001": digits before a number may be its country code.
            found += [means, *((phone,) for phone in _behind(before, number))]
        elif number.international or len(number.digits) >= MIN_WITH_OTHERS:
            return ()  # it cannot exist or be read: what stands beside it may be only a remark
        before.append(number)
    return _in_all(found)


def _read(
    written: Iterable[WrittenNumber], regions: Sequence[str], number_format: NumberFormat
) -> Iterator[tuple[WrittenNumber, tuple[Phone, ...]]]:
    """Each number and all phones that it may mean: "900/00 105" is one number, and "90000001/90000002" are two."""
    for number in written:
        means = _means(number, regions, number_format)
        if means or not number.halves:
            yield number, means
        else:
            yield from _read(number.halves, regions, number_format)


def _only(possible: Sequence[Phone]) -> Phone | None:
    return possible[0] if len(possible) == 1 else None


def _in_all(found: Sequence[tuple[Phone, ...]]) -> tuple[Phone, ...]:
    """The phones that all numbers of one text may mean; otherwise all phones that any of them may mean."""
    common = [phone for phone in (found[0] if found else ()) if all(phone in others for others in found)]
    return tuple(common or dict.fromkeys(phone for several in found for phone in several))


def _means(written: WrittenNumber, regions: Sequence[str], number_format: NumberFormat) -> tuple[Phone, ...]:
    """All phones that a single number may mean."""
    if written.international:
        phone = _with_country_code(written)
        return (phone,) if phone else ()
    abroad = _without_plus(written, regions) if number_format is NumberFormat.INTERNATIONAL else None
    if abroad is not None and abroad.e164.startswith(tuple(f"+{code}" for code in _codes(regions))):
        return (abroad,)
    # libphonenumber does not know every assigned number. In the first region, and if it knows the number nowhere, a
    # number that fits the plan is enough.
    possible = dict.fromkeys(
        phone
        for place, region in enumerate(regions)
        if (phone := _of_country(written, region, _fits_its_plan if place == 0 else _is_in_use))
    )
    if abroad is not None:
        possible[abroad] = None
    if not possible:
        possible = dict.fromkeys(phone for region in regions if (phone := _of_country(written, region, _fits_its_plan)))
    return tuple(possible)


def _is_in_use(number: phonenumbers.PhoneNumber) -> bool:
    return phonenumbers.is_valid_number(number)


def _with_country_code(written: WrittenNumber) -> Phone | None:
    """A number after `+` or `00`: one that is in use, otherwise one of a possible length.

    The trunk zero precedes a number within its country and is left out after a country code; some people write it
    nevertheless.
    """
    number = _parse("+" + written.digits, None)
    if number is None:
        return None
    code = str(number.country_code)
    behind = written.digits[len(code) :]
    shorter = _parse(f"+{code}{behind[1:]}", None) if behind.startswith("0") else None
    for in_use in (_is_in_use, _fits_its_plan):
        for either in (number, shorter):
            if either is not None and in_use(either):
                return _phone(either)
    reason = phonenumbers.is_possible_number_with_reason(number)
    exists = reason in EXISTS if written.plain else reason == ValidationResult.IS_POSSIBLE
    phone = _phone(number)
    return phone if exists and E164.fullmatch(phone.e164) else None


def _without_plus(written: WrittenNumber, regions: Iterable[str]) -> Phone | None:
    """A number with a country code but no plus: one that is in use, or one of a possible length in an expected country.

    The first digits of a number without its country code look like another country's code: 90001009 is not Turkey's
    +90001009.
    """
    number = _parse("+" + written.digits, None)
    if number is None or written.digits.startswith("0"):
        return None
    if phonenumbers.is_valid_number(number):
        return _phone(number)
    return _with_country_code(written) if number.country_code in _codes(regions) else None


def _fits_its_plan(number: phonenumbers.PhoneNumber) -> bool:
    """Whether a number is in use in its country, or may be assigned there."""
    national = phonenumbers.national_significant_number(number)
    if number.country_code == NORTH_AMERICA:
        return AREA_AND_EXCHANGE.fullmatch(national) is not None
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    plan = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    pattern = plan.general_desc.national_number_pattern if plan and plan.general_desc else None
    return (pattern is not None and re.fullmatch(pattern, national) is not None) or _is_in_use(number)


def _of_country(
    written: WrittenNumber, region: str, in_use: Callable[[phonenumbers.PhoneNumber], bool]
) -> Phone | None:
    """A number without its country code, read as one in use in that country."""
    for digits in (written.digits, written.digits[1:]) if written.lone_zero else (written.digits,):
        number = _parse(digits, region)
        if number is not None and in_use(number):
            national = phonenumbers.national_significant_number(number)
            return _phone(number) if len(national) >= MIN_DIGITS else None
    return None


def _codes(regions: Iterable[str]) -> set[int]:
    return {phonenumbers.country_code_for_region(region) for region in regions}


def _behind(before: Iterable[WrittenNumber], written: WrittenNumber) -> Iterable[Phone]:
    """The phones that a number means if one of the digit groups before it is its country code."""
    for code in before:
        number = None if written.international else _parse(f"+{code.digits}{written.digits}", None)
        if number is not None and phonenumbers.is_valid_number(number):
            yield _phone(number)


def _parse(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _phone(number: phonenumbers.PhoneNumber) -> Phone:
    return Phone(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def national_part(phone: Phone) -> str:
    """The number without its country code, as digits."""
    number = _parse(phone.e164, None)
    return phone.e164.lstrip("+") if number is None else phonenumbers.national_significant_number(number)
