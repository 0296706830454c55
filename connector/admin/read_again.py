"""Parsing the stored body of an unreadable event again, by the provider's reader of today."""

from collections.abc import Sequence

from connector.admin.context import AdminContext
from connector.admin.parse_stored import find_endpoint, read_body
from connector.model.errors import ConnectorError, Unreadable
from connector.model.event import Event, Part
from connector.pipeline.receive import part_entry
from connector.store.inbox import StoredEvent


def parse_again(context: AdminContext, stored: StoredEvent) -> tuple[Event, list[Part]]:
    """The first event of the body, and everything else in it. Raises ConnectorError if it still cannot be read."""
    raw = context.store.inbox.raw(stored.id)
    if raw is None:
        raise ConnectorError(f"the body of event {stored.id} is no longer kept: ask the provider to send it again")
    endpoint = find_endpoint(context.providers, f"{stored.provider}/{stored.shape}")
    try:
        read = read_body(endpoint, raw, stored.received_at)
    except Unreadable as unreadable:
        raise _still_unreadable(stored, unreadable.why) from unreadable
    if not read:
        raise ConnectorError(f"event {stored.id} contains no event: there is nothing to replay")
    parts = [part if isinstance(part, Part) else Part(raw=raw, event=part) for part in read]
    first, *others = sorted(parts, key=lambda part: part.event is None)
    if first.event is None:
        raise _still_unreadable(stored, first.why)
    return first.event, others


async def keep_others(context: AdminContext, stored: StoredEvent, others: Sequence[Part]) -> None:
    """Store the other events of the body as events of their own."""
    endpoint = find_endpoint(context.providers, f"{stored.provider}/{stored.shape}")
    enricher = context.providers[stored.provider].enricher
    entries = [
        part_entry(
            part,
            provider=endpoint.provider,
            endpoint=endpoint.name,
            received_at=stored.received_at,
            enricher=enricher,
        )
        for part in others
    ]
    if entries:
        await context.store.inbox.keep(entries)


def _still_unreadable(stored: StoredEvent, why: str) -> ConnectorError:
    return ConnectorError(
        f"event {stored.id} still cannot be read ({why}): an update of the connector may help; nothing was changed"
    )
