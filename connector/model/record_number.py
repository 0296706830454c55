"""Reads the phone field of a CRM record, whose number may have no country code."""

from collections.abc import Iterable, Mapping
from typing import Any

import phonenumbers
from msgspec import Struct

from connector.model.consent_fields import ConsentFields
from connector.model.country import region_of
from connector.model.phone import Phone, possible_phones


class RecordNumber(Struct, frozen=True):
    """The content of a phone field."""

    phone: Phone | None = None  # the phone that it means, if it is clear
    possible: tuple[Phone, ...] = ()  # all phones that it may mean

    @property
    def is_unclear(self) -> bool:
        """Whether it is a number, but could be several people's."""
        return self.phone is None and bool(self.possible)

    def same_as(self, other: "RecordNumber") -> bool:
        """Whether both may mean the same person. A field without a number is never the same."""
        return any(phone in other.possible for phone in self.possible)


NO_NUMBER = RecordNumber()
# The text for a person. The feed reads the record again, which may take as long as the feed's pause.
UNCLEAR_NUMBER = (
    "the number of the record may mean several people: write one number there, with its country code, or fill in the field "
    "that `country:` of consent_fields names, then release this. If the record was deleted, restore it first; if it cannot be "
    "restored, end the donor's subscriptions at the provider yourself, then discard this"
)


class NumberReader(Struct, frozen=True, kw_only=True):
    """Reads the phone fields of CRM records. A number without country code gets the record's country, else the installation's."""

    default: str | None = None  # `default_region`; without it such numbers are not read if the record names no country
    others: tuple[str, ...] = ()  # the regions of the configured providers, which are in use too

    def read(self, written: object, country: object = None) -> RecordNumber:
        """The number in a field, using the value of the record's country field.

        If a country is given but not recognised, the number stays unclear.
        """
        described = isinstance(country, str) and bool(country.strip())
        region = region_of(country) if described else None
        regions = (region,) if region else self._in_use
        possible = possible_phones(written, regions)
        clear = len(possible) == 1 and (region is not None or not described or possible == possible_phones(written, ()))
        return RecordNumber(possible[0] if clear else None, possible) if possible else NO_NUMBER

    def of(self, fields: Mapping[str, Any], consent: ConsentFields, keys: Iterable[object] = ()) -> RecordNumber:
        """The number in the consent phone field of a record. `keys` are its external IDs: one of them may show which number it is."""
        if consent.phone is None:
            return NO_NUMBER
        number = self.read(fields.get(consent.phone), fields.get(consent.country) if consent.country else None)
        return known_by_key(number, keys)

    @property
    def alike(self) -> tuple[str, ...]:
        """The regions in use whose mobile numbers look the same without a country code."""
        found: dict[str, None] = {}
        for region in self._in_use:
            example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
            number = phonenumbers.national_significant_number(example) if example else ""
            meant = [other for other in self._in_use if possible_phones(number, (other,))]
            if len(possible_phones(number, self._in_use)) > 1:
                found |= dict.fromkeys(meant)
        return tuple(found)

    @property
    def _in_use(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.default, *self.others))) if self.default else ()


def known_by_key(number: RecordNumber, keys: Iterable[object]) -> RecordNumber:
    """The number, resolved by an external ID of its record that contains the digits of one of its possible phones."""
    if number.is_unclear:
        for key in keys:
            named = [phone for phone in number.possible if phone.e164.removeprefix("+") in str(key)]
            if len(named) == 1:
                return RecordNumber(named[0], (named[0],))
    return number


NO_REGION = NumberReader()  # reads only numbers with a country code
