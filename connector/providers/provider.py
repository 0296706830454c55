"""What every provider offers to the application. Each provider builds its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.delivery.http_client import Credentials
from connector.model.consent import Subscription
from connector.ports import Charger, Enricher, KeywordApi, Poller, Sink, WebhookEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A configured provider: its endpoints, its sink if it takes commands, and what else it can be asked."""

    name: str
    endpoints: tuple[WebhookEndpoint, ...]
    shapes: Mapping[str, bool]  # shape of its events → whether an opt-out may come in it
    credentials: Credentials  # for its sink, and for all other calls to it
    sink: Sink | None = None
    enricher: Enricher | None = None  # set if its events need look-ups
    commands: frozenset[str] = field(default_factory=frozenset)  # actions that the sink takes
    subscriptions: tuple[Subscription, ...] = ()
    pollers: tuple[Poller, ...] = ()  # they read what its endpoints may have missed
    keywords: KeywordApi | None = None
    charger: Charger | None = None  # set if its donors are charged by us
