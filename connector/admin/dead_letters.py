"""Dead letters and parked units: list, retry, release, discard; and events that are planned again."""

from collections.abc import Mapping, Sequence
from typing import Any

from connector.admin.advice import cure
from connector.admin.context import AdminContext, get_field, get_limit, reject_unknown
from connector.admin.failure_groups import cause_of, groups, suspended_by
from connector.admin.masking import Masked, when
from connector.admin.parse_stored import find_endpoint, read_body
from connector.admin.stop_questions import WAS, WAS_NOT, command, stop_questions
from connector.config.validation import did_you_mean
from connector.model.errors import ConnectorError, Unreadable
from connector.model.event import Event, Part
from connector.model.outcome import Reason
from connector.model.states import EventState
from connector.pipeline.receive import part_entry, question
from connector.store.dead_letters import DeadLetter
from connector.store.inbox import StoredEvent
from connector.telemetry.mask import mask


async def dead_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Dead letters, oldest first; by their causes, most frequent first; and how many there are for each reason."""
    reject_unknown(payload, "reason", "limit")
    reason, limit = _reason(payload), get_limit(payload)
    counts = context.store.dead_letters.grouped()
    letters = context.store.dead_letters.listing(reason, limit=limit)
    return {
        "reasons": {one.value: {"count": count, "cure": cure(one)} for one, count in sorted(counts.items())},
        "groups": [group for group in groups(context) if reason is None or group["reason"] == reason.value],
        "letters": [_line(one) for one in letters],
        "more": len(letters) == limit,
    }


async def dead_show(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """All dead letters of one event, with what they were to do."""
    reject_unknown(payload, "id", "reveal")
    stored = context.event(payload.get("id"))
    letters = context.store.dead_letters.show(stored.id)
    if not letters:
        raise ConnectorError(
            f"event {stored.id} has no dead letter, it is {stored.state.value}: see `connector dead list`"
        )
    masked = Masked(
        reveal=bool(get_field(payload, "reveal", bool, False)), person=stored.event.msisdn if stored.event else None
    )
    return {
        "letters": [
            {**_line(one), "operations": [masked.operation(each) for each in one.operations]} for one in letters
        ]
    }


async def dead_retry(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Retry dead letters: those of the events, of a reason, a rule or file, a group, or all; and the suspensions that concern them."""
    chosen = dict(payload)
    rule, group = get_field(chosen, "rule", str), get_field(chosen, "group", str)
    chosen.pop("rule", None)
    chosen.pop("group", None)
    if (rule is not None) + (group is not None) + bool(chosen) != 1:
        raise ConnectorError("say which: ids of events, a reason, a rule, a group, or all")
    if rule is not None:
        which: dict[str, Any] = {"rule": rule}
    elif group is not None:
        which = cause_of(context, group)
    else:
        ids, reason = _chosen(context, chosen, "reason")
        which = {"event_ids": ids, "reason": reason}
    count = await context.store.dead_letters.retry(**which, now=context.now())
    stops = [] if which.get("event_ids") or group is not None else suspended_by(context, which.get("reason"), rule)
    await context.store.stops.try_again(stops, now=context.now())
    if not count and not stops:
        raise ConnectorError(
            "there is no such dead letter: see `connector dead list`; what is parked, `connector parked list`"
        )
    return {"retried": count, "stops_tried": len(stops)}


