"""A request that was let in → the inbox entries that it becomes."""

import hashlib

from connector.model.errors import Unreadable
from connector.model.event import Event, event_key
from connector.model.exchange import HttpRequest
from connector.model.roles import Door
from connector.store.inbox import Entry


def entries(door: Door, request: HttpRequest) -> tuple[Entry, ...]:
    """The events of the request, or the request itself as it came where it is not understood."""
    try:
        return tuple(entry(event, request.body) for event in door.read(request))
    except Unreadable as unreadable:
        body = request.body or request.query.encode()
        digest = hashlib.sha256(body).hexdigest()
        return (
            Entry(
                key=event_key(door.provider, door.name, "unreadable", digest),
                provider=door.provider,
                shape=door.name,
                msisdn=None,
                received_at=request.received_at,
                event=None,
                raw=body,
                unreadable=unreadable.why,
            ),
        )


def entry(event: Event, raw: bytes) -> Entry:
    """One event, as the inbox takes it."""
    return Entry(
        key=event.key,
        provider=event.provider,
        shape=event.shape,
        msisdn=event.msisdn.e164 if event.msisdn else None,
        received_at=event.received_at,
        event=event,
        raw=raw,
    )
