"""Dead letters and parked units: list, show, release, discard. How they are retried: replays.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from connector.admin.advice import cure
from connector.admin.context import AdminContext, get_field, get_flag, get_limit, reject_unknown
from connector.admin.failure_groups import failure_groups
from connector.admin.masking import Masked, iso_time
from connector.admin.stop_questions import WAS, WAS_NOT, answer_command, stop_questions
from connector.config.validation import did_you_mean
from connector.model.errors import ConnectorError
from connector.model.outcome import Reason
from connector.registry import cure_of_code
from connector.store.dead_letters import DeadLetter
from connector.telemetry.mask import mask


async def dead_list(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Dead letters, oldest first; by their causes, most frequent first; and how many there are for each reason."""
    reject_unknown(payload, "reason", "limit")
    reason, limit = _reason(payload), get_limit(payload)
    counts = context.store.dead_letters.counts_by_reason()
    letters = context.store.dead_letters.listing(reason, limit=limit)
    return {
        "reasons": {
            one.value: {"count": count, "cure": cure(one, f"--reason {one.value}")}
            for one, count in sorted(counts.items())
        },
        "groups": [group for group in failure_groups(context) if reason is None or group["reason"] == reason.value],
        "letters": [_line(context, one) for one in letters],
        "more": len(letters) == limit,
    }


async def dead_show(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """All dead letters of one event, with what they were to do."""
    reject_unknown(payload, "id", "reveal")
    stored = context.event(payload.get("id"))
    letters = context.store.dead_letters.of_event(stored.id)
    if not letters:
        raise ConnectorError(
            f"event {stored.id} has no dead letter, it is {stored.state.value}: see `connector dead list`"
        )
    masked = Masked(reveal=get_flag(payload, "reveal"), person=stored.event.msisdn if stored.event else None)
    return {
        "letters": [
            {**_line(context, letter), "operations": [masked.operation(operation) for operation in letter.operations]}
            for letter in letters
        ]
    }


async def dead_discard(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Discard what failed of these events, because a person has fixed it otherwise; the ledger records it."""
    reject_unknown(payload, "ids")
    ids, _ = chosen_events(context, payload)
    count = await context.store.dead_letters.give_up(ids or (), now=context.now())
    if not count:
        raise ConnectorError(
            "there is no such dead letter: see `connector dead list`, and for what is parked `connector parked list`"
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
            {**_line(context, letter), "operations": [masked.operation(operation) for operation in letter.operations]}
            for letter in letters
        ],
        "questions": stop_questions(context),
        "more": len(letters) == limit,
    }


async def parked_release(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Send what is parked."""
    ids, _ = chosen_events(context, payload)
    _reject_open_questions(context, ids)
    return {"released": _require_some(await context.store.dead_letters.release(ids, now=context.now()))}


async def parked_discard(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Discard what is parked; the ledger records it. A text that may be an opt-out cannot be discarded."""
    ids, _ = chosen_events(context, payload)
    _reject_open_questions(context, ids)
    return {"discarded": _require_some(await context.store.dead_letters.discard(ids, now=context.now()))}


def _reject_open_questions(context: AdminContext, ids: Sequence[int] | None) -> None:
    """Raises ConnectorError if one of the events waits for an answer: neither sending nor discarding is one."""
    waiting = dict(context.store.stop_answers.waiting()) if ids else {}
    for event_id in ids or ():
        if event_id in waiting:
            raise ConnectorError(
                f"event {event_id} may be an opt-out, and waits for an answer: `{answer_command(event_id, WAS)}` or "
                f"`{answer_command(event_id, WAS_NOT)}`"
            )


def _require_some(count: int) -> int:
    if not count:
        raise ConnectorError("there is no such parked event: see `connector parked list`")
    return count


def _line(context: AdminContext, letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.event_id,
        "key": letter.event_key,
        "provider": letter.provider,
        "received_at": iso_time(letter.received_at),
        "sink": letter.sink,
        "reason": letter.reason.value,
        "detail": Masked().text(letter.detail) if letter.detail else None,
        "attempts": letter.attempts,
        "may_have_been_done": letter.in_doubt,
        "cure": cure(letter.reason, str(letter.event_id), cure_of_code(context.loaded, letter.sink or "", letter.code)),
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


def chosen_events(
    context: AdminContext, payload: Mapping[str, Any], *others: str
) -> tuple[Sequence[int] | None, Reason | None]:
    """The events, or all. Exactly one of the two must be given, so that nothing is ever sent by mistake."""
    reject_unknown(payload, "ids", "all", *others)
    ids, every, reason = get_field(payload, "ids", list), get_flag(payload, "all"), _reason(payload)
    if (ids is not None) + bool(every) + (reason is not None) != 1:
        raise ConnectorError("say which: ids of events, " + ("a reason, " if others else "") + "or all")
    if ids is None:
        return None, reason
    if not ids:
        raise ConnectorError("name at least one event by its id")
    return [context.event(one).id for one in ids], None
