"""What a provider brings to the house, whichever it is. How it is put together is the provider's own affair."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.delivery.http_client import Credentials
from connector.model.consent import Subscription
from connector.ports import Enricher, Keywords, Poller, Sink, WebhookEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A configured provider: its doors, its sink where it takes commands, and what else it can be asked."""

    name: str
    endpoints: tuple[WebhookEndpoint, ...]
    shapes: Mapping[str, bool]  # shape of its events → whether an opt-out may come in it
    credentials: Credentials  # for its sink, and for all that it is asked
    sink: Sink | None = None
    enricher: Enricher | None = None  # where its events raise questions
    commands: frozenset[str] = field(default_factory=frozenset)  # actions that the sink takes
    subscriptions: tuple[Subscription, ...] = ()
    pollers: tuple[Poller, ...] = ()  # what may have been missed at its doors
    keywords: Keywords | None = None
