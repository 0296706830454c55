"""What we wrote last to a record of a CRM: by it the org's automation is told from people."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class LastWrite(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Our last settled write to one record."""

    fields: tuple[str, ...] = ()  # that it wrote, of those that the record's feed watches
    unseen: Mapping[str, Any] = field(default_factory=dict)  # values that we wrote and the CRM has not shown since
    person: str | None = None  # E.164 of whoever it was about, where the record is found by their number
