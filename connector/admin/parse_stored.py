"""The providers' readers without their locks and secrets: for a body that is already ours, or that a person holds in hand."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import SecretStr

from connector.config.validation import did_you_mean
from connector.model.errors import ConnectorError
from connector.model.event import Event, Part
from connector.model.http import HttpRequest
from connector.ports import AuthResult, WebhookEndpoint
from connector.providers.provider import Provider
from connector.registry import PROVIDERS, Loaded, opt_out_words

NO_SECRET = SecretStr("not-needed-to-read")


def unlocked(loaded: Loaded) -> dict[str, Provider]:
    """The configured providers, built without their secrets: their locks would let nobody in, and are not asked."""
    words = opt_out_words(loaded)
    return {
        name: PROVIDERS[type(one)].build(name, one, lambda _ref: NO_SECRET, words)
        for name, one in loaded.providers.items()
    }


def find_endpoint(providers: Mapping[str, Provider], name: str) -> WebhookEndpoint:
    """The door `provider/door`; raises ConnectorError with those that there are."""
    endpoints = {
        f"{provider}/{endpoint.name}": endpoint for provider, one in providers.items() for endpoint in one.endpoints
    }
    if name not in endpoints:
        raise ConnectorError(
            f"there is no door `{name}`: {did_you_mean(name, endpoints) or 'see `providers:` in the config'}"
        )
    return endpoints[name]


def read_body(endpoint: WebhookEndpoint, body: bytes, received_at: datetime) -> tuple[Event | Part, ...]:
    """What the door makes of a body (or of a query, where it takes no body); raises Unreadable."""
    request = HttpRequest(
        method="POST" if "POST" in endpoint.methods else "GET",
        instance=endpoint.provider,
        endpoint=endpoint.name,
        secret=None,
        url="",
        query="" if "POST" in endpoint.methods else body.decode("utf-8", "replace").strip(),
        headers={"content-type": "application/json"},
        body=body,
        peer="",
        received_at=received_at,
    )
    return endpoint.read(request, AuthResult())
