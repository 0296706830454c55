"""Notes: fields that events were delivered without, because a value could not be computed."""

from collections.abc import Mapping
from typing import Any

from connector.admin.context import AdminContext, get_limit, reject_unknown
from connector.admin.failure_groups import rule_places
from connector.admin.masking import Masked, iso_time
from connector.store.notes import StoredNote

CURE = (
    "fix the field in the mapping, or mark it `required: true` so that such a write waits for a person; `connector explain` of the "
    "event shows what was received"
)


async def notes_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The notes of stored events, the newest event first."""
    reject_unknown(payload, "limit")
    limit = get_limit(payload)
    found, lines = context.store.notes.listing(limit=limit), rule_places(context)
    return {
        "notes": [_line(one, lines) for one in found],
        "events": context.store.notes.events(),
        "more": len(found) == limit,
        "cure": CURE,
    }


def _line(stored: StoredNote, lines: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": stored.event_id,
        "key": stored.event_key,
        "received_at": iso_time(stored.received_at),
        "state": stored.state.value,
        "rule": stored.note.rule,
        "place": lines.get(stored.note.rule),
        "operation": stored.note.operation,
        "field": stored.note.field,
        "why": Masked().text(stored.note.why),
    }
