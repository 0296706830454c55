"""Our last write to a record of a CRM. With it, changes by the org's automation are distinguished from changes by people."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class LastWrite(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Our last settled write to one record."""

    fields: tuple[str, ...] = ()  # the fields that it wrote, of those that the record's feed watches
    unseen: Mapping[str, Any] = field(default_factory=dict)  # values that we wrote and that the CRM has not shown since
    person: str | None = None  # E.164 of the person it was about, if the record is found by their number
