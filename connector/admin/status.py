"""The current state: totals, sinks, feeds, and what a person should look at."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from connector.admin.charges import charging
from connector.admin.context import AdminContext, reject_unknown
from connector.admin.failure_groups import suspended_rules
from connector.admin.masking import Masked, iso_time
from connector.admin.nightly_backup import backup_directory, kept_backups
from connector.admin.status_problems import problems
from connector.delivery.channels import CircuitBreaker, SinkChannel
from connector.delivery.throttle import BudgetState
from connector.model.problem import ProblemsFound
from connector.model.states import EventState, UnitState
from connector.pipeline.reconcile import last_run
from connector.store.backups import Backup
from connector.telemetry.activity import FAILED, HOUR, IN, OUT, Activity
from connector.telemetry.current_alarms import RaisedAlarm

DAY = 24  # hours
LISTED = 100  # open opt-outs that are listed one by one


async def status(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """`received` is the sum of `states`; `balanced` says whether that is so."""
    reject_unknown(payload)
    backups = await asyncio.to_thread(
        kept_backups, context.loaded
    )  # the directory may be on a server that does not answer
    with context.store.snapshot():
        return _document(context, context.now(), backups)


def _document(context: AdminContext, now: datetime, backups: Sequence[Backup]) -> dict[str, Any]:
    store = context.store
    counts = store.inbox.counts()
    received = store.inbox.received()
    pending = store.inbox.oldest_pending()
    document = {
        "daemon": _daemon(context, now),
        "received": received,
        "states": {state.value: counts.get(state, 0) for state in EventState},
        "balanced": sum(counts.values()) == received,
        "swept": sum(store.inbox.swept().values()),
        "oldest_pending": iso_time(pending),
        "oldest_pending_seconds": _age(pending, now),
        "sinks": [_sink(context, name, now) for name in dict.fromkeys((*context.sinks, *store.overview.sinks()))],
        "calls": _calls(context, now),
        "dead": {reason.value: count for reason, count in sorted(store.dead_letters.counts_by_reason().items())},
        "events_with_notes": store.notes.events(),
        "stopped": suspended_rules(context),
        "late_opt_outs": late_opt_outs(context, now),
        "feeds": _feeds(context, now),
        "charging": charging(context),
        "mapping": _mapping(context),
        "store": str(store.path),
        "faults": list(context.faults()),
        "alarms": [_alarm(one, now) for one in context.alarms()],
        "backup": _backup(context, now, backups),
        "activity": _activity(context),
    }
    return {**document, "problems": problems(document)}


def _daemon(context: AdminContext, now: datetime) -> dict[str, Any]:
    return {
        "running": context.started is not None,
        "since": iso_time(context.started),
        "since_seconds": _age(context.started, now),
        "console": _console(context) if context.started else None,
    }


def _console(context: AdminContext) -> str:
    """The address of the console, as a browser reaches it."""
    settings = context.loaded.settings
    admin = settings.admin
    host = f"[{admin.host}]" if ":" in admin.host else admin.host
    return f"{settings.console.public_url or f'http://{host}:{admin.port}'}/console/"


def _activity(context: AdminContext) -> dict[str, Any]:
    """What came in and was written in each of the last 24 hours, and when that was last for each provider and CRM."""
    counted = context.activity or Activity(context.now, context.store.activity.all())
    by_hour = {kind: dict(counted.by_hour(kind, DAY)) for kind in (IN, OUT, FAILED)}
    names = dict.fromkeys((*context.loaded.providers, *context.sinks))
    return {
        "hours": [
            {
                "from": iso_time(datetime.fromtimestamp(hour * HOUR, UTC)),
                "received": by_hour[IN][hour],
                "delivered": by_hour[OUT][hour],
                "dead": by_hour[FAILED][hour],
            }
            for hour in by_hour[IN]
        ],
        "last": {
            name: {"received": iso_time(counted.last(IN, name)), "delivered": iso_time(counted.last(OUT, name))}
            for name in names
        },
    }


def _alarm(raised: RaisedAlarm, now: datetime) -> dict[str, Any]:
    return {
        "kind": raised.alarm.kind,
        "about": raised.alarm.about,
        "message": raised.alarm.message,
        "cure": raised.alarm.cure,
        "since": iso_time(raised.since),
        "since_seconds": _age(raised.since, now),
    }


def _sink(context: AdminContext, name: str, now: datetime) -> dict[str, Any]:
    counts = context.store.outbox.counts(name)
    oldest = context.store.outbox.oldest(name)
    return {
        "sink": name,
        "configured": name in context.sinks,
        "units": {state.value: counts[state] for state in UnitState},
        "held_by_stops": context.store.suspensions.held(name),
        "oldest_open": iso_time(oldest),
        "oldest_open_seconds": _age(oldest, now),
        "batch": _batch(context.sink_channels.get(name)),
        "trouble": _failure(context.sink_channels[name].breaker, now) if name in context.sink_channels else None,
    }


def _failure(breaker: CircuitBreaker, now: datetime) -> dict[str, Any] | None:
    """The current fault of a sink or feed; None if there is none."""
    cause = breaker.cause
    if cause is None:
        return None
    return {
        "reason": cause.reason.value,
        "code": cause.code or None,
        "detail": Masked().text(cause.detail) or None,
        "cure": breaker.cure,
        "since": iso_time(breaker.since),
        "since_seconds": _age(breaker.since, now),
    }


def _batch(channel: SinkChannel | None) -> dict[str, int] | None:
    return None if channel is None else {"size": channel.batch_size.size, "most": channel.batch_size.maximum}


def _calls(context: AdminContext, now: datetime) -> list[dict[str, Any]]:
    """The API calls to the CRMs, which the running daemon counts."""
    budgets = [one.budget for one in context.sink_channels.values() if one.budget is not None]
    return [_budget(budget.crm, budget.state(), now) for budget in budgets]


def _budget(crm: str, stands: BudgetState, now: datetime) -> dict[str, Any]:
    usage, left, lasts = stands.usage, stands.left, stands.lasts
    return {
        "crm": crm,
        "ours": stands.ours,
        "budget": stands.budget,
        "reserve": stands.reserve,
        "left": None if left is None else max(0, left),
        "org_used": usage.used if usage else None,
        "org_maximum": usage.maximum if usage else None,
        "only_opt_outs": stands.limits.only_opt_outs,
        "gap_seconds": round(stands.limits.gap.total_seconds()),
        "lasts_seconds": None if lasts is None else round(lasts.total_seconds()),
        "lasts_until": None if lasts is None else iso_time(now + lasts),
    }


def late_opt_outs(context: AdminContext, now: datetime) -> list[dict[str, Any]]:
    """The opt-outs that are not confirmed in time, refused, or without a rule, the oldest first."""
    deadline = context.loaded.settings.consent.deadline
    open_ones = context.store.consents.open_opt_outs(now)
    late = [one for one in open_ones if one.age >= deadline or one.failed or one.without_rule][:LISTED]
    return [
        {
            "id": one.event_id,
            "event": one.event_key,
            "sink": one.sink,
            "since": iso_time(one.since),
            "seconds": round(one.age.total_seconds()),
            "failed": one.failed is not None,
            "detail": Masked().text(one.failed) if one.failed else None,
        }
        for one in late
    ]


def _feeds(context: AdminContext, now: datetime) -> list[dict[str, Any]]:
    try:
        feeds = context.rules().feeds
    except ProblemsFound:
        return []
    named = [(f"{crm}.{name}", plan) for crm, by in feeds.items() for name, plan in by.items()]
    return [
        {
            "feed": name,
            "every_seconds": round(plan.every.total_seconds()),
            **feed_position(context.store.following.cursor(name)),
            "trouble": _failure(context.feed_channels[name].breaker, now) if name in context.feed_channels else None,
            "reconciled": _reconciled(context, name, now),
        }
        for name, plan in named
    ]


def _reconciled(context: AdminContext, feed: str, now: datetime) -> dict[str, Any] | None:
    """The last comparison of all records of a feed; None if there was none."""
    last = last_run(context.store, feed)
    if not last:
        return None
    ended = datetime.fromisoformat(last["ended"])
    succeeded = last["succeeded"]
    return {
        "ended": iso_time(ended),
        "ended_seconds": _age(ended, now),
        "succeeded_seconds": _age(datetime.fromisoformat(succeeded), now) if succeeded else None,
        "compared": last["compared"],
        "changes": last["changes"],
        "why": Masked().text(last["why"]) or None,
    }


def feed_position(text: str | None) -> dict[str, Any]:
    """The position of a feed, from its cursor; shown as not started if that cannot be read."""
    try:
        stored = orjson.loads(text or "")
        over, position = not stored.get("baseline", True), stored.get("position")
    except (ValueError, AttributeError):
        return {"begun": False, "first_look_over": False, "position": None}
    return {"begun": True, "first_look_over": over, "position": position}


def _backup(context: AdminContext, now: datetime, backups: Sequence[Backup]) -> dict[str, Any]:
    last = backups[0] if backups else None
    return {
        "enabled": context.loaded.settings.store.backup.enabled,
        "directory": str(backup_directory(context.loaded)),
        "kept": len(backups),
        "file": last.path.name if last else None,
        "bytes": last.size if last else None,
        "taken_at": iso_time(last.taken_at) if last else None,
        "seconds": _age(last.taken_at, now) if last else None,
    }


def _mapping(context: AdminContext) -> dict[str, Any]:
    """The mappings in use, and the problems of the files that were refused since."""
    accepted, refused = context.store.mappings.accepted(), context.store.mappings.refused()
    try:
        version, problems = context.rules().version, 0
    except ProblemsFound as found:
        version, problems = None, len(found.problems)
    return {
        "version": version,
        "accepted_at": iso_time(accepted.accepted_at) if accepted else None,
        "problems": problems,
        "refused_at": iso_time(refused.refused_at) if refused else None,
        "refused_for": list(refused.problems) if refused else [],
    }


def _age(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, round((now - moment).total_seconds()))
