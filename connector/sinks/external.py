"""What every such sink offers to the application. Each kind builds its own."""

from dataclasses import dataclass

from connector.delivery.http_client import Credentials
from connector.ports import Sink, WebhookEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalSink:
    """A configured sink."""

    name: str
    sink: Sink
    credentials: Credentials
    only_public: bool = False  # calls go to public addresses alone
    endpoints: tuple[WebhookEndpoint, ...] = ()  # none of them is called by its system
