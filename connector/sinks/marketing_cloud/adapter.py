"""Builds the sinks of a Marketing Cloud package from its settings: one for rows, and one for journey events."""

from collections.abc import Callable
from datetime import datetime

from connector.config.secrets import Reveal
from connector.delivery.http_client import FixedCredentials
from connector.model.sink_traits import SinkTraits
from connector.sinks.external import ExternalSink
from connector.sinks.marketing_cloud.client import Package
from connector.sinks.marketing_cloud.events import EventSink
from connector.sinks.marketing_cloud.rows import RowSink
from connector.sinks.marketing_cloud.settings import MarketingCloudSettings

SETTINGS = MarketingCloudSettings

EVENTS = ".events"  # behind the name: an event in doubt must not hold back rows
QUESTION = (
    "ask Strex whether its Journey Builder activity updates the event itself after sending: if it does, a second event "
    "would send the donor through the journey twice. If it does not, set `strex_agreed: true`"
)


def build(
    name: str, settings: MarketingCloudSettings, reveal: Reveal, now: Callable[[], datetime]
) -> tuple[ExternalSink, ...]:
    """Build the sinks of that name; `now` returns the time, aware. Raises ConnectorError for a secret that cannot be read."""
    package = Package(
        auth_url=settings.auth_url,
        client_id=settings.client_id,
        client_secret=reveal(settings.client_secret).get_secret_value(),
        account_id=settings.account_id,
    )
    credentials = FixedCredentials(settings.auth_url)
    return (
        ExternalSink(name=name, sink=RowSink(name=name, package=package), credentials=credentials),
        ExternalSink(
            name=name + EVENTS, sink=EventSink(name=name + EVENTS, package=package, now=now), credentials=credentials
        ),
    )


def traits(name: str, settings: MarketingCloudSettings) -> SinkTraits:
    """What mappings may do with it. Needs no secrets."""
    return SinkTraits(
        actions=frozenset({"row", "event"}),
        names=(name,),
        takes_phone=True,
        events=settings.events,
        accepts_keys=settings.accept_keys,
        event_delay=settings.event_delay,
        event_sink=name + EVENTS,
        question="" if settings.strex_agreed else QUESTION,
    )
