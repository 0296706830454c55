"""What the mapping language must know of a sink that is neither a CRM nor a provider."""

from collections.abc import Mapping
from datetime import timedelta

from msgspec import Struct, field


class SinkTraits(Struct, frozen=True, kw_only=True):
    """What a sink takes. Each kind of sink gives its own."""

    actions: frozenset[str]  # post, row, event
    names: tuple[str, ...] = ()  # values by which an event may name it, as in SfWebhook; letter case does not matter
    takes_phone: bool = False  # whether values may hold the person's number
    # The names of journey events that events may hold, and the key of each; only with action `event`.
    events: Mapping[str, str] = field(default_factory=dict)
    accepts_keys: bool = False  # whether an event may also hold the key itself
    event_delay: timedelta = timedelta()  # from an event's arrival to its journey event
    event_sink: str = ""  # the name of the sink that fires events; empty: this one
    question: str = ""  # what must be asked of the provider before events are fired; until then they are refused
