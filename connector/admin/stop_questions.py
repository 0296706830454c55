"""Texts that may be opt-outs: the open questions, answering one, and the answers that were given.

A console uses the same functions as the commands.
"""

from collections.abc import Mapping
from typing import Any

from connector.admin.context import AdminContext, get_field, get_limit, reject_unknown, stored_id
from connector.admin.masking import Masked, iso_time
from connector.consent.stop_questions import StopQuestion, question_about, text_to_judge
from connector.model.errors import ConnectorError
from connector.model.event import Event, Verdict
from connector.telemetry.mask import mask

WAS, WAS_NOT = "was", "was-not"
ANSWERS = {WAS: Verdict.OPT_OUT, WAS_NOT: Verdict.NONE}
WORDS = {verdict: answer for answer, verdict in ANSWERS.items()}


def asked_stop_questions(context: AdminContext) -> list[tuple[int, Event, int]]:
    """The open questions, oldest first: the first event of each, and how many events ask it."""
    return [(*several[0], len(several)) for several in _by_question(context)]


def stop_questions(context: AdminContext) -> list[dict[str, Any]]:
    """The open questions, oldest first: each with an example, and how often it was asked."""
    return [_question(several) for several in _by_question(context)]


def _by_question(context: AdminContext) -> list[list[tuple[int, Event]]]:
    asked: dict[StopQuestion, list[tuple[int, Event]]] = {}
    for event_id, event in context.store.stop_answers.waiting():
        asked.setdefault(question_about(event), []).append((event_id, event))
    return list(asked.values())


async def answer_stop(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the question of an event, for all events with such a text: those that wait, and later ones.

    The answer `was` makes them opt-outs, `was-not` ordinary messages. A later answer replaces an earlier one.
    """
    reject_unknown(payload, "id", "answer")
    answer = get_field(payload, "answer", str)
    if answer not in ANSWERS:
        given = f"`{mask(answer)}` is not an answer: " if answer else ""
        raise ConnectorError(f"{given}say `{WAS}` (it was an opt-out) or `{WAS_NOT}`")
    event_id, question, example = _asked(context, payload.get("id"))
    answered = await context.store.stop_answers.answer(question, ANSWERS[answer], event_id, now=context.now())
    return {
        "event": event_id,
        "answer": answer,
        "provider": question.provider,
        "text": example,
        "planned": list(answered.planned),
        "done_before": list(answered.done_before),
    }


async def stop_answers(context: AdminContext, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The answers that were given, the newest first; each holds for later events with such a text."""
    reject_unknown(payload, "limit")
    limit = get_limit(payload)
    answers = context.store.stop_answers.listing(limit)
    return {
        "answers": [
            {
                "event": one.event_id,
                "answer": WORDS[one.answer],
                "provider": one.question.provider,
                "keyword": one.question.keyword or None,
                "text": Masked().text(one.question.text),
                "answered_at": iso_time(one.answered_at),
                "change": answer_command(one.event_id, WAS_NOT if one.answer is Verdict.OPT_OUT else WAS),
            }
            for one in answers
        ],
        "more": len(answers) == limit,
    }


def answer_command(event_id: int, answer: str) -> str:
    """The command that gives an answer."""
    return f"connector parked answer {event_id} {answer}"


def _question(several: list[tuple[int, Event]]) -> dict[str, Any]:
    event_id, event = several[0]
    return {
        "event": event_id,
        "key": event.key,
        "count": len(several),
        "provider": event.provider,
        "shape": event.shape,
        "short_number": event.short_number,
        "keyword": event.keyword,
        "text": Masked(person=event.msisdn).text(text_to_judge(event)),
        "first_received_at": iso_time(event.received_at),
        "last_received_at": iso_time(several[-1][1].received_at),
        "answers": {answer: answer_command(event_id, answer) for answer in ANSWERS},
    }


def _asked(context: AdminContext, named: object) -> tuple[int, StopQuestion, str]:
    """The question of an event, with an example of its text. Raises ConnectorError if it has none."""
    number = stored_id(named)
    given = None if number is None else context.store.stop_answers.named_by(number)
    if given is not None:  # its event may have been deleted since
        return given.event_id, given.question, Masked().text(given.question.text)
    stored = context.event(named)
    if stored.event is None or stored.event.verdict is not Verdict.MAYBE_STOP:
        raise ConnectorError(
            f"event {stored.id} has no open question: see `connector parked list` and `connector parked answers`"
        )
    return stored.id, question_about(stored.event), Masked(person=stored.event.msisdn).text(text_to_judge(stored.event))
