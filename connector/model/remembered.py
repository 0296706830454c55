"""What is known, before a write with a match is sent, of the records that it may mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The records that one write with a match may mean. It is empty for a write without a match."""

    record_id: str | None = None  # the record that it meant last time
    # By record id: opted-out records with its number.
    shadows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # Records that a feed has shown with its number, and that may be written in digits a CRM's search does not find.
    oddly_written: tuple[str, ...] = ()


NOTHING = Remembered()
