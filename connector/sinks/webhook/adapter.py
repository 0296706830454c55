"""Builds a webhook sink from its settings."""

from collections.abc import Callable
from datetime import datetime

from connector.config.secrets import Reveal
from connector.delivery.http_client import FixedCredentials, safe_headers
from connector.model.sink_traits import SinkTraits
from connector.sinks.external import ExternalSink
from connector.sinks.webhook.settings import WebhookSettings
from connector.sinks.webhook.signature import read_secret
from connector.sinks.webhook.sink import WebhookSink

SETTINGS = WebhookSettings


def build(
    name: str, settings: WebhookSettings, reveal: Reveal, _now: Callable[[], datetime]
) -> tuple[ExternalSink, ...]:
    """Build the sink of that name. Raises ConnectorError for a secret that cannot be used."""
    refs = [settings.secret, *([settings.old_secret] if settings.old_secret is not None else [])]
    secrets = [read_secret(reveal(ref).get_secret_value(), str(ref)) for ref in refs]
    headers = safe_headers({header: reveal(ref).get_secret_value() for header, ref in settings.headers.items()})
    return (
        ExternalSink(
            name=name,
            sink=WebhookSink(name=name, url=settings.url, secrets=secrets, headers=headers),
            credentials=FixedCredentials(settings.url),
            only_public=not settings.allow_private,
        ),
    )


def traits(name: str, settings: WebhookSettings) -> SinkTraits:
    """What mappings may do with it. Needs no secrets."""
    return SinkTraits(
        actions=frozenset({"post"}), names=(name, *settings.names), takes_phone="msisdn" in settings.include
    )
