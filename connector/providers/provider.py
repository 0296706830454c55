"""What a provider brings to the house, whichever it is. How it is put together is the provider's own affair."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.delivery.transport import Credentials
from connector.model.consent import Subscription
from connector.model.roles import Asker, Door, Sink


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A configured provider: its doors, its sink where it takes commands, and its asker where its events raise questions."""

    name: str
    doors: tuple[Door, ...]
    shapes: Mapping[str, bool]  # shape of its events → whether an opt-out may come in it
    credentials: Credentials  # for its sink, and for what its doors ask
    sink: Sink | None = None
    asker: Asker | None = None
    commands: frozenset[str] = field(default_factory=frozenset)  # actions that the sink takes
    subscriptions: tuple[Subscription, ...] = ()
