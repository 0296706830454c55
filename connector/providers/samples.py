"""Samples of a provider's events, so that a mapping can be checked before real opt-outs depend on it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from connector.model.event import Event
from connector.model.http import HttpRequest

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)  # a sample must not depend on the current day

Words = Mapping[str, tuple[str, ...]]  # path of an event → the words that the provider is known to send there


class OptOutSample(Struct, frozen=True, kw_only=True):
    """An opt-out, made by the provider's own reader from a body like those in the provider's document."""

    name: str  # with its article, for people: `a Strex report with SystemAction Unsubscribe`
    event: Event


def sample_request(provider: str, endpoint: str, *, query: str = "", body: bytes = b"") -> HttpRequest:
    """A request as an endpoint receives it."""
    return HttpRequest(
        method="GET" if query else "POST",
        instance=provider,
        endpoint=endpoint,
        secret=None,
        url="",
        query=query,
        headers={},
        body=body,
        peer="",
        received_at=WHEN,
    )
