"""The providers' readers without authentication and secrets: for a stored body, or one that a person has."""

import re
from collections.abc import Mapping
from datetime import datetime

from pydantic import SecretStr

from connector.config.validation import did_you_mean
from connector.model.errors import ConnectorError
from connector.model.event import Event, Part
from connector.model.http import HttpRequest
from connector.ports import AuthResult, WebhookEndpoint
from connector.providers.provider import Provider
from connector.registry import PROVIDERS, LoadedConfig, opt_out_words

# `http://example.com/Post.aspx?country=USA`, or the first line of a request, `GET /Post.aspx?country=USA HTTP/1.1`
ADDRESS = re.compile(rb"(?:(?:GET|POST)\s+)?(?:(?:https?://|/)[^?\s]*)?\?(?P<query>\S+)(?:\s+HTTP/\S+)?", re.IGNORECASE)
NO_SECRET = SecretStr("not-needed-to-read")


def providers_without_secrets(loaded: LoadedConfig) -> dict[str, Provider]:
    """The configured providers, built without their secrets. Their authenticators would reject everybody, and are not used."""
    words = opt_out_words(loaded)
    return {
        name: PROVIDERS[type(one)].build(name, one, lambda _ref: NO_SECRET, words)
        for name, one in loaded.providers.items()
    }


def find_endpoint(providers: Mapping[str, Provider], name: str) -> WebhookEndpoint:
    """The endpoint `provider/endpoint`; raises ConnectorError with the existing ones."""
    endpoints = {
        f"{provider}/{endpoint.name}": endpoint for provider, one in providers.items() for endpoint in one.endpoints
    }
    if name not in endpoints:
        raise ConnectorError(
            f"there is no endpoint `{name}`: {did_you_mean(name, endpoints) or 'see `providers:` in the config'}"
        )
    return endpoints[name]


def read_example(endpoint: WebhookEndpoint, example: bytes, received_at: datetime) -> tuple[Event | Part, ...]:
    """What the endpoint reads from a body that a person has, or from an address as documents show it; raises Unreadable."""
    address = ADDRESS.fullmatch(example.strip())
    return read_body(endpoint, address["query"] if address else example, received_at)


def read_body(endpoint: WebhookEndpoint, body: bytes, received_at: datetime) -> tuple[Event | Part, ...]:
    """What the endpoint reads from a body (or from a query, if it takes no body); raises Unreadable."""
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
