"""Lists events of any state by the conditions that a person gives: the newest ones, or page by page."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from connector.admin import labels
from connector.admin.advice import cure
from connector.admin.context import AdminContext, get_field, get_flag, get_limit
from connector.admin.event_filter import event_filter
from connector.admin.masking import Masked, iso_time
from connector.model.states import EventState
from connector.store.inbox import StoredEvent


async def events_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The newest events that meet all conditions, and how many there are in all."""
    wanted = event_filter(context, payload, "limit", "reveal")
    limit = get_limit(payload)
    reveal = get_flag(payload, "reveal")
    found = await asyncio.to_thread(context.store.events.find, wanted, limit)
    total = await asyncio.to_thread(context.store.events.count, wanted) if len(found) == limit else len(found)
    rules = await asyncio.to_thread(context.store.events.rules_of, [one.id for one in found])
    return {
        "events": [_line(one, rules.get(one.id, []), reveal=reveal) for one in found],
        "total": total,
        "more": total > len(found),
    }


async def events_page(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """One page of the events that meet all conditions, the newest first: `before` or `after` an id.

    It takes a bounded time. If that was over, `searched_to` tells the time back to which it has looked.
    """
    wanted = event_filter(context, payload, "limit", "reveal", "before", "after")
    before, after = get_field(payload, "before", int), get_field(payload, "after", int)
    reveal = get_flag(payload, "reveal")
    found = await asyncio.to_thread(
        context.store.event_pages.page, wanted, get_limit(payload), before=before, after=after
    )
    rules = await asyncio.to_thread(context.store.events.rules_of, [one.id for one in found.events])
    phone = None if wanted.phone is None else Masked(reveal=reveal).phone(wanted.phone)
    return {
        "events": [_line(one, rules.get(one.id, []), reveal=reveal) for one in found.events],
        "older": found.older,
        "newer": found.newer,
        "searched_to": iso_time(found.searched_to),
        "phone": phone,
    }


async def events_counts(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """How many events each choice of a filter has, the other filters as they are: of the newest events, not of all."""
    found = await asyncio.to_thread(context.store.event_pages.counts, event_filter(context, payload))
    rules = [rule.label for file in context.rules().files for rule in file.rules]
    return {
        "states": {one.value: found.states.get(one.value, 0) for one in EventState},
        "providers": {name: found.providers.get(name, 0) for name in _known(context, found.providers)},
        "keywords": dict(sorted(found.keywords.items())),
        "rules": {name: found.rules.get(name, 0) for name in dict.fromkeys((*rules, *sorted(found.rules)))},
        "all_states": found.all_states,
        "counted": found.counted,
        "more": found.more,
    }


def _known(context: AdminContext, counted: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*context.providers, *context.loaded.crms, *sorted(counted))))


def _line(stored: StoredEvent, rules: list[str], *, reveal: bool) -> dict[str, Any]:
    event = stored.event
    masked = Masked(reveal=reveal, person=event.msisdn if event else None)
    return {
        "id": stored.id,
        "key": masked.text(stored.key),
        "received_at": iso_time(stored.received_at),
        "provider": stored.provider,
        "shape": stored.shape,
        "action": event.action if event else None,
        "keyword": event.keyword if event else None,
        "phone": masked.phone(event.msisdn) if event else None,
        "text": masked.text(event.text) if event and event.text else None,
        "verdict": event.verdict.value if event else None,
        "state": stored.state.value,
        "words": labels.EVENT_STATES[stored.state],
        "reason": stored.reason,
        "detail": masked.text(stored.detail) if stored.detail else None,
        "cure": cure(stored.reason, str(stored.id)) if stored.state is EventState.DEAD else None,
        "rules": rules,
    }
