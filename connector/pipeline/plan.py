"""Plan: turns a batch of stored events into stored plans, with units by sink and lane, and parks what needs a person."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from connector.consent.change_events import DELETED
from connector.consent.guard import carries_opt_out, without_consent
from connector.consent.merges import MERGED
from connector.mapping.compile.ruleset import Ruleset
from connector.mapping.compile.sources import CHANGE
from connector.model.consent import Phase, Subscription
from connector.model.errors import StoreUnavailable
from connector.model.event import Event, Verdict
from connector.model.operation import ID_FIELD, Operation, RecordWrite, ServiceCommand
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.plan import Plan, Unplanned
from connector.model.states import EventState
from connector.pipeline.cursor import PAGES, round_of
from connector.pipeline.known import others_have_number, others_opted_out
from connector.pipeline.planning import lane_of, plan_in_order, units_of
from connector.pipeline.runtime import Runtime
from connector.pipeline.stop_questions import StopQuestions
from connector.store.agreements import begun_by
from connector.store.inbox import StoredEvent
from connector.store.restore import is_unrepeatable
from connector.store.store import Store
from connector.store.units import NewUnit, Planned, SideAnswer
from connector.telemetry import log_events
from connector.telemetry.log_events import Alarm

PLAN_BATCH = 500  # events in one transaction: many share one fsync, and an opt-out does not wait long behind them
REMEMBERED_POLLS = 100  # polls whose people are remembered: the changes of one poll may come in several batches
ASKED_ABOUT = frozenset({CHANGE, DELETED, MERGED})  # shapes of events of a CRM about which a person may be asked
REVERTS_MANY_OPT_OUTS = (
    "an opt-out was undone in the CRM, together with many others: release this if the donors agree, else discard it"
)


class Planner:
    """Plans batches, and remembers which polls of a CRM concern too many people."""

    def __init__(
        self, store: Store, *, configured: Sequence[Subscription], max_people: int, charging: Collection[str] = ()
    ) -> None:
        """`configured` are the subscriptions of the config, `charging` the providers whose donors we charge.

        `max_people` is how many people one poll of a CRM may concern without a person's decision.
        """
        self._store = store
        self._charging = frozenset(charging)
        self._configured = tuple(configured)
        self._max_people = max_people
        self._people: dict[str, set[str]] = {}  # by poll, the latest last
        self._parked: set[str] = set()

    def waiting(self, limit: int, open_polls: Collection[str]) -> list[tuple[int, Event]]:
        """The events to plan next, up to `limit`: opt-outs if there are any, otherwise the oldest events.

        The changes of a poll that is under way wait for its end.
        """
        inbox = self._store.inbox
        urgent = _plannable(inbox.urgent(limit), open_polls)
        people = {event.msisdn.e164 for _, event in urgent if event.msisdn}
        # An opt-out is planned after the older events of its person, so that it ends the subscriptions in them.
        return _plannable(inbox.pending_of(sorted(people)) if people else inbox.pending(limit), open_polls)

    def plan(self, batch: Sequence[tuple[int, Event]], rules: Ruleset) -> tuple[list[Planned], frozenset[str]]:
        """The plans in the order of the events, and the polls that this batch parks."""
        batch = [(event_id, with_known_number(event, self._store)) for event_id, event in batch]
        people = {event.msisdn.e164 for _, event in batch if event.msisdn}
        plans = plan_in_order(
            batch,
            rules,
            ledgers=self._store.consents.of_many(sorted(people)),
            configured=self._configured,
            others_opted_out=partial(others_opted_out, self._store),
            answer=self._store.stop_answers.verdict_of,
            others_have_number=partial(others_have_number, self._store),
        )
        oversized = self._find_oversized_polls(plans)
        planned = [self._planned(event_id, event, event_plan, rules.version) for event_id, event, event_plan in plans]
        return planned, frozenset(oversized)

    def _find_oversized_polls(self, plans: Sequence[tuple[int, Event, Plan]]) -> set[str]:
        """The polls that concern too many people, as this batch shows."""
        oversized: set[str] = set()
        for poll, people in people_by_poll(plans).items():
            is_new = poll not in self._people  # perhaps to this process only: an earlier one may have ended in the poll
            seen = self._people[poll] = self._people.pop(poll, set()) | people
            too_many = len(seen) > self._max_people or (is_new and self._is_rest_of_parked(poll, oversized))
            if too_many and poll not in self._parked:
                oversized.add(poll)
        while len(self._people) > REMEMBERED_POLLS:
            oldest = next(iter(self._people))
            del self._people[oldest]
            self._parked.discard(oldest)
        self._parked |= oversized
        return oversized

    def _is_rest_of_parked(self, poll: str, oversized: Collection[str]) -> bool:
        """Whether earlier changes of this poll are parked, or those that were asked for before its pages."""
        if poll.endswith(PAGES) and round_of(poll) in {round_of(one) for one in (*self._parked, *oversized)}:
            return True
        return self._store.inbox.has_parked(round_of(poll) if poll.endswith(PAGES) else poll)

    def _planned(self, event_id: int, event: Event, event_plan: Plan, version: str) -> Planned:
        """The plan as it is stored, with a unit for each sink. Units that need a person's decision are parked."""
        parked = event.batch in self._parked
        if parked and reverts_opt_out(event_plan):
            return Planned(
                event_id=event_id,
                state=EventState.DEAD,
                reason=Reason.NEEDS_PERSON,
                detail=REVERTS_MANY_OPT_OUTS,
                mapping=version,
            )
        unplanned = _unplanned_by_sink(event_plan)
        may_be_done = self._may_be_done(event_id, event)
        units = tuple(
            NewUnit(
                sink=sink,
                lane=lane_of(event),
                operations=_without_clearing(operations) if may_be_done else operations,
                urgent=event_plan.overtakes
                and any(carries_opt_out(operation, Verdict.OPT_OUT) for operation in operations),
                parked=(parked and any(isinstance(operation, ServiceCommand) for operation in operations))
                or (may_be_done and any(map(is_unrepeatable, operations))),
                unplanned=unplanned.get(sink),
            )
            for sink, operations in (dict.fromkeys(unplanned, ()) | units_of(event_plan.operations)).items()
        )
        unplannable = next((unit.unplanned for unit in units if unit.unplanned and not unit.operations), None)
        return Planned(
            event_id=event_id,
            state=EventState.DEAD if unplannable else event_plan.state,
            detail="; ".join(filter(None, (event_plan.detail, *event_plan.notes))) or None,
            reason=unplannable.reason if unplannable else event_plan.reason,
            mapping=version,
            units=units,
            decisions=event_plan.decisions,
            not_reached=event_plan.not_reached,
            answers=(*self._confirmation_of_origin(event, event_plan), *_failures(units, event_plan)),
            left_out=event_plan.left_out,
            agreements=tuple(begun_by(event, event_id, event_plan.decisions))
            if event.provider in self._charging
            else (),
        )

    def _may_be_done(self, event_id: int, event: Event) -> bool:
        """Whether the event may have taken effect already: it is older than a restore of the database."""
        restored = self._store.restored
        if restored is None:
            return False
        if event_id <= restored.last_event_id:
            return True
        return event.shape == CHANGE and event.occurred_at is not None and event.occurred_at <= restored.restored_at

    @staticmethod
    def _confirmation_of_origin(event: Event, event_plan: Plan) -> tuple[SideAnswer, ...]:
        """The confirmation of the system that sent the opt-out; none if only a person has recognised it as one."""
        if event.verdict is Verdict.MAYBE_STOP or not any(
            decision.word is Verdict.OPT_OUT for decision in event_plan.decisions
        ):
            return ()
        return (SideAnswer(sink=event.provider, phase=Phase.CONFIRMED, detail="it came from there"),)


