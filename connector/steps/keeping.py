"""What was let in, or asked for → the inbox entries that it becomes."""

import hashlib
from datetime import datetime

from connector.model.errors import Unreadable
from connector.model.event import Event, Part, event_key
from connector.model.exchange import HttpRequest
from connector.model.facts import Received
from connector.model.roles import Admission, Asker, Door
from connector.store.inbox import Entry, Kept
from connector.store.questions import Question

# The same for every request that told nothing: most of them.
NOTHING_TOLD = Admission()


def entries(
    door: Door, request: HttpRequest, admission: Admission = NOTHING_TOLD, asker: Asker | None = None
) -> tuple[Entry, ...]:
    """The events of the request; what is not understood, be it all of it or a part, as it came."""
    body = request.body or request.query.encode()
    try:
        return tuple(
            entry(one, body, asker)
            if isinstance(one, Event)
            else part_entry(one, provider=door.provider, door=door.name, received_at=request.received_at, asker=asker)
            for one in door.read(request, admission)
        )
    except Unreadable as unreadable:
        whole = Part(raw=body, why=unreadable.why)
        return (part_entry(whole, provider=door.provider, door=door.name, received_at=request.received_at),)


def part_entry(part: Part, *, provider: str, door: str, received_at: datetime, asker: Asker | None = None) -> Entry:
    """One of several things, as the inbox takes it; `door` is where it can be read again."""
    if part.event is not None:
        return entry(part.event, part.raw, asker)
    return Entry(
        key=event_key(provider, door, "unreadable", hashlib.sha256(part.raw).hexdigest()),
        provider=provider,
        shape=door,
        msisdn=None,
        received_at=received_at,
        event=None,
        raw=part.raw,
        unreadable=part.why,
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


def received(entry: Entry, kept: Kept) -> Received:
    """What is told of an entry that was kept."""
    return Received(
        provider=entry.provider,
        shape=entry.shape,
        event=kept.reused or entry.key,
        known=kept.known,
        id_reused=kept.reused is not None,
        unreadable=entry.unreadable,
    )
