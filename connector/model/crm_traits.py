"""How a CRM differs from others, as values. The defaults are the plainest CRM; each adapter gives its own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


def unchanged(name: str) -> str:
    """A name or an id as it is."""
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmTraits:
    """What the neutral rooms must know of a CRM."""

    deleted_kept: timedelta = timedelta(days=1)  # how long a deleted record may come back
    notices_repeat: timedelta = timedelta(days=1)  # how long a CRM repeats a notice that it has sent
    lookup_limit: int = 200  # records that a feed is asked for by id at once
    slow_request: timedelta = timedelta(seconds=10)  # a batch whose requests take longer is made smaller
    # One record may have ids of several forms: the form in which a feed shows them, and in which they are compared whole.
    full_id: Callable[[str], str] = unchanged
    # The same for two keys that may name one record of the CRM.
    folded_key: Callable[[str], str] = unchanged
    relationship_column: Callable[[str], str] = unchanged  # relationship's name → the column that an error names


PLAIN = CrmTraits()
