"""Which fields of a CRM object hold consent."""

from typing import Any

from msgspec import Struct, field


class ConsentFields(Struct, frozen=True, kw_only=True):
    """The consent fields of a CRM object (`consent_fields:` in the config)."""

    object: str
    flag: str  # applies to the whole person
    opted_out: Any = True  # the flag's value that means opted out
    phone: str | None = None  # the field with the number, in the feed
    # fields that are written together with the flag: since when, by whom
    along: tuple[str, ...] = field(default_factory=tuple)
    country: str | None = None  # the field with the record's country, for numbers without a country code

    @property
    def all(self) -> tuple[str, ...]:
        """The flag and the fields that are written with it."""
        return (self.flag, *self.along)
