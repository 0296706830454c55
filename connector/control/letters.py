"""Dead letters and what is parked: seen, tried again, released, discarded; and events that are planned once more."""

from collections.abc import Mapping, Sequence
from typing import Any

from connector.config.load import did_you_mean
from connector.control.causes import cause_of, groups, stopped_by
from connector.control.cures import cure
from connector.control.doors import find_door, read_body
from connector.control.house import House, known, limit_of, word
from connector.control.shown import Shown, when
from connector.control.stop_questions import WAS, WAS_NOT, command, stop_questions
from connector.model.errors import ConnectorError, Unreadable
from connector.model.event import Event, Part
from connector.model.lifecycle import EventState
from connector.model.outcome import Reason
from connector.observe.mask import mask
from connector.steps.keeping import part_entry, question
from connector.store.dead_letters import DeadLetter
from connector.store.inbox import StoredEvent


async def dead_list(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Dead letters, oldest first; by their causes, most frequent first; and how many there are for each reason."""
    known(payload, "reason", "limit")
    reason, limit = _reason(payload), limit_of(payload)
    counts = house.store.dead_letters.grouped()
    letters = house.store.dead_letters.listing(reason, limit=limit)
    return {
        "reasons": {one.value: {"count": count, "cure": cure(one)} for one, count in sorted(counts.items())},
        "groups": [group for group in groups(house) if reason is None or group["reason"] == reason.value],
        "letters": [_line(one) for one in letters],
        "more": len(letters) == limit,
    }


async def dead_show(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """All dead letters of one event, with what they were to do."""
    known(payload, "id", "reveal")
    stored = house.event(payload.get("id"))
    letters = house.store.dead_letters.show(stored.id)
    if not letters:
        raise ConnectorError(
            f"event {stored.id} has no dead letter, it is {stored.state.value}: see `connector dead list`"
        )
    shown = Shown(
        reveal=bool(word(payload, "reveal", bool, False)), person=stored.event.msisdn if stored.event else None
    )
    return {
        "letters": [{**_line(one), "operations": [shown.operation(each) for each in one.operations]} for one in letters]
    }


async def dead_retry(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Let dead letters try again: those of the events, of a reason, a rule or file, a group, or all; and what is stopped with them."""
    chosen = dict(payload)
    rule, group = word(chosen, "rule", str), word(chosen, "group", str)
    chosen.pop("rule", None)
    chosen.pop("group", None)
    if (rule is not None) + (group is not None) + bool(chosen) != 1:
        raise ConnectorError("say which: ids of events, a reason, a rule, a group, or all")
    if rule is not None:
        which: dict[str, Any] = {"rule": rule}
    elif group is not None:
        which = cause_of(house, group)
    else:
        ids, reason = _chosen(house, chosen, "reason")
        which = {"event_ids": ids, "reason": reason}
    count = await house.store.dead_letters.retry(**which, now=house.now())
    stops = [] if which.get("event_ids") or group is not None else stopped_by(house, which.get("reason"), rule)
    await house.store.stops.try_again(stops, now=house.now())
    if not count and not stops:
        raise ConnectorError(
            "there is no such dead letter: see `connector dead list`; what is parked, `connector parked list`"
        )
    return {"retried": count, "stops_tried": len(stops)}


async def dead_discard(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Never send what failed of these events, for a person has put it right otherwise; the ledger hears of it."""
    known(payload, "ids")
    ids, _ = _chosen(house, payload)
    count = await house.store.dead_letters.give_up(ids or (), now=house.now())
    if not count:
        raise ConnectorError(
            "there is no such dead letter: see `connector dead list`; what is parked, `connector parked list`"
        )
    return {"discarded": count}


async def parked_list(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What waits for a person's word, oldest first; and the texts that may be opt-outs."""
    known(payload, "limit")
    limit = limit_of(payload)
    letters = house.store.dead_letters.listing(limit=limit, parked=True)
    shown = Shown()
    return {
        "parked": [{**_line(one), "operations": [shown.operation(each) for each in one.operations]} for one in letters],
        "questions": stop_questions(house),
        "more": len(letters) == limit,
    }


async def parked_release(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Send what is parked."""
    ids, _ = _chosen(house, payload)
    _no_questions(house, ids)
    return {"released": _some(await house.store.dead_letters.release(ids, now=house.now()))}


async def parked_discard(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Never send what is parked; the ledger hears of it. A text that may be an opt-out is not done with so."""
    ids, _ = _chosen(house, payload)
    _no_questions(house, ids)
    return {"discarded": _some(await house.store.dead_letters.discard(ids, now=house.now()))}


async def replay(house: House, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Plan an event once more; one that was not understood is read again first."""
    known(payload, "id")
    stored = house.event(payload.get("id"))
    event = await _read_again(house, stored) if stored.state is EventState.UNREADABLE else None
    known_as = event or stored.event
    asker = house.providers[stored.provider].asker if stored.provider in house.providers else None
    asked = question(known_as, asker) if known_as else None
    try:
        await house.store.inbox.replay(stored.id, event, question=asked, now=house.now())
    except (LookupError, ValueError) as error:
        raise ConnectorError(str(error)) from error
    return {"id": stored.id, "key": event.key if event else stored.key, "state": EventState.PENDING.value}


async def _read_again(house: House, stored: StoredEvent) -> Event:
    raw = house.store.inbox.raw(stored.id)
    if raw is None:
        raise ConnectorError(f"the body of event {stored.id} is no longer kept: ask the provider to send it again")
    door = find_door(house.providers, f"{stored.provider}/{stored.shape}")
    try:
        first, others = _understood(read_body(door, raw, stored.received_at), raw)
        if others:
            asker = house.providers[stored.provider].asker
            await house.store.inbox.keep(
                [
                    part_entry(one, provider=door.provider, door=door.name, received_at=stored.received_at, asker=asker)
                    for one in others
                ]
            )
    except Unreadable as unreadable:
        raise ConnectorError(
            f"event {stored.id} is still not understood ({unreadable.why}): an update of the connector may do; nothing was changed"
        ) from unreadable
    except ValueError:
        raise ConnectorError(f"event {stored.id} holds nothing: there is nothing to replay") from None
    return first


def _understood(read: Sequence[Event | Part], raw: bytes) -> tuple[Event, list[Part]]:
    """The first event, and all else that came with it. Raises Unreadable where there is none, and ValueError for nothing at all."""
    parts = [one if isinstance(one, Part) else Part(raw=raw, event=one) for one in read]
    first, *others = sorted(parts, key=lambda one: one.event is None)
    if first.event is None:
        raise Unreadable(first.why)
    return first.event, others


def _no_questions(house: House, ids: Sequence[int] | None) -> None:
    """Raises ConnectorError where one of the events waits for an answer: neither sending nor discarding is one."""
    waiting = dict(house.store.stop_answers.waiting()) if ids else {}
    for one in ids or ():
        if one in waiting:
            raise ConnectorError(
                f"event {one} may be an opt-out, and waits for an answer: `{command(one, WAS)}` or `{command(one, WAS_NOT)}`"
            )


def _some(count: int) -> int:
    if not count:
        raise ConnectorError("nothing such is parked: see `connector parked list`")
    return count


def _line(one: DeadLetter) -> dict[str, Any]:
    return {
        "id": one.event_id,
        "key": one.event_key,
        "provider": one.provider,
        "received_at": when(one.received_at),
        "sink": one.sink,
        "reason": one.reason.value,
        "detail": Shown().text(one.detail) if one.detail else None,
        "attempts": one.attempts,
        "may_have_been_done": one.in_doubt,
        "cure": cure(one.reason),
    }


def _reason(payload: Mapping[str, Any]) -> Reason | None:
    given = word(payload, "reason", str)
    if given is None:
        return None
    try:
        return Reason(given)
    except ValueError:
        hint = did_you_mean(given, [one.value for one in Reason]) or "see `connector dead list`"
        raise ConnectorError(f"`{mask(given)}` is no reason: {hint}") from None


def _chosen(house: House, payload: Mapping[str, Any], *others: str) -> tuple[Sequence[int] | None, Reason | None]:
    """The events, or all: exactly one way to say it, so that nothing is ever sent by an oversight."""
    known(payload, "ids", "all", *others)
    ids, every, reason = word(payload, "ids", list), word(payload, "all", bool, False), _reason(payload)
    if (ids is not None) + bool(every) + (reason is not None) != 1:
        raise ConnectorError("say which: ids of events, " + ("a reason, " if others else "") + "or all")
    if ids is None:
        return None, reason
    if not ids:
        raise ConnectorError("no event is named: give at least one id")
    return [house.event(one).id for one in ids], None
