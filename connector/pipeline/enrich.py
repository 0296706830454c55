"""Enrich: makes the look-ups that are due, and stores their answers or when to ask again."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from connector.delivery.channels import EnricherChannel
from connector.delivery.retry import OUTAGE_REASONS, POLICIES, Policy, backoff
from connector.model.errors import StoreUnavailable, Unreadable
from connector.model.outcome import Reason, Rejected, Retry
from connector.pipeline.runtime import Runtime
from connector.ports import Enriched, Pending
from connector.store.enrichment_queue import OpenQuestion
from connector.store.store import Store
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Alarm, Emit, EnricherCalled, WorkerFailed

# Look-ups at once: half of the parallel calls of a client. The others are for endpoints that make a call before they answer.
ASK_BATCH = 4
# The first answers come within seconds, the last ones after hours.
GAPS = Policy(first=timedelta(seconds=5), cap=timedelta(hours=1), attempts=None)


def enrich_worker(provider: str) -> str:
    """The name of the worker that asks a provider."""
    return f"ask {provider}"


async def enrich_due(channel: EnricherChannel, store: Store, runtime: Runtime) -> tuple[int, int]:
    """Make the look-ups that are due, and store the answers; returns how many were made, and how many events can be planned.

    After a crash the questions are still open, and are asked again.
    """
    due = _one_for_each_person(store.questions.due(channel.enricher.provider, ASK_BATCH, runtime.now()))
    if not due:
        return 0, 0
    answers = await asyncio.gather(*(_ask(channel, question, runtime.emit) for question in due))
    now, monotonic = runtime.now(), runtime.monotonic()  # pauses count from the answers
    closed = await asyncio.gather(
        *(
            _store(channel, question, answer, store, runtime.emit, now)
            for question, answer in zip(due, answers, strict=True)
        )
    )
    _update_breaker(channel, answers, runtime.emit, monotonic, now)
    return len(due), sum(closed)


def _one_for_each_person(due: Sequence[OpenQuestion]) -> list[OpenQuestion]:
    """One question of each person at a time: its answer may make the others unnecessary."""
    first: dict[str, OpenQuestion] = {}
    for question in due:
        phone = question.event.msisdn
        first.setdefault(phone.e164 if phone else question.event.key, question)
    return list(first.values())


async def _ask(channel: EnricherChannel, question: OpenQuestion, emit: Emit) -> Enriched | Pending:
    try:
        return await channel.enricher.ask(channel.client, question.event)
    except Exception as error:  # noqa: BLE001 - a bug in one look-up must not stop the others.
        emit(WorkerFailed(worker=enrich_worker(channel.enricher.provider), error=place(error), seconds=0.0))
        return Pending(problem=Rejected(reason=Reason.BUG))


async def _store(
    channel: EnricherChannel,
    question: OpenQuestion,
    answer: Enriched | Pending,
    store: Store,
    emit: Emit,
    now: datetime,
) -> bool:
    """Store the answer; returns whether the event can be planned. An answer that cannot be stored counts as a bug."""
    try:
        return await _apply_answer(channel, question, answer, store, emit, now)
    except StoreUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - else an answer that cannot be stored would be asked for again and again.
        if not isinstance(error, Unreadable):
            emit(WorkerFailed(worker=enrich_worker(channel.enricher.provider), error=place(error), seconds=0.0))
        unstorable = Pending(problem=Rejected(reason=Reason.BUG, detail="the answer cannot be stored"))
        return await _apply_answer(channel, question, unstorable, store, emit, now)


async def _apply_answer(
    channel: EnricherChannel,
    question: OpenQuestion,
    answer: Enriched | Pending,
    store: Store,
    emit: Emit,
    now: datetime,
) -> bool:
    """Store the answer, or when to ask again; returns whether the event can be planned. After its deadline it always can."""
    provider, event_id = channel.enricher.provider, question.event_id
    if isinstance(answer, Enriched):
        closed = await store.questions.answer(event_id, answer.event)
        emit(EnricherCalled(provider=provider, event=event_id, outcome="answered"))
        return closed
    reason = answer.problem.reason if answer.problem else None
    if not question.overdue:
        await store.questions.again(event_id, backoff(GAPS, question.asked), now=now)
        emit(EnricherCalled(provider=provider, event=event_id, outcome="not_yet", reason=reason))
        return False
    closed = await store.questions.answer(event_id, answer.event or question.event)
    emit(EnricherCalled(provider=provider, event=event_id, outcome="gave_up", reason=reason))
    if answer.problem:
        # No alarm if the provider answered without a final status: the donor may have cancelled the payment.
        emit(
            Alarm(
                kind="unanswered",
                about=f"event {event_id}",
                lasts=False,
                message=f"no answer from {provider} about an event before its deadline: {reason}",
                cure=f"check that {provider} can be reached, then `connector replay {event_id}`",
            )
        )
    return closed


def _update_breaker(
    channel: EnricherChannel, answers: Sequence[Enriched | Pending], emit: Emit, monotonic: float, now: datetime
) -> None:
    """Pause the provider if every look-up failed for a reason that concerns the provider itself."""
    problems = [answer.problem for answer in answers if isinstance(answer, Pending)]
    outages = [problem for problem in problems if isinstance(problem, Retry) and problem.reason in OUTAGE_REASONS]
    if len(outages) < len(answers):
        channel.breaker.close(emit)
        return
    worst = max(outages, key=lambda outage: POLICIES[outage.reason].first)
    channel.breaker.open(worst, now=monotonic, at=now, emit=emit)
