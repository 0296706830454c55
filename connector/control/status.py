"""How things stand: the books, the sinks, the feeds, and what a person should look at."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from connector.control.causes import stopped
from connector.control.house import House, known
from connector.control.nightly_backup import backup_directory, kept_backups
from connector.control.shown import Shown, when
from connector.delivery.peers import Outlet, Patience
from connector.delivery.quota import Standing
from connector.model.lifecycle import EventState, UnitState
from connector.model.problem import ProblemsFound
from connector.steps.reconciling import last_run
from connector.store.backups import Backup

LISTED = 100  # open opt-outs that are listed one by one


async def status(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """`received` is the sum of `states`; `balanced` says whether it is so."""
    known(payload)
    backups = await asyncio.to_thread(
        kept_backups, house.loaded
    )  # the directory may be on a server that does not answer
    with house.store.snapshot():
        return _now(house, house.now(), backups)


def _now(house: House, now: datetime, backups: Sequence[Backup]) -> dict[str, Any]:
    store = house.store
    counts = store.inbox.counts()
    received = store.inbox.received()
    pending = store.inbox.oldest_pending()
    version, problems = _mapping(house)
    return {
        "received": received,
        "states": {state.value: counts.get(state, 0) for state in EventState},
        "balanced": sum(counts.values()) == received,
        "swept": sum(store.inbox.swept().values()),
        "oldest_pending": when(pending),
        "oldest_pending_seconds": _age(pending, now),
        "sinks": [_sink(house, name, now) for name in dict.fromkeys((*house.sinks, *store.overview.sinks()))],
        "calls": _calls(house, now),
        "dead": {reason.value: count for reason, count in sorted(store.dead_letters.grouped().items())},
        "events_with_notes": store.notes.events(),
        "stopped": stopped(house),
        "late_opt_outs": _late(house, now),
        "feeds": _feeds(house, now),
        "mapping": {"version": version, "problems": problems},
        "store": str(store.path),
        "faults": list(house.faults()),
        "backup": _backup(house, now, backups),
    }


def _sink(house: House, name: str, now: datetime) -> dict[str, Any]:
    counts = house.store.outbox.counts(name)
    oldest = house.store.outbox.oldest(name)
    return {
        "sink": name,
        "configured": name in house.sinks,
        "units": {state.value: counts[state] for state in UnitState},
        "held_by_stops": house.store.stops.held(name),
        "oldest_open": when(oldest),
        "oldest_open_seconds": _age(oldest, now),
        "batch": _batch(house.outlets.get(name)),
        "trouble": _trouble(house.outlets[name].patience, now) if name in house.outlets else None,
    }


def _trouble(patience: Patience, now: datetime) -> dict[str, Any] | None:
    """Why a sink or feed is in trouble now; None while it is well."""
    cause = patience.cause
    if cause is None:
        return None
    return {
        "reason": cause.reason.value,
        "code": cause.code or None,
        "detail": Shown().text(cause.detail) or None,
        "cure": patience.cure,
        "since": when(patience.since),
        "since_seconds": _age(patience.since, now),
    }


def _batch(outlet: Outlet | None) -> dict[str, int] | None:
    return None if outlet is None else {"size": outlet.pace.size, "most": outlet.pace.most}


def _calls(house: House, now: datetime) -> list[dict[str, Any]]:
    """The API calls of the CRMs, which the running daemon counts."""
    budgets = [one.budget for one in house.outlets.values() if one.budget is not None]
    return [_budget(budget.crm, budget.standing(), now) for budget in budgets]


def _budget(crm: str, stands: Standing, now: datetime) -> dict[str, Any]:
    usage, left, lasts = stands.usage, stands.left, stands.lasts
    return {
        "crm": crm,
        "ours": stands.ours,
        "budget": stands.budget,
        "reserve": stands.reserve,
        "left": None if left is None else max(0, left),
        "org_used": usage.used if usage else None,
        "org_maximum": usage.maximum if usage else None,
        "only_opt_outs": stands.terms.only_opt_outs,
        "gap_seconds": round(stands.terms.gap.total_seconds()),
        "lasts_seconds": None if lasts is None else round(lasts.total_seconds()),
        "lasts_until": None if lasts is None else when(now + lasts),
    }


def _late(house: House, now: datetime) -> list[dict[str, Any]]:
    deadline = house.loaded.settings.consent.deadline
    open_ones = house.store.consents.open_opt_outs(now)
    late = [one for one in open_ones if one.age >= deadline or one.failed or one.without_rule][:LISTED]
    return [
        {
            "event": one.event_key,
            "sink": one.sink,
            "since": when(one.since),
            "seconds": round(one.age.total_seconds()),
            "failed": one.failed is not None,
            "detail": Shown().text(one.failed) if one.failed else None,
        }
        for one in late
    ]


def _feeds(house: House, now: datetime) -> list[dict[str, Any]]:
    try:
        feeds = house.rules().feeds
    except ProblemsFound:
        return []
    named = [(f"{crm}.{name}", plan) for crm, by in feeds.items() for name, plan in by.items()]
    return [
        {
            "feed": name,
            "every_seconds": round(plan.every.total_seconds()),
            **cursor_shown(house.store.following.cursor(name)),
            "trouble": _trouble(house.watches[name].patience, now) if name in house.watches else None,
            "reconciled": _reconciled(house, name, now),
        }
        for name, plan in named
    ]


def _reconciled(house: House, feed: str, now: datetime) -> dict[str, Any] | None:
    """The last comparison of all records of a feed; None where there was none."""
    last = last_run(house.store, feed)
    if not last:
        return None
    ended = datetime.fromisoformat(last["ended"])
    succeeded = last["succeeded"]
    return {
        "ended": when(ended),
        "ended_seconds": _age(ended, now),
        "succeeded_seconds": _age(datetime.fromisoformat(succeeded), now) if succeeded else None,
        "compared": last["compared"],
        "changes": last["changes"],
        "why": Shown().text(last["why"]) or None,
    }


def cursor_shown(text: str | None) -> dict[str, Any]:
    """Where a feed is, as its cursor tells; as if it had not begun where that cannot be read."""
    try:
        stored = orjson.loads(text or "")
        over, position = not stored.get("baseline", True), stored.get("position")
    except (ValueError, AttributeError):
        return {"begun": False, "first_look_over": False, "position": None}
    return {"begun": True, "first_look_over": over, "position": position}


def _backup(house: House, now: datetime, backups: Sequence[Backup]) -> dict[str, Any]:
    last = backups[0] if backups else None
    return {
        "enabled": house.loaded.settings.store.backup.enabled,
        "directory": str(backup_directory(house.loaded)),
        "kept": len(backups),
        "file": last.path.name if last else None,
        "bytes": last.size if last else None,
        "taken_at": when(last.taken_at) if last else None,
        "seconds": _age(last.taken_at, now) if last else None,
    }


def _mapping(house: House) -> tuple[str | None, int]:
    try:
        return house.rules().version, 0
    except ProblemsFound as found:
        return None, len(found.problems)


def _age(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, round((now - moment).total_seconds()))
