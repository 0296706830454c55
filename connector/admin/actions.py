"""Actions of people on what waits for them: what an action would do, doing it, and later what became of each event.

The console calls them. Each action is one of the commands of dead_letters.py, replays.py and stop_questions.py.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from connector.admin import labels
from connector.admin.advice import cure
from connector.admin.context import AdminContext, get_field, get_flag, reject_unknown
from connector.admin.dead_letters import dead_discard, parked_discard, parked_release
from connector.admin.failure_groups import cause_of
from connector.admin.masking import Masked, iso_time
from connector.admin.open_questions import DROP, RELEASE
from connector.admin.replays import UNDER_WAY, dead_retry, replay, replayable_events
from connector.admin.stop_questions import WAS, WAS_NOT, answer_stop
from connector.consent.stop_questions import question_about
from connector.model.errors import ConnectorError
from connector.model.event import Verdict
from connector.model.outcome import Reason
from connector.model.states import EventState
from connector.registry import cure_of_code
from connector.store.actions import Action, EventNow, StateCount

RETRY, DISCARD, REPLAY = "retry", "discard", "replay"
LISTED = 100  # events that are listed one by one
SHOWN = 20  # actions
MAX_EVENTS = 10_000  # events of a replay, or of a suspended rule, that are followed
NOTHING = {EventState.IGNORED, EventState.UNMATCHED, EventState.NO_CHANGE, EventState.SUPERSEDED}

WORDS = {
    RETRY: "Retry {events}{about}",
    DISCARD: "Discard the dead letters of {events}{about}",
    RELEASE: "Send what is parked of {events}",
    DROP: "Discard what is parked of {events}",
    REPLAY: "Replay {events}",
    WAS: "Answer for {events}: it was a stop",
    WAS_NOT: "Answer for {events}: it was not a stop",
}
NONE_CONCERNED = {
    RETRY: "none of the chosen events has a dead letter: there is nothing to retry",
    DISCARD: "none of the chosen events has a dead letter: there is nothing to discard",
    REPLAY: "none of the chosen events can be replayed: they are under way, discarded, or wait for a decision",
}

Which = Mapping[str, Any]
Command = Callable[[AdminContext, Mapping[str, Any]], Awaitable[dict[str, Any]]]


async def action_preview(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What an action would do. `what` is the action; `ids`, `group`, `rule` or a filter of events say to which events."""
    what, which, reveal = _read(payload)
    ids = await _concerned(context, what, which)
    chosen = len(set(which["ids"])) if "ids" in which else len(ids)
    if not ids and chosen:
        raise ConnectorError(NONE_CONCERNED[what])
    answer: dict[str, Any] = {
        "what": what,
        "words": _words(what, which, len(ids)),
        "events": len(ids),
        "left_out": max(0, chosen - len(ids)) if what in NONE_CONCERNED else 0,
        "open_opt_outs": len({one.event_id for one in context.store.consents.open_of(ids, context.now())}),
        "stops_tried": 0,
        "may_be_done": [],
        "preview": None,
        "operations": [],
    }
    if what in {RETRY, REPLAY}:
        command: Command = dead_retry if what == RETRY else replay
        dry_run = await command(context, {**which, "dry_run": True, "reveal": reveal})
        answer |= {"preview": dry_run.get("preview"), "stops_tried": dry_run.get("stops_tried", 0)}
        if what == REPLAY and "to_replay" in dry_run:
            answer["to_replay"] = dry_run["to_replay"]
    elif what == RELEASE:
        answer["operations"] = _operations(context, ids, reveal=reveal)
    return answer


