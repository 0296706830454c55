"""What was let in, or asked for → the inbox entries that it becomes."""

import hashlib
from datetime import datetime

from connector.model.errors import Unreadable
from connector.model.event import Event, Part, event_key
from connector.model.http import HttpRequest
from connector.ports import AuthResult, Enricher, WebhookEndpoint
from connector.store.enrichment_queue import Question
from connector.store.inbox import Entry, Kept
from connector.telemetry.log_events import CallbackReceived

# The same for every request that told nothing: most of them.
NO_DETAILS = AuthResult()


def entries(
    endpoint: WebhookEndpoint, request: HttpRequest, auth: AuthResult = NO_DETAILS, enricher: Enricher | None = None
) -> tuple[Entry, ...]:
    """The events of the request; what is not understood, be it all of it or a part, as it came."""
    body = request.body or request.query.encode()
    try:
        return tuple(
            entry(one, body, enricher)
            if isinstance(one, Event)
            else part_entry(
                one,
                provider=endpoint.provider,
                endpoint=endpoint.name,
                received_at=request.received_at,
                enricher=enricher,
            )
            for one in endpoint.read(request, auth)
        )
    except Unreadable as unreadable:
        whole = Part(raw=body, why=unreadable.why)
        return (part_entry(whole, provider=endpoint.provider, endpoint=endpoint.name, received_at=request.received_at),)


def part_entry(
    part: Part, *, provider: str, endpoint: str, received_at: datetime, enricher: Enricher | None = None
) -> Entry:
    """One of several things, as the inbox takes it; `endpoint` is where it can be read again."""
    if part.event is not None:
        return entry(part.event, part.raw, enricher)
    return Entry(
        key=event_key(provider, endpoint, "unreadable", hashlib.sha256(part.raw).hexdigest()),
        provider=provider,
        shape=endpoint,
        msisdn=None,
        received_at=received_at,
        event=None,
        raw=part.raw,
        unreadable=part.why,
    )


def entry(event: Event, raw: bytes, enricher: Enricher | None = None) -> Entry:
    """One event, as the inbox takes it; with a question where `enricher` has one about it."""
    return Entry(
        key=event.key,
        provider=event.provider,
        shape=event.shape,
        msisdn=event.msisdn.e164 if event.msisdn else None,
        received_at=event.received_at,
        event=event,
        raw=raw,
        question=question(event, enricher),
    )


def question(event: Event, enricher: Enricher | None) -> Question | None:
    """What is to be answered before the event is planned."""
    if enricher is None or not enricher.wants(event):
        return None
    return Question(first=enricher.first, deadline=enricher.deadline)


def received(entry: Entry, kept: Kept) -> CallbackReceived:
    """What is told of an entry that was kept."""
    return CallbackReceived(
        provider=entry.provider,
        shape=entry.shape,
        event=kept.reused or entry.key,
        known=kept.known,
        id_reused=kept.reused is not None,
        unreadable=entry.unreadable,
    )
