"""Lists events of any state, by the conditions that a person gives."""

import asyncio
from collections.abc import Mapping
from typing import Any

from connector.admin import labels
from connector.admin.advice import cure
from connector.admin.context import AdminContext, get_field, get_limit
from connector.admin.event_filter import event_filter
from connector.admin.masking import Masked, when
from connector.model.states import EventState
from connector.store.inbox import StoredEvent


async def events_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The newest events that meet all conditions, and how many there are in all."""
    wanted = event_filter(context, payload, "limit", "reveal")
    limit = get_limit(payload)
    reveal = bool(get_field(payload, "reveal", bool, False))
    found = await asyncio.to_thread(context.store.events.find, wanted, limit)
    total = await asyncio.to_thread(context.store.events.count, wanted) if len(found) == limit else len(found)
    rules = await asyncio.to_thread(context.store.events.rules_of, [one.id for one in found])
    return {
        "events": [_line(one, rules.get(one.id, []), reveal=reveal) for one in found],
        "total": total,
        "more": total > len(found),
    }


def _line(one: StoredEvent, rules: list[str], *, reveal: bool) -> dict[str, Any]:
    event = one.event
    masked = Masked(reveal=reveal, person=event.msisdn if event else None)
    return {
        "id": one.id,
        "key": one.key,
        "received_at": when(one.received_at),
        "provider": one.provider,
        "shape": one.shape,
        "action": event.action if event else None,
        "keyword": event.keyword if event else None,
        "phone": masked.phone(event.msisdn) if event else None,
        "verdict": event.verdict.value if event else None,
        "state": one.state.value,
        "words": labels.EVENT_STATES[one.state],
        "reason": one.reason,
        "detail": masked.text(one.detail) if one.detail else None,
        "cure": cure(one.reason, str(one.id)) if one.state is EventState.DEAD else None,
        "rules": rules,
    }
