"""Which fields of a CRM object bear consent."""

from typing import Any

from msgspec import Struct, field


class ConsentFields(Struct, frozen=True, kw_only=True):
    """Which fields of a CRM object bear consent (`consent_fields:` in the config)."""

    object: str
    flag: str  # for the whole person
    opted_out: Any = True  # the flag's value that means: out
    phone: str | None = None  # the field with the number, in the feed
    along: tuple[str, ...] = field(default_factory=tuple)  # fields that are written with the flag: since when, by whom
    country: str | None = None  # the field with the record's country, which its number may lack

    @property
    def all(self) -> tuple[str, ...]:
        """The flag and what goes along with it."""
        return (self.flag, *self.along)