async def action_do(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Do an action. `who` is the person. By the `action` of the answer, action_show() says what became of each event."""
    given = dict(payload)
    who = get_field(given, "who", str) or "a person"
    given.pop("who", None)
    what, which, _ = _read(given)
    ids = await _concerned(context, what, which)
    left: list[int] = []
    match what:
        case "retry":
            left = (await dead_retry(context, which))["may_be_done"]
        case "discard":
            await dead_discard(context, {"ids": ids})
        case "release":
            await parked_release(context, which)
        case "drop":
            await parked_discard(context, which)
        case "replay":
            await replay(context, which)
        case _:
            ids = (await answer_stop(context, {"id": _only_event(which), "answer": what}))["planned"] or [
                _only_event(which)
            ]
    words = _words(what, which, len(ids))
    action = await context.store.actions.add(who, words, ids, context.now())
    return {"action": action, "words": words, "events": len(ids), "may_be_done": left}


async def action_show(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What became of the events of an action until now."""
    reject_unknown(payload, "id")
    named = get_field(payload, "id", int)
    found = context.store.actions.get(named) if named is not None and 0 <= named < 2**63 else None
    if found is None:
        raise ConnectorError("there is no such action, or it is older than 30 days")
    action, event_ids = found.action, found.event_ids
    counts = context.store.actions.states(event_ids)
    lines = context.store.actions.lines(event_ids, LISTED)
    return {
        **_document(action),
        "seconds": max(0, round((context.now() - action.at).total_seconds())),
        "events": len(event_ids),
        "summary": _summary(len(event_ids), counts, lines),
        "finished": not any(one.state in UNDER_WAY for one in counts),
        "lines": [_line(context, one) for one in lines],
        "more": len(event_ids) > LISTED,
    }


async def actions_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The newest actions."""
    reject_unknown(payload)
    return {"actions": [_document(one) for one in context.store.actions.newest(SHOWN)]}


def _document(action: Action) -> dict[str, Any]:
    return {"id": action.id, "at": iso_time(action.at), "who": action.who, "words": action.words}


def _read(payload: Mapping[str, Any]) -> tuple[str, dict[str, Any], bool]:
    """The action and what says to which events. Raises ConnectorError."""
    which = {name: value for name, value in payload.items() if name not in {"what", "reveal"}}
    what = get_field(payload, "what", str, "")
    if what not in WORDS:
        raise ConnectorError("there is no such action")
    return what, which, get_flag(payload, "reveal")


async def _concerned(context: AdminContext, what: str, which: Which) -> list[int]:
    """The events that the action concerns. Raises ConnectorError."""
    if what == REPLAY:
        found, _ = await replayable_events(context, which)
        if len(found) > MAX_EVENTS:
            raise ConnectorError(f"these are more than {MAX_EVENTS} events: choose fewer, or use `connector replay`")
        return sorted(one.id for one in found)
    if what in {RETRY, DISCARD} and "ids" not in which:
        reject_unknown(which, "group", "rule")
        group = get_field(which, "group", str)
        cause = {"rule": get_field(which, "rule", str)} if group is None else cause_of(context, group)
        if not any(cause.values()):
            raise ConnectorError("say which: events, a group or a rule")
        held = context.store.suspensions.held_by(cause["rule"], MAX_EVENTS) if group is None and what == RETRY else []
        return sorted({*context.store.dead_letters.sinks_to_retry(**cause), *held})
    if what in {WAS, WAS_NOT}:
        asked = context.event(_only_event(which))
        if asked.event is None or asked.event.verdict is not Verdict.MAYBE_STOP:
            return [asked.id]
        question = question_about(asked.event)
        same = [
            event_id for event_id, event in context.store.stop_answers.waiting() if question_about(event) == question
        ]
        return sorted({asked.id, *same})
    reject_unknown(which, "ids")
    ids = get_field(which, "ids", list)
    if not ids:
        raise ConnectorError("choose at least one event")
    named = {context.event(one).id for one in ids}
    return sorted(
        named & context.store.dead_letters.sinks_to_retry(event_ids=sorted(named)).keys()
        if what in {RETRY, DISCARD}
        else named
    )


def _only_event(which: Which) -> Any:
    ids = get_field(which, "ids", list)
    if not ids or len(ids) != 1:
        raise ConnectorError("an answer is given for one event, and holds for all equal texts")
    return ids[0]


def _words(what: str, which: Which, count: int) -> str:
    """The action in a few words, without personal data."""
    events = f"{count} event" if count == 1 else f"{count} events"
    about = f", rule {which['rule']}" if "rule" in which else f", group {which['group']}" if "group" in which else ""
    return WORDS[what].format(events=events, about=about)


def _operations(context: AdminContext, ids: Sequence[int], *, reveal: bool) -> list[dict[str, Any]]:
    """What would be sent of parked events, of the first ones."""
    letters = [letter for event_id in ids[:LISTED] for letter in context.store.dead_letters.of_event(event_id)]
    masked = Masked(reveal=reveal)
    return [
        {
            "event": letter.event_id,
            "sink": letter.sink,
            "operations": [masked.operation(operation) for operation in letter.operations],
        }
        for letter in letters
        if letter.reason is Reason.NEEDS_PERSON
    ]


def _summary(events: int, counts: Sequence[StateCount], lines: Sequence[EventNow]) -> str:
    """`2 of 3 done, 1 refused again, because …`."""

    def sum_of(*, waits: bool | None = None, states: AbstractSet[EventState], discarded: bool = False) -> int:
        return sum(
            one.count
            for one in counts
            if one.state in states and one.discarded is discarded and (waits is None or one.waits is waits)
        )

    refused = sum_of(waits=False, states={EventState.DEAD})
    why = next((one.detail or (one.reason.value if one.reason else "") for one in lines if _is_refused(one)), "")
    numbers = [
        (sum_of(states={EventState.DELIVERED}), "done"),
        (sum(one.count for one in counts if one.discarded), "discarded"),
        (refused, f"refused again, because {Masked().text(why)}" if why else "refused again"),
        (sum_of(waits=True, states={EventState.DEAD}), "waiting for a decision"),
        (sum_of(states=NOTHING), "with nothing to do"),
        (sum_of(states={EventState.UNREADABLE}), "still not readable"),
        (sum_of(states=UNDER_WAY), "under way"),
        (events - sum(one.count for one in counts), "deleted since, because they are old"),
    ]
    parts = [f"{count} {words}" for count, words in numbers if count]
    if not parts:
        return "no event was concerned"
    first, _, rest = parts[0].partition(" ")
    return ", ".join([f"{first} of {events} {rest}", *parts[1:]])


def _is_refused(event: EventNow) -> bool:
    return event.state is EventState.DEAD and event.reason is not Reason.NEEDS_PERSON


def _line(context: AdminContext, event: EventNow) -> dict[str, Any]:
    own = cure_of_code(context.loaded, event.sink or "", event.code)
    return {
        "event": event.event_id,
        "state": event.state.value,
        "words": labels.EVENT_STATES[event.state],
        "sink": event.sink,
        "reason": event.reason.value if event.reason else None,
        "detail": Masked().text(event.detail) if event.detail else None,
        "cure": cure(event.reason, str(event.event_id), own) if event.state is EventState.DEAD else None,
    }
