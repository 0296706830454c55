"""What needs a person, in one document: late opt-outs first, then failures by cause, questions, and what no rule takes."""

from collections.abc import Mapping
from typing import Any

from connector.admin.charges import DECISIONS, charge_document, charging
from connector.admin.context import AdminContext, get_flag, reject_unknown
from connector.admin.failure_groups import failure_groups, suspended_rules
from connector.admin.masking import Masked, iso_time
from connector.admin.open_questions import questions_of_letters, stop_question
from connector.admin.status import late_opt_outs
from connector.admin.stop_questions import asked_stop_questions
from connector.model.charge import RunState
from connector.model.outcome import Reason
from connector.model.states import EventState

DRIFT = "schema_drift"  # the kind of alarm that tells that a CRM lacks what the mappings write
LISTED = 100  # of each kind
NEWEST = 2000  # unmatched events that are counted by action
GROUPS = 50  # kinds of unmatched events that are listed


async def needs_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """All that waits for a person. `total` counts what must be decided or repaired."""
    reject_unknown(payload, "reveal")
    reveal = get_flag(payload, "reveal")
    masked = Masked(reveal=reveal)
    store, now = context.store, context.now()
    with store.snapshot():
        parked = store.dead_letters.listing(limit=LISTED, parked=True)
        counts = store.dead_letters.counts_by_reason()
        document: dict[str, Any] = {
            "late_opt_outs": late_opt_outs(context, now),
            "dead": [{**one, "words": _first_detail(context, one)} for one in failure_groups(context)[:LISTED]],
            "stop_questions": _stop_questions(context, reveal=reveal),
            "parked": questions_of_letters(context, parked, masked),
            "parked_more": len(parked) == LISTED,
            "suspended": suspended_rules(context),
            "drift": [
                {"message": one.alarm.message, "cure": one.alarm.cure, "since": iso_time(one.since)}
                for one in context.alarms()
                if one.alarm.kind == DRIFT
            ],
            "charges": [
                {**charge_document(one, masked), "decisions": DECISIONS[one.state]}
                for one in store.charges.all_in_doubt(LISTED)
            ],
            "charge_runs": _charge_runs(context),
            "unmatched": _newest_by_action(context, EventState.UNMATCHED),
            "unmatched_count": _still_stored(context, EventState.UNMATCHED),
            "unreadable": _newest_by_action(context, EventState.UNREADABLE),
            "unreadable_count": _still_stored(context, EventState.UNREADABLE),
            "newest": NEWEST,
        }
    failed = sum(count for reason, count in counts.items() if reason is not Reason.NEEDS_PERSON)
    waiting = sum(len(document[name]) for name in ("late_opt_outs", "suspended", "charges", "charge_runs"))
    return {**document, "total": failed + counts.get(Reason.NEEDS_PERSON, 0) + waiting}


def _charge_runs(context: AdminContext) -> list[dict[str, Any]]:
    """Charges that wait for a person: a day's run that is to be approved, or all of a provider that were paused."""
    found: list[dict[str, Any]] = []
    for one in charging(context):
        run = one["run"]
        if run is not None and run["state"] in {RunState.WAITING, RunState.STOPPED}:
            found.append({"provider": one["provider"], "what": "approve", **run})
        if one["paused"]:
            found.append({"provider": one["provider"], "what": "resume", "why": one["paused"]})
    return found


def _first_detail(context: AdminContext, group: Mapping[str, Any]) -> str | None:
    """What the CRM or provider said about the first event of a group."""
    letters = context.store.dead_letters.of_event(group["first"])
    detail = next((one.detail for one in letters if one.sink == group["sink"] and one.reason == group["reason"]), None)
    return Masked().text(detail) if detail else None


def _stop_questions(context: AdminContext, *, reveal: bool) -> list[dict[str, Any]]:
    """The questions about texts that may be opt-outs, each once, the oldest first."""
    asked = [
        stop_question(event_id, event, Masked(reveal=reveal, person=event.msisdn), count=count)
        for event_id, event, count in asked_stop_questions(context)
    ]
    return asked[:LISTED]


def _still_stored(context: AdminContext, state: EventState) -> int:
    """How many events in the state are still stored."""
    return context.store.inbox.counts().get(state, 0) - context.store.inbox.swept().get(state, 0)


def _newest_by_action(context: AdminContext, state: EventState) -> list[dict[str, Any]]:
    """The newest events in the state by sender and action, the most frequent first, each with its newest event."""
    return [
        {
            "provider": one.provider,
            "shape": one.shape,
            "action": one.action,
            "count": one.count,
            "event": one.event_id,
            "last_received_at": iso_time(one.received_at),
            "detail": Masked().text(one.detail) if one.detail else None,
        }
        for one in context.store.inbox.kinds(state, newest=NEWEST, limit=GROUPS)
    ]
