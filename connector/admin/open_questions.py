"""What waits for a person's decision, as questions with a few answers. An answer names the action of actions.py that it stands for."""

from collections.abc import Sequence
from typing import Any

from connector.admin.context import AdminContext
from connector.admin.masking import Masked, iso_time
from connector.admin.stop_questions import WAS, WAS_NOT
from connector.consent.change_events import CARRIED_OUT, DELETED, MERGED_AWAY
from connector.consent.changes import NUMBER_CHANGED, UNCLEAR_AUTHOR
from connector.consent.merges import MERGED
from connector.consent.stop_questions import text_to_judge
from connector.model.event import Event, Verdict
from connector.model.operation import RecordWrite
from connector.store.dead_letters import DeadLetter
from connector.store.inbox import StoredEvent

RELEASE, DROP = "release", "drop"
STOP_ANSWERS = {WAS: "It was a stop", WAS_NOT: "It was not a stop"}


def stop_question(event_id: int, event: Event, masked: Masked, *, count: int = 1) -> dict[str, Any]:
    """The question about a text that may be an opt-out; `count` events have such a text."""
    return {
        "event": event_id,
        "count": count,
        "ask": "Was this a stop?",
        "text": masked.text(text_to_judge(event)),
        "detail": None,
        "sink": None,
        "received_at": iso_time(event.received_at),
        "answers": _answers(STOP_ANSWERS),
    }


def questions_of_letters(context: AdminContext, letters: Sequence[DeadLetter], masked: Masked) -> list[dict[str, Any]]:
    """The questions of what is parked, in the same order."""
    stored = {one.event_id: context.store.inbox.get(one.event_id) for one in letters}
    return [_question(one, stored[one.event_id], masked) for one in letters]


def open_questions_of(context: AdminContext, e164: str, masked: Masked) -> list[dict[str, Any]]:
    """The open questions about one person, oldest first."""
    asked = [
        stop_question(one.id, one.event, masked)
        for one in context.store.stop_answers.waiting_of(e164)
        if one.event is not None
    ]
    parked = questions_of_letters(context, context.store.dead_letters.parked_of(e164), masked)
    return sorted([*asked, *parked], key=lambda one: int(one["event"]))


def _question(letter: DeadLetter, stored: StoredEvent | None, masked: Masked) -> dict[str, Any]:
    question, answers = question_and_answers(letter, stored.event if stored else None)
    return {
        "event": letter.event_id,
        "count": 1,
        "ask": question,
        "text": None,
        "detail": masked.text(letter.detail) if letter.detail else None,
        "sink": letter.sink,
        "received_at": iso_time(letter.received_at),
        "answers": _answers(answers),
    }


def question_and_answers(letter: DeadLetter, event: Event | None) -> tuple[str, dict[str, str]]:
    """The question, and its answers by action."""
    if event is not None and event.action == NUMBER_CHANGED:
        return _ask_for_number(event)
    if event is not None and event.number_is_unclear:
        return "Which number?", {RELEASE: "The number is corrected: read it again", DROP: "Leave it out"}
    if event is not None and event.action == UNCLEAR_AUTHOR:
        return "Who changed it?", {RELEASE: "A person changed it", DROP: "The CRM's automation changed it"}
    if event is not None and event.shape in {MERGED, DELETED}:
        return "Is the opt-out still right?", {DROP: "I have dealt with it"}
    if event is not None and event.unread_price is not None and event.verdict is Verdict.NONE and not letter.operations:
        return "Which amount?", {DROP: "I have entered the amount"}
    if any(isinstance(one, RecordWrite) and one.match is not None for one in letter.operations):
        return "Which contact?", {RELEASE: "The CRM is corrected: try again", DROP: "Never send it"}
    return "Shall this be sent?", {RELEASE: "Send it", DROP: "Never send it"}


def _ask_for_number(event: Event) -> tuple[str, dict[str, str]]:
    if MERGED_AWAY in event.properties:
        return "Which number?", {
            RELEASE: "The opt-out is for the merged record's number too",
            DROP: "It is not for that number",
        }
    if CARRIED_OUT in event.properties:
        return "Whose number is it?", {DROP: "I have seen it"}
    return "Which number?", {
        RELEASE: "The opt-out is for the new number too",
        DROP: "It is for the old number only",
    }


def _answers(words: dict[str, str]) -> list[dict[str, str]]:
    return [{"what": what, "label": label} for what, label in words.items()]
