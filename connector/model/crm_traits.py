"""How a CRM differs from others, as values. The defaults fit the plainest CRM; each adapter gives its own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


def unchanged(name: str) -> str:
    """Returns a name or an id unchanged."""
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmTraits:
    """What CRM-independent code must know of a CRM."""

    deleted_kept: timedelta = timedelta(days=1)  # how long a deleted record may be restored
    notices_repeat: timedelta = timedelta(days=1)  # how long a CRM repeats a notice that it has sent
    lookup_limit: int = 200  # records that a feed is asked for by id at once
    slow_request: timedelta = timedelta(seconds=10)  # a batch whose requests take longer is made smaller
    # Converts an id to the form that a feed shows. One record may have ids of several forms; full forms are compared as
    # a whole.
    full_id: Callable[[str], str] = unchanged
    # Converts a key so that two keys that may identify the same record become equal.
    folded_key: Callable[[str], str] = unchanged
    refused_in_keys: frozenset[str] = frozenset()  # characters that a key may not hold
    finds_by_number: bool = True  # whether a write can find its record by a phone number (`match:`)
    # The label of a field that was added to the CRM → the name that it may have there. For hints alone.
    own_field: Callable[[str], str] = unchanged
    relationship_column: Callable[[str], str] = unchanged  # relationship's name → the column that an error names


PLAIN = CrmTraits()
