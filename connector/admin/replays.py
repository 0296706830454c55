"""Planning events again by the mappings in use: dead letters, and events of any state; with a preview of what changes."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from connector.admin.context import AdminContext, get_field, get_flag, reject_unknown
from connector.admin.dead_letters import chosen_events
from connector.admin.event_filter import event_filter
from connector.admin.failure_groups import cause_of, suspensions_for
from connector.admin.foresee import Foreseen, foresee, summary_of_changes
from connector.admin.read_again import keep_others, parse_again
from connector.model.errors import ConnectorError
from connector.model.event import Event, Part
from connector.model.outcome import Reason
from connector.model.states import EventState
from connector.pipeline.receive import question
from connector.store.dead_letters import DISCARDED
from connector.store.enrichment_queue import Question
from connector.store.event_search import EventFilter
from connector.store.inbox import StoredEvent
from connector.store.replay import Replay

NO_LETTER = "there is no such dead letter: see `connector dead list`, and for what is parked `connector parked list`"
MAX_EVENTS = 100_000  # events of one replay
UNDER_WAY = frozenset({EventState.PENDING, EventState.DELIVERING})
CHUNK = 500  # events that are marked in one transaction


async def dead_retry(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Retry dead letters: those of the events, of a reason, a rule or file, a group, or all; and the suspensions that concern them.

    What other mappings planned is planned again by those in use, unless `as_planned` is set. With `dry_run` nothing
    changes.
    """
    given = dict(payload)
    as_planned, dry_run = (get_flag(given, name) for name in ("as_planned", "dry_run"))
    reveal = get_flag(given, "reveal")
    rule, group = get_field(given, "rule", str), get_field(given, "group", str)
    for name in ("as_planned", "dry_run", "reveal", "rule", "group"):
        given.pop(name, None)
    if (rule is not None) + (group is not None) + bool(given) != 1:
        raise ConnectorError("say which: ids of events, a reason, a rule, a group, or all")
    if rule is not None:
        which: dict[str, Any] = {"rule": rule}
    elif group is not None:
        which = cause_of(context, group)
    else:
        ids, reason = chosen_events(context, given, "reason")
        which = {"event_ids": ids, "reason": reason}
    concerned = context.store.dead_letters.sinks_to_retry(**which)
    suspensions = (
        [] if which.get("event_ids") or group is not None else suspensions_for(context, which.get("reason"), rule)
    )
    if not concerned and not suspensions:
        raise ConnectorError(NO_LETTER)
    foreseen = [] if as_planned or not concerned else await _foresee_letters(context, concerned)
    answer: dict[str, Any] = {"retried": 0, "planned_again": 0, "stops_tried": len(suspensions), "may_be_done": []}
    if foreseen:
        answer["preview"] = summary_of_changes(foreseen, reveal=reveal)
    if dry_run:
        return {**answer, "dead_letters": len(concerned)}
    mapping = None if as_planned or not concerned else context.rules().version
    retried = await context.store.dead_letters.retry(**which, mapping=mapping, now=context.now())
    await context.store.suspensions.try_again(suspensions, now=context.now())
    return {
        **answer,
        "retried": retried.count,
        "planned_again": retried.planned_again,
        "may_be_done": list(retried.may_be_done),
    }


async def _foresee_letters(context: AdminContext, concerned: Mapping[int, frozenset[str]]) -> list[Foreseen]:
    """What the mappings in use would change of dead letters that other mappings planned."""
    version = context.rules().version
    events = [stored for event_id in concerned if (stored := context.store.inbox.get(event_id)) is not None]
    again = [(stored.id, stored.event) for stored in events if stored.event is not None and stored.mapping != version]
    return await foresee(context, again, concerned)


