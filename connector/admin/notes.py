"""Notes: fields that events were delivered without, because a value could not be computed."""

from collections.abc import Mapping
from typing import Any

from connector.admin.context import AdminContext, get_limit, reject_unknown
from connector.admin.failure_groups import places
from connector.admin.masking import Masked, when
from connector.store.notes import StoredNote

CURE = (
    "fix the field in the mapping, or mark it `required: true` so that such a write waits for a person; `connector explain` of the "
    "event shows what was received"
)


async def notes_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The notes of stored events, the newest event first."""
    reject_unknown(payload, "limit")
    limit = get_limit(payload)
    found, lines = context.store.notes.listing(limit=limit), places(context)
    return {
        "notes": [_line(one, lines) for one in found],
        "events": context.store.notes.events(),
        "more": len(found) == limit,
        "cure": CURE,
    }


def _line(one: StoredNote, lines: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": one.event_id,
        "key": one.event_key,
        "received_at": when(one.received_at),
        "state": one.state.value,
        "rule": one.note.rule,
        "place": lines.get(one.note.rule),
        "operation": one.note.operation,
        "field": one.note.field,
        "why": Masked().text(one.note.why),
    }
