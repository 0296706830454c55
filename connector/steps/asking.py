"""Questions that are due → their answers, or when to ask again. What is asked is the affair of the provider's asker."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from connector.delivery.peers import Asking
from connector.delivery.retry import POLICIES, SINK_TROUBLE, Policy, backoff
from connector.model.errors import StoreUnavailable, Unreadable
from connector.model.facts import Alarm, Asked, LoopFailed, Tell
from connector.model.outcome import Reason, Rejected, Retry
from connector.model.roles import Answered, NotYet
from connector.observe.faults import place
from connector.store.questions import OpenQuestion
from connector.store.store import Store

ASK_BATCH = (
    4  # at once: half of what a client sends in parallel, so that a door that must ask before it answers finds room
)
# The first answers come within seconds, the last ones after hours.
GAPS = Policy(first=timedelta(seconds=5), cap=timedelta(hours=1), attempts=None)


def ask_loop(provider: str) -> str:
    """The name of the loop that asks a provider."""
    return f"ask {provider}"


async def put_questions(
    asking: Asking, store: Store, tell: Tell, now: Callable[[], datetime], monotonic: Callable[[], float]
) -> tuple[int, int]:
    """Ask what is due, and store what follows; returns how many were asked, and how many events may be planned now.

    A crash in between costs nothing: the questions are still open, and are asked again.
    """
    due = _one_each(store.questions.due(asking.asker.provider, ASK_BATCH, now()))
    if not due:
        return 0, 0
    answers = await asyncio.gather(*(_ask(asking, one, tell) for one in due))
    at, moment = now(), monotonic()  # of the answers: pauses count from here
    closed = await asyncio.gather(
        *(_store(asking, one, answer, store, tell, at) for one, answer in zip(due, answers, strict=True))
    )
    _bear(asking, answers, tell, moment, at)
    return len(due), sum(closed)


def _one_each(due: Sequence[OpenQuestion]) -> list[OpenQuestion]:
    """One question of each person at a time: its answer may spare the others."""
    first: dict[str, OpenQuestion] = {}
    for one in due:
        phone = one.event.msisdn
        first.setdefault(phone.e164 if phone else one.event.key, one)
    return list(first.values())


async def _ask(asking: Asking, question: OpenQuestion, tell: Tell) -> Answered | NotYet:
    try:
        return await asking.client.run(asking.asker.ask(question.event))
    except Exception as error:  # noqa: BLE001 - a bug about one event must not hold up the questions about others.
        tell(LoopFailed(loop=ask_loop(asking.asker.provider), error=place(error), seconds=0.0))
        return NotYet(trouble=Rejected(reason=Reason.BUG))


async def _store(
    asking: Asking, question: OpenQuestion, answer: Answered | NotYet, store: Store, tell: Tell, now: datetime
) -> bool:
    try:
        return await _take(asking, question, answer, store, tell, now)
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - an answer that cannot be stored must not be asked for again at once, for ever.
        if not isinstance(error, Unreadable):
            tell(LoopFailed(loop=ask_loop(asking.asker.provider), error=place(error), seconds=0.0))
        unstorable = NotYet(trouble=Rejected(reason=Reason.BUG, detail="the answer cannot be stored"))
        return await _take(asking, question, unstorable, store, tell, now)


async def _take(
    asking: Asking, question: OpenQuestion, answer: Answered | NotYet, store: Store, tell: Tell, now: datetime
) -> bool:
    provider, key = asking.asker.provider, question.event.key
    if isinstance(answer, Answered):
        closed = await store.questions.answer(question.event_id, answer.event)
        tell(Asked(provider=provider, event=key, outcome="answered"))
        return closed
    reason = answer.trouble.reason if answer.trouble else None
    if not question.overdue:
        await store.questions.again(question.event_id, backoff(GAPS, question.asked), now=now)
        tell(Asked(provider=provider, event=key, outcome="not_yet", reason=reason))
        return False
    closed = await store.questions.answer(question.event_id, answer.event or question.event)
    tell(Asked(provider=provider, event=key, outcome="gave_up", reason=reason))
    if answer.trouble:
        # Where the provider did answer, though without an end, nobody need be called: a donor has turned back, say.
        tell(
            Alarm(
                kind="unanswered",
                about=key,
                lasts=False,
                message=f"{provider} could not be asked about an event until its deadline: {reason}",
                cure=f"see that {provider} can be reached, then `connector replay {key}`",
            )
        )
    return closed


def _bear(asking: Asking, answers: Sequence[Answered | NotYet], tell: Tell, now: float, at: datetime) -> None:
    """Leave the provider alone for a while when it answered nothing at all."""
    troubles = [one.trouble for one in answers if isinstance(one, NotYet) and one.trouble]
    bad = [one for one in troubles if isinstance(one, Retry) and one.reason in SINK_TROUBLE]
    if len(bad) < len(answers):
        asking.patience.over(tell)
        return
    worst = max(bad, key=lambda one: POLICIES[one.reason].first)
    asking.patience.pause(worst, now=now, at=at, tell=tell)