async def replay(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Plan events again: one by `id`, some by `ids`, or all that a filter selects. One that was not understood is parsed again first.

    With `dry_run` nothing changes. Of many, only those are planned again for which something changes.
    """
    dry_run = get_flag(payload, "dry_run")
    reveal = get_flag(payload, "reveal")
    given = {name: value for name, value in payload.items() if name not in {"dry_run", "reveal"}}
    if "id" in given:
        reject_unknown(given, "id")
        return await _replay_one(context, context.event(given["id"]), dry_run=dry_run, reveal=reveal)
    replayable, wanted = await replayable_events(context, given)
    read, unreadable = _read_again(context, replayable)
    events = [(stored, event) for stored in replayable if (event := stored.event or _first(read, stored)) is not None]
    foreseen = await foresee(context, [(stored.id, event) for stored, event in events])
    # Which rule takes an event now is known only when it is planned.
    foreseen = [effect for effect in foreseen if wanted.rule is None or _concerns_rule(effect, wanted.rule)]
    replays = _replays(context, events, {effect.event_id: effect for effect in foreseen})
    answer: dict[str, Any] = {
        "preview": summary_of_changes([effect for effect in foreseen if effect.event_id in replays], reveal=reveal),
        "found": len(foreseen) + unreadable,
        "to_replay": len(replays),
        "still_unreadable": unreadable,
        "replayed": 0,
        "refused": [],
    }
    if dry_run:
        return answer
    for stored in replayable:
        if stored.id in read and stored.id in replays:
            await keep_others(context, stored, read[stored.id][1])
    refused: list[str] = []
    to_replay = list(replays.values())
    for start in range(0, len(to_replay), CHUNK):
        refused += await context.store.inbox.replay_many(to_replay[start : start + CHUNK], now=context.now())
    return {**answer, "replayed": len(to_replay) - len(refused), "refused": refused}


async def replayable_events(context: AdminContext, given: Mapping[str, Any]) -> tuple[list[StoredEvent], EventFilter]:
    """The events that may be meant by `ids` or a filter, and the filter. Raises ConnectorError.

    Of a rule those of any rule are meant. What is under way or waits for a decision is left out, and what was discarded.
    """
    if "ids" in given:
        ids, _ = chosen_events(context, given)
        named = [context.store.inbox.get(event_id) for event_id in dict.fromkeys(ids or ())]
        return [stored for stored in named if stored is not None and _may_be_replayed(stored)], EventFilter()
    wanted = event_filter(context, given)
    if wanted == EventFilter():
        raise ConnectorError("say which: an event by its id or key, or a filter such as a state or a time")
    return await asyncio.to_thread(_find, context, wanted), wanted


def _find(context: AdminContext, wanted: EventFilter) -> list[StoredEvent]:
    states = wanted.states or tuple(state for state in EventState if state not in UNDER_WAY)
    found: list[StoredEvent] = []
    for page in context.store.events.pages(replace(wanted, states=states, rule=None)):
        found += [stored for stored in page if _may_be_replayed(stored)]
        if len(found) > MAX_EVENTS:
            raise ConnectorError(
                f"these are more than {MAX_EVENTS} events: choose fewer, such as those since a day ago"
            )
    return found


def _may_be_replayed(stored: StoredEvent) -> bool:
    return stored.state not in UNDER_WAY and stored.reason != Reason.NEEDS_PERSON and stored.detail != DISCARDED


def _read_again(
    context: AdminContext, events: Sequence[StoredEvent]
) -> tuple[dict[int, tuple[Event, list[Part]]], int]:
    """What unreadable events are as they are read now; and how many still cannot be read."""
    unreadable = [stored for stored in events if stored.event is None]
    read: dict[int, tuple[Event, list[Part]]] = {}
    for stored in unreadable:
        with suppress(ConnectorError):
            read[stored.id] = parse_again(context, stored)
    return read, len(unreadable) - len(read)


def _first(read: Mapping[int, tuple[Event, list[Part]]], stored: StoredEvent) -> Event | None:
    return read[stored.id][0] if stored.id in read else None


def _concerns_rule(foreseen: Foreseen, rule: str) -> bool:
    return any(label == rule or label.startswith(f"{rule}: ") for label in foreseen.rules)


def _replays(
    context: AdminContext, events: Sequence[tuple[StoredEvent, Event]], foreseen: Mapping[int, Foreseen]
) -> dict[int, Replay]:
    """What is to be planned again: where something changes, and where a question is asked or a body is read first."""
    replays: dict[int, Replay] = {}
    for stored, event in events:
        new_question = _question(context, stored, event)
        if stored.id in foreseen and (new_question is not None or stored.event is None or foreseen[stored.id].changes):
            read = event if stored.event is None else None
            replays[stored.id] = Replay(event_id=stored.id, event=read, question=new_question)
    return replays


async def _replay_one(context: AdminContext, stored: StoredEvent, *, dry_run: bool, reveal: bool) -> dict[str, Any]:
    read = parse_again(context, stored) if stored.state is EventState.UNREADABLE else None
    event = read[0] if read else stored.event
    foreseen = await foresee(context, [(stored.id, event)]) if event is not None else []
    answer = {
        "id": stored.id,
        "key": event.key if event else stored.key,
        "preview": summary_of_changes(foreseen, reveal=reveal),
    }
    if dry_run:
        return {**answer, "state": stored.state.value}
    if read:
        await keep_others(context, stored, read[1])
    try:
        await context.store.inbox.replay(
            stored.id, read[0] if read else None, question=_question(context, stored, event), now=context.now()
        )
    except (LookupError, ValueError) as error:
        raise ConnectorError(str(error)) from error
    return {**answer, "state": EventState.PENDING.value}


def _question(context: AdminContext, stored: StoredEvent, event: Event | None) -> Question | None:
    enricher = context.providers[stored.provider].enricher if stored.provider in context.providers else None
    return question(event, enricher) if event else None
