"""A request that was let in → the inbox entries that it becomes."""

import hashlib

from connector.model.errors import Unreadable
from connector.model.event import Event, event_key
from connector.model.exchange import HttpRequest
from connector.model.roles import Admission, Asker, Door
from connector.store.inbox import Entry
from connector.store.questions import Question

# The same for every request that told nothing: most of them.
NOTHING_TOLD = Admission()


def entries(
    door: Door, request: HttpRequest, admission: Admission = NOTHING_TOLD, asker: Asker | None = None
) -> tuple[Entry, ...]:
    """The events of the request, or the request itself as it came where it is not understood."""
    body = request.body or request.query.encode()
    try:
        return tuple(entry(event, body, asker) for event in door.read(request, admission))
    except Unreadable as unreadable:
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


def entry(event: Event, raw: bytes, asker: Asker | None = None) -> Entry:
    """One event, as the inbox takes it; with a question where `asker` has one about it."""
    return Entry(
        key=event.key,
        provider=event.provider,
        shape=event.shape,
        msisdn=event.msisdn.e164 if event.msisdn else None,
        received_at=event.received_at,
        event=event,
        raw=raw,
        question=question(event, asker),
    )


def question(event: Event, asker: Asker | None) -> Question | None:
    """What is to be answered before the event is planned."""
    if asker is None or not asker.wants(event):
        return None
    return Question(first=asker.first, deadline=asker.deadline)
