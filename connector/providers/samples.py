"""What a provider says of its own events, so that a mapping can be checked before a donor's word depends on it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from connector.model.event import Event
from connector.model.http import HttpRequest

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)  # a sample must not depend on the day

Words = Mapping[str, tuple[str, ...]]  # path of an event → the words that the provider is known to send there


class OptOutSample(Struct, frozen=True, kw_only=True):
    """An opt-out as the provider's own reader makes it of a body like those of its document."""

    name: str  # with its article, for people: `a Strex report with SystemAction Unsubscribe`
    event: Event


def sample_request(provider: str, endpoint: str, *, query: str = "", body: bytes = b"") -> HttpRequest:
    """A request as it comes to a door."""
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
