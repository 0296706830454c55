"""Commands about the console: its audit log, and the end of sessions."""

from collections.abc import Mapping
from typing import Any

from connector.admin.context import AdminContext, get_field, get_limit, reject_unknown
from connector.admin.masking import iso_time
from connector.store.audit import MAX_ID


async def console_audit(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Who did what, and who looked at numbers, the newest first. `before` is the last id of the page before."""
    reject_unknown(payload, "limit", "before")
    limit = get_limit(payload)
    found = context.store.audit.listing(limit=limit + 1, before=get_field(payload, "before", int, MAX_ID))
    entries = [
        {
            "id": one.id,
            "at": iso_time(one.at),
            "who": one.who,
            "role": one.role,
            "action": one.action,
            "about": one.about,
            "why": one.why,
        }
        for one in found[:limit]
    ]
    return {"entries": entries, "more": len(found) > limit}


async def console_logout(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Sign people out of the console: all, or one by name."""
    reject_unknown(payload, "user")
    return {"sessions": await context.store.console_sessions.delete_all(get_field(payload, "user", str))}