async def commit(planned: Sequence[Planned], store: Store, *, now: datetime) -> None:
    """Store the plans in one transaction. A plan that cannot be stored becomes a dead letter, and the others are stored."""
    try:
        await store.plans.commit(planned, now=now)
    except StoreUnavailable:
        raise
    except Exception:  # noqa: BLE001 - one plan must not stop the others.
        if len(planned) > 1:
            for single in planned:
                await commit([single], store, now=now)
            return
        bug = Planned(event_id=planned[0].event_id, state=EventState.DEAD, reason=Reason.BUG)
        await store.plans.commit([bug], now=now)


def _unplanned_by_sink(event_plan: Plan) -> dict[str, Unplanned]:
    """What could not be planned: the first for each sink, and before all others what concerns consent."""
    by_sink: dict[str, Unplanned] = {}
    for unplanned in sorted(event_plan.unplanned, key=lambda unplanned: not unplanned.owes):
        by_sink.setdefault(unplanned.sink, unplanned)
    return by_sink


def _without_clearing(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """The operations without consent fields that would clear a flag: the donor may have sent STOP since."""
    return tuple(
        without_consent(operation) if isinstance(operation, RecordWrite) and operation.clears_flag else operation
        for operation in operations
    )


def with_known_number(event: Event, store: Store) -> Event:
    """The event with the number that its record has now, if its own number is unclear; else the event unchanged."""
    if not event.number_is_unclear or event.object is None:
        return event
    number = store.records.number(event.provider, event.object, str(event.record.get(ID_FIELD)))
    return replace(event, msisdn=Phone(number), number_is_unclear=False) if number else event


def _failures(units: Sequence[NewUnit], event_plan: Plan) -> Iterator[SideAnswer]:
    """The failures of sinks for which a part of an opt-out could not be planned: it stays open, with the reason in the ledger."""
    if not event_plan.unplanned or not any(decision.word is Verdict.OPT_OUT for decision in event_plan.decisions):
        return
    for unit in units:
        if unit.unplanned is not None and unit.unplanned.owes:
            yield SideAnswer(sink=unit.sink, phase=Phase.FAILED, detail=unit.unplanned.detail)


def _plannable(stored: Sequence[StoredEvent], open_polls: Collection[str]) -> list[tuple[int, Event]]:
    """The events, without unreadable ones and without the changes of polls that are under way."""
    return [(entry.id, entry.event) for entry in stored if entry.event and entry.event.batch not in open_polls]


def parked_poll_alarm(poll: str, max_people: int) -> Alarm:
    """The alarm for a poll that concerns too many people."""
    return Alarm(
        kind="commands_parked",
        about=poll,
        lasts=False,
        message=f"one poll of the CRM would send commands for more than {max_people} people, or undo their opt-outs; all are parked",
        cure="see `connector parked list`, then release or discard them; until then every opt-out stays in force",
    )


def decision_alarms(batch: Sequence[tuple[int, Event]], planned: Sequence[Planned]) -> Iterator[Alarm]:
    """One alarm for each CRM with changes that wait for a person."""
    waiting = Counter(
        event.provider
        for (_, event), result in zip(batch, planned, strict=True)
        # A poll that concerns too many people has its own alarm.
        if result.reason is Reason.NEEDS_PERSON
        and result.detail != REVERTS_MANY_OPT_OUTS
        and event.shape in ASKED_ABOUT
    )
    for crm, count in waiting.items():
        yield Alarm(
            kind="needs_person",
            about=crm,
            lasts=False,
            message=f"{count} change{'s' if count > 1 else ''} in {crm} need{'' if count > 1 else 's'} a person's decision",
            cure="see `connector parked list`, which says for each what to decide and what to do",
        )


async def plan_batch(
    planner: Planner,
    store: Store,
    rules: Ruleset,
    stop_questions: StopQuestions,
    runtime: Runtime,
    *,
    open_polls: Collection[str],
    max_people: int,
) -> int:
    """Plan the next events and store the plans in one transaction; returns how many events there were.

    Opt-outs are planned first, each after the older events of its person.
    """
    batch = planner.waiting(PLAN_BATCH, open_polls)
    if not batch:
        return 0
    planned, oversized = planner.plan(batch, rules)
    for poll in oversized:
        runtime.emit(parked_poll_alarm(poll, max_people))
    await commit(planned, store, now=runtime.now())
    for result, (event_id, event) in zip(planned, batch, strict=True):
        runtime.emit(
            log_events.Planned(
                event=event_id,
                provider=event.provider,
                state=result.state,
                operations=sum(len(unit.operations) for unit in result.units),
                detail=result.detail,
                reason=result.reason,
                left_out=len(result.left_out),
            )
        )
    for alarm in decision_alarms(batch, planned):
        runtime.emit(alarm)
    if any(event.verdict is Verdict.MAYBE_STOP for _, event in batch):
        for alarm in await stop_questions.after(batch, planned):
            runtime.emit(alarm)
    for sink in {unit.sink for result in planned for unit in result.units}:
        runtime.wake(sink)
    if any(result.not_reached for result in planned):
        runtime.wake("deadlines")
    return len(batch)


def people_by_poll(plans: Sequence[tuple[int, Event, Plan]]) -> dict[str, set[str]]:
    """By poll of a CRM: the people who get commands, or whose opt-out is reverted."""
    people: dict[str, set[str]] = {}
    for _, event, event_plan in plans:
        if event.batch is not None and (
            reverts_opt_out(event_plan)
            or any(isinstance(operation, ServiceCommand) for operation in event_plan.operations)
        ):
            people.setdefault(event.batch, set()).add(lane_of(event))
    return people


def reverts_opt_out(event_plan: Plan) -> bool:
    """Whether the plan reverts an opt-out."""
    return any(decision.word is Verdict.OPT_IN for decision in event_plan.decisions)
