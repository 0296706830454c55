"""Texts that may be stops: raises one alarm for each question, and plans events that were answered meanwhile again."""

from collections.abc import Iterable

from connector.consent.stop_questions import StopQuestion, question_about
from connector.model.event import Event, Verdict
from connector.model.states import EventState
from connector.pipeline.planning import MAY_BE_A_STOP
from connector.store.store import Store
from connector.store.units import Planned
from connector.telemetry.log_events import Alarm

MAX_REMEMBERED = 10_000  # questions that were asked: far more than a person can answer


class StopQuestions:
    """Raises an alarm for each new question, and after a restart for each that still waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: set[StopQuestion] = set()

    def waiting(self) -> list[Alarm]:
        """The alarms for questions of an earlier start."""
        return self._ask(self._store.stop_answers.waiting())

    async def after(self, batch: Iterable[tuple[int, Event]], planned: Iterable[Planned]) -> list[Alarm]:
        """The alarms about a batch that was planned and stored."""
        unclear = [
            (event_id, event)
            for (event_id, event), result in zip(batch, planned, strict=True)
            if event.verdict is Verdict.MAYBE_STOP
            and result.state is EventState.DEAD
            and result.detail == MAY_BE_A_STOP
        ]
        if not unclear:
            return []
        # An answer that was given while they were planned did not find them among the waiting events.
        answered = {event_id for event_id, event in unclear if self._store.stop_answers.of(event) is not None}
        if answered:
            await self._store.stop_answers.plan_answered(sorted(answered))
        return self._ask((event_id, event) for event_id, event in unclear if event_id not in answered)

    def _ask(self, unclear: Iterable[tuple[int, Event]]) -> list[Alarm]:
        """The alarms for the questions that were not asked yet."""
        alarms = []
        for event_id, event in unclear:
            question = question_about(event)
            if question in self._asked:
                continue
            if len(self._asked) >= MAX_REMEMBERED:
                self._asked.clear()
            self._asked.add(question)
            alarms.append(_alarm(event_id))
        return alarms


def _alarm(event_id: int) -> Alarm:
    return Alarm(
        kind="maybe_stop",
        about=f"event {event_id}",
        lasts=False,
        message=f"event {event_id} may be an opt-out: the donor is not opted out until a person says so",
        cure=f"read it with `connector parked list`, then `connector parked answer {event_id} was` "
        f"or `connector parked answer {event_id} was-not`",
    )