async def dead_discard(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Discard what failed of these events, because a person has fixed it otherwise; the ledger records it."""
    reject_unknown(payload, "ids")
    ids, _ = _chosen(context, payload)
    count = await context.store.dead_letters.give_up(ids or (), now=context.now())
    if not count:
        raise ConnectorError(
            "there is no such dead letter: see `connector dead list`; what is parked, `connector parked list`"
        )
    return {"discarded": count}


async def parked_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What waits for a person's decision, oldest first; and the texts that may be opt-outs."""
    reject_unknown(payload, "limit")
    limit = get_limit(payload)
    letters = context.store.dead_letters.listing(limit=limit, parked=True)
    masked = Masked()
    return {
        "parked": [
            {**_line(one), "operations": [masked.operation(each) for each in one.operations]} for one in letters
        ],
        "questions": stop_questions(context),
        "more": len(letters) == limit,
    }


async def parked_release(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Send what is parked."""
    ids, _ = _chosen(context, payload)
    _reject_open_questions(context, ids)
    return {"released": _some(await context.store.dead_letters.release(ids, now=context.now()))}


async def parked_discard(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Discard what is parked; the ledger records it. A text that may be an opt-out cannot be discarded."""
    ids, _ = _chosen(context, payload)
    _reject_open_questions(context, ids)
    return {"discarded": _some(await context.store.dead_letters.discard(ids, now=context.now()))}


async def replay(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Plan an event again; one that was not understood is parsed again first."""
    reject_unknown(payload, "id")
    stored = context.event(payload.get("id"))
    event = await _read_again(context, stored) if stored.state is EventState.UNREADABLE else None
    known_as = event or stored.event
    enricher = context.providers[stored.provider].enricher if stored.provider in context.providers else None
    asked = question(known_as, enricher) if known_as else None
    try:
        await context.store.inbox.replay(stored.id, event, question=asked, now=context.now())
    except (LookupError, ValueError) as error:
        raise ConnectorError(str(error)) from error
    return {"id": stored.id, "key": event.key if event else stored.key, "state": EventState.PENDING.value}


async def _read_again(context: AdminContext, stored: StoredEvent) -> Event:
    raw = context.store.inbox.raw(stored.id)
    if raw is None:
        raise ConnectorError(f"the body of event {stored.id} is no longer kept: ask the provider to send it again")
    endpoint = find_endpoint(context.providers, f"{stored.provider}/{stored.shape}")
    try:
        first, others = _understood(read_body(endpoint, raw, stored.received_at), raw)
        if others:
            enricher = context.providers[stored.provider].enricher
            await context.store.inbox.keep(
                [
                    part_entry(
                        one,
                        provider=endpoint.provider,
                        endpoint=endpoint.name,
                        received_at=stored.received_at,
                        enricher=enricher,
                    )
                    for one in others
                ]
            )
    except Unreadable as unreadable:
        raise ConnectorError(
            f"event {stored.id} still cannot be read ({unreadable.why}): an update of the connector may help; nothing was changed"
        ) from unreadable
    except ValueError:
        raise ConnectorError(f"event {stored.id} contains no event: there is nothing to replay") from None
    return first


def _understood(read: Sequence[Event | Part], raw: bytes) -> tuple[Event, list[Part]]:
    """The first event, and everything else in the body. Raises Unreadable if there is none, and ValueError for an empty result."""
    parts = [one if isinstance(one, Part) else Part(raw=raw, event=one) for one in read]
    first, *others = sorted(parts, key=lambda one: one.event is None)
    if first.event is None:
        raise Unreadable(first.why)
    return first.event, others


def _reject_open_questions(context: AdminContext, ids: Sequence[int] | None) -> None:
    """Raises ConnectorError if one of the events waits for an answer: neither sending nor discarding is one."""
    waiting = dict(context.store.stop_answers.waiting()) if ids else {}
    for one in ids or ():
        if one in waiting:
            raise ConnectorError(
                f"event {one} may be an opt-out, and waits for an answer: `{command(one, WAS)}` or `{command(one, WAS_NOT)}`"
            )


def _some(count: int) -> int:
    if not count:
        raise ConnectorError("there is no such parked event: see `connector parked list`")
    return count


def _line(one: DeadLetter) -> dict[str, Any]:
    return {
        "id": one.event_id,
        "key": one.event_key,
        "provider": one.provider,
        "received_at": when(one.received_at),
        "sink": one.sink,
        "reason": one.reason.value,
        "detail": Masked().text(one.detail) if one.detail else None,
        "attempts": one.attempts,
        "may_have_been_done": one.in_doubt,
        "cure": cure(one.reason),
    }


def _reason(payload: Mapping[str, Any]) -> Reason | None:
    given = get_field(payload, "reason", str)
    if given is None:
        return None
    try:
        return Reason(given)
    except ValueError:
        hint = did_you_mean(given, [one.value for one in Reason]) or "see `connector dead list`"
        raise ConnectorError(f"`{mask(given)}` is not a reason: {hint}") from None


def _chosen(
    context: AdminContext, payload: Mapping[str, Any], *others: str
) -> tuple[Sequence[int] | None, Reason | None]:
    """The events, or all. Exactly one of the two must be given, so that nothing is ever sent by mistake."""
    reject_unknown(payload, "ids", "all", *others)
    ids, every, reason = get_field(payload, "ids", list), get_field(payload, "all", bool, False), _reason(payload)
    if (ids is not None) + bool(every) + (reason is not None) != 1:
        raise ConnectorError("say which: ids of events, " + ("a reason, " if others else "") + "or all")
    if ids is None:
        return None, reason
    if not ids:
        raise ConnectorError("name at least one event by its id")
    return [context.event(one).id for one in ids], None
