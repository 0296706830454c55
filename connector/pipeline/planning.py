"""Pure: plans one event by the mappings, consent, and what is known about its person.

Run, explain, test and replay call the same function. It reads no clock, file or store.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.consent.change_events import DELETED, MERGED_AWAY, as_released, author_question, number_question
from connector.consent.changes import CHANGED, NUMBER_CHANGED, UNCLEAR_AUTHOR
from connector.consent.decide import Ruling, decide, opt_out_not_yet_in_crm, strongest
from connector.consent.guard import allowed_at_planning, carries_opt_out, with_flag_at_creation
from connector.consent.ledger_state import LedgerState, decisions, fold_ledger, same
from connector.consent.merges import MERGED
from connector.consent.reach import crms_not_notified, ends_subscriptions, providers_not_notified
from connector.mapping.apply import intents
from connector.mapping.compile.items import KnownSubscription
from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import LedgerEntry, Phase, Subscription
from connector.model.event import Event, Result, Verdict
from connector.model.operation import ENDING, ID_FIELD, Operation, RecordWrite, ServiceCommand
from connector.model.outcome import Reason
from connector.model.plan import Intents, Known, Plan
from connector.model.record_number import UNCLEAR_NUMBER
from connector.model.states import EventState
from connector.telemetry.error_location import place

MAY_BE_A_STOP = "it may be an opt-out: `connector parked list` shows how to say whether it was"
OUT_IF_NEW = "this person has opted out: if a record must be made for this event, it gets the opt-out flag"
ANSWERED = {
    Verdict.OPT_OUT: "a person said of this text that it was an opt-out (`connector parked answers`)",
    Verdict.NONE: "a person said of this text that it was not an opt-out (`connector parked answers`)",
}


def plan(event: Event, rules: Ruleset, known: Known, *, tracing: bool = False) -> Plan:
    """Plan the event. `tracing` adds the reasons, for `explain`."""
    if event.object is not None and event.batch is None:
        event = as_released(event)
    if event.object is not None or event.unread_price is not None or event.verdict is Verdict.MAYBE_STOP:
        special = _plan_special(event, rules, known, tracing=tracing)
        if special is not None:
            return special
    ledger = decisions(known.ledger)
    case = _Case(event, rules, known, ledger, fold_ledger(ledger))
    word: Verdict = event.verdict
    ruling = case.decide(word)
    if ruling.superseded_by is not None:
        return Plan(state=EventState.SUPERSEDED, detail=ruling.superseded_by)
    if event.service_command and word is Verdict.OPT_OUT and not ruling.changes_consent:
        return Plan(state=EventState.NO_CHANGE, detail="the provider's confirmation of our own command")
    wanted = case.apply_rules(ruling, word, tracing=tracing)
    widened = strongest((word, *wanted.consent)) if wanted.consent else word
    if widened is not word:
        word = widened
        ruling = case.decide(word)
        if ruling.superseded_by is not None:
            return Plan(state=EventState.SUPERSEDED, detail=ruling.superseded_by, trace=wanted.trace)
        wanted = case.apply_rules(ruling, word, tracing=tracing)
    event_plan = _conclude(wanted, ruling, word, rules.version)
    if case.ledger_state.out and ruling.decision is None:
        event_plan = _with_flag_if_new(event_plan, rules)
    if word is not Verdict.OPT_OUT:
        return event_plan
    return _with_not_reached(event_plan, case.not_reached(ruling, event_plan.operations))


class _Case(Struct, frozen=True):
    """An event, and all data that its plan depends on."""

    event: Event
    rules: Ruleset
    known: Known
    ledger: Sequence[LedgerEntry]  # the decisions in `known.ledger`
    ledger_state: LedgerState  # the state that they lead to

    def decide(self, word: Verdict) -> Ruling:
        """What the verdict means for the person's consent."""
        return decide(
            self.event,
            word,
            ledger_state=self.ledger_state,
            ledger=self.ledger,
            others_out=self.known.others_opted_out,
            tolerance=self.rules.clock_tolerance,
            event_id=self.known.event_id,
            unseen=word is Verdict.OPT_IN
            and self.event.object is not None
            and opt_out_not_yet_in_crm(self.event, self.known.ledger),
        )

    def apply_rules(self, ruling: Ruling, word: Verdict, *, tracing: bool) -> Intents:
        """The operations that the rules make."""

        def active(provider: str) -> Sequence[KnownSubscription]:
            return command_candidates(provider, self.ledger_state, self.known.configured)

        consent = {
            "remaining": ruling.remaining,
            "verdict": word._value_,
            "scope": ruling.decision.scope._value_ if ruling.decision else "",
        }
        return intents(self.event, self.rules, consent=consent, active=active, tracing=tracing)

    def not_reached(self, ruling: Ruling, operations: Sequence[Operation]) -> Sequence[str]:
        """The CRMs and providers that this opt-out must reach, but that no operation reaches."""
        context = self.rules.context
        crms: Sequence[str] = ()
        if self.event.object is None:
            crms = crms_not_notified(ruling, operations, crms=self.rules.flags, consent_of=context.consent_of)
            if self.event.known_to_provider is not False:
                return crms
            # The provider took the opt-out for an ordinary message, and continues to charge the donor.
            names = [self.event.provider]
        elif self.event.provider in context.one_way:
            return ()
        else:
            names = [name for name, commands in context.commands.items() if ends_subscriptions(commands)]
        can_end = [
            (name, any(candidate.active for candidate in candidates))
            for name in names
            if (candidates := command_candidates(name, self.ledger_state, self.known.configured))
        ]
        return (*crms, *providers_not_notified(ruling, operations, providers=can_end))


def _with_flag_if_new(event_plan: Plan, rules: Ruleset) -> Plan:
    """The plan for an opted-out person: records that are created for the event get the flag."""
    consent_of = rules.context.consent_of
    operations = tuple(
        with_flag_at_creation(operation, consent)
        if isinstance(operation, RecordWrite) and (consent := consent_of(operation.sink, operation.object))
        else operation
        for operation in event_plan.operations
    )
    if operations == event_plan.operations:
        return event_plan
    return replace(event_plan, operations=operations, notes=(*event_plan.notes, OUT_IF_NEW))


def _with_not_reached(event_plan: Plan, not_reached: Sequence[str]) -> Plan:
    """The plan of an opt-out, with the systems that it does not reach."""
    # A system whose operation cannot be made has a dead letter already.
    unplanned = {unplanned.sink for unplanned in event_plan.unplanned}
    missed = [system for system in not_reached if system not in unplanned]
    notes = [f"no rule sends this opt-out to {system}" for system in missed]
    return replace(event_plan, not_reached=tuple(missed), notes=(*event_plan.notes, *notes)) if missed else event_plan


def _plan_special(event: Event, rules: Ruleset, known: Known, *, tracing: bool) -> Plan | None:
    """The plan of a special event; None if the verdict and the rules alone decide."""
    if event.action == NUMBER_CHANGED and MERGED_AWAY in event.properties and not fold_ledger(known.ledger).active:
        return Plan(state=EventState.IGNORED, detail="a record was merged, and no subscription depends on its number")
    for_a_person = _for_a_person(event)
    if for_a_person is not None:
        return for_a_person
    if event.verdict is Verdict.MAYBE_STOP:
        return _plan_unclear(event, rules, known, tracing=tracing)
    if event.action == UNCLEAR_AUTHOR:
        return _plan_doubtful(event, rules, known, tracing=tracing)
    if event.shape == DELETED:
        return _plan_deleted(event, known)
    return None


def _for_a_person(event: Event) -> Plan | None:
    """The plan of an event that waits for a person, whatever the rules say; None for all others."""
    if event.number_is_unclear and event.verdict is Verdict.OPT_OUT:
        return Plan(state=EventState.DEAD, reason=Reason.NEEDS_PERSON, detail=UNCLEAR_NUMBER)
    if event.action == NUMBER_CHANGED:
        return Plan(state=EventState.DEAD, reason=Reason.NEEDS_PERSON, detail=number_question(event))
    if event.shape == MERGED:
        return Plan(
            state=EventState.DEAD,
            reason=Reason.NEEDS_PERSON,
            detail=f"record {event.properties.get(MERGED_AWAY)} was merged into {event.record.get(ID_FIELD)}, one of them was opted "
            "out, and what is left is not: set the flag there if the opt-out holds, then discard this",
        )
    if event.unread_price is not None and event.verdict is Verdict.NONE and event.result is Result.OK:
        return Plan(
            state=EventState.DEAD,
            reason=Reason.NEEDS_PERSON,
            detail="the price in it is not one amount that can be paid: enter the amount in the CRM by hand, then discard this",
        )
    return None


def _plan_doubtful(event: Event, rules: Ruleset, known: Known, *, tracing: bool) -> Plan:
    """The plan of a change that a person or automation may have made. It waits for a person if it has operations."""
    event_plan = plan(replace(event, action=CHANGED), rules, known, tracing=tracing)
    if not event_plan.operations:
        return event_plan
    return Plan(
        state=EventState.DEAD, reason=Reason.NEEDS_PERSON, detail=author_question(event), trace=event_plan.trace
    )


def _plan_unclear(event: Event, rules: Ruleset, known: Known, *, tracing: bool) -> Plan:
    """The plan of an event whose text may be a stop: by a person's answer, or a dead letter until then.

    No answer is needed if the mappings make the event an opt-out.
    """
    if known.answer is not None:
        event_plan = plan(replace(event, verdict=known.answer), rules, known, tracing=tracing)
        return replace(event_plan, notes=(ANSWERED[known.answer], *event_plan.notes))
    ordinary = plan(replace(event, verdict=Verdict.NONE), rules, known, tracing=tracing)
    if any(decision.word is Verdict.OPT_OUT for decision in ordinary.decisions):
        return ordinary
    return Plan(state=EventState.DEAD, reason=Reason.NEEDS_PERSON, detail=MAY_BE_A_STOP, trace=ordinary.trace)


def _plan_deleted(event: Event, known: Known) -> Plan:
    """The plan of a deleted record. It waits for a person if its donor can no longer be opted out in the CRM."""
    ledger_state = fold_ledger(known.ledger)
    if not ledger_state.active or known.others_have_number:
        return Plan(state=EventState.IGNORED, detail="a record was deleted, and no subscription depends on it")
    running = ", ".join(
        " ".join(filter(None, (subscription.provider, subscription.short_number, subscription.keyword)))
        for subscription in ledger_state.active
    )
    return Plan(
        state=EventState.DEAD,
        reason=Reason.NEEDS_PERSON,
        detail=f"{event.object} {event.record.get(ID_FIELD)} was deleted while its donor subscribes to {running}, and the donor "
        "goes on being charged: restore it from the recycle bin, and opt it out there if the subscription is to end; "
        "then discard this",
    )


def command_candidates(
    provider: str, ledger_state: LedgerState, configured: Sequence[Subscription]
) -> Sequence[KnownSubscription]:
    """The subscriptions to which a command for all active ones is sent.

    Without an active one in the ledger, these are ended ones and those of the config: a 404 for them does no harm.
    """
    active = [subscription for subscription in ledger_state.active if subscription.provider == provider]
    if active:
        return [KnownSubscription(_with_keyword(subscription, configured), active=True) for subscription in active]
    ended = [member.subscription for member in ledger_state.memberships if member.subscription.provider == provider]
    candidates = [KnownSubscription(_with_keyword(subscription, configured), ended=True) for subscription in ended]
    candidates += [
        KnownSubscription(subscription)
        for subscription in configured
        if subscription.provider == provider and not any(same(subscription, other) for other in ended)
    ]
    return [one for one in candidates if one.subscription.keyword and one.subscription.short_number]


def _with_keyword(subscription: Subscription, configured: Sequence[Subscription]) -> Subscription:
    """The subscription with its keyword and short number by the config. The ledger may hold only the provider's ids."""
    if subscription.keyword and subscription.short_number:
        return subscription
    for other in configured:
        if same(subscription, other):
            return replace(
                subscription,
                keyword=subscription.keyword or other.keyword,
                short_number=subscription.short_number or other.short_number,
            )
    return subscription


def _conclude(wanted: Intents, ruling: Ruling, word: Verdict, version: str) -> Plan:
    """The plan: what the rules want, as far as consent allows it."""
    notes = [ruling.note] if ruling.note else []
    operations: list[Operation] = []
    unplanned = wanted.unplanned if wanted.unplanned and _concerns_consent(wanted.possible, ruling) else ()
    for operation in wanted.possible if unplanned else wanted.operations:
        if type(operation) is not RecordWrite or not operation.consent:
            operations.append(operation)
            continue
        allowed, note = allowed_at_planning(operation, ruling, word)
        # A consent-only write is left out if none of its consent fields is allowed.
        if not unplanned or allowed.consent or not allowed.consent_only:
            operations.append(allowed)
        if note and note not in notes:
            notes.append(note)
    decision = ruling.decision
    state, reason, detail = _state_of(wanted, has_operations=bool(operations))
    return Plan(
        state=state,
        operations=tuple(operations),
        decisions=() if decision is None else (decision.by(wanted.consent.get(word.value), version),),
        overtakes=word is Verdict.OPT_OUT and any(carries_opt_out(operation, word) for operation in operations),
        detail=detail,
        reason=reason,
        trace=wanted.trace,
        notes=tuple(notes),
        left_out=wanted.left_out,
        unplanned=unplanned,
    )


def _concerns_consent(possible: Sequence[Operation], ruling: Ruling) -> bool:
    """Whether the operations that can be made concern consent, and so must not wait for those that cannot be made."""
    if ruling.decision is not None and ruling.decision.word is Verdict.OPT_OUT:
        return True
    return any(
        operation.action in ENDING
        if isinstance(operation, ServiceCommand)
        else isinstance(operation, RecordWrite) and bool(operation.consent)
        for operation in possible
    )


def _state_of(wanted: Intents, *, has_operations: bool) -> tuple[EventState, Reason | None, str | None]:
    """The state of the event, the reason if it is a dead letter, and the detail."""
    if wanted.problem is not None:
        reason, detail = wanted.problem
        return (EventState.DELIVERING, None, detail) if has_operations else (EventState.DEAD, reason, detail)
    if wanted.operations:
        return EventState.DELIVERING, None, None
    if wanted.ignored_by is not None:
        return EventState.IGNORED, None, wanted.ignored_by
    if wanted.matched:
        return EventState.IGNORED, None, "the rules that matched had nothing to do"
    return EventState.UNMATCHED, None, None


def lane_of(event: Event) -> str:
    """The lane of the event's operations: its person, or the record that it is about, or the event itself."""
    if event.msisdn is not None:
        return event.msisdn.e164
    record = event.record.get(ID_FIELD)
    return f"record:{record}" if record else f"event:{event.key}"


def units_of(operations: Sequence[Operation]) -> dict[str, tuple[Operation, ...]]:
    """The operations by sink, in their order."""
    by_sink: dict[str, list[Operation]] = {}
    for operation in operations:
        by_sink.setdefault(operation.sink, []).append(operation)
    return {sink: tuple(for_sink) for sink, for_sink in by_sink.items()}


def nobody_answered(_event: Event) -> Verdict | None:
    """No answer, for callers that have no person's answers."""
    return None


def plan_in_order(
    batch: Sequence[tuple[int, Event]],
    rules: Ruleset,
    *,
    ledgers: Mapping[str, Sequence[LedgerEntry]],
    configured: Sequence[Subscription],
    others_opted_out: Callable[[Event], bool],
    answer: Callable[[Event], Verdict | None] = nobody_answered,
    others_have_number: Callable[[Event], bool] = lambda _: False,
) -> list[tuple[int, Event, Plan]]:
    """Plan stored events (id and event), each with the decisions of earlier events of the batch for its person.

    `answer` gives a person's verdict on a text that may be a stop. An event that cannot be planned becomes a dead letter, and
    the others are planned.
    """
    ledger_of: dict[str, list[LedgerEntry]] = {phone: list(entries) for phone, entries in ledgers.items()}
    plans: list[tuple[int, Event, Plan]] = []
    for event_id, event in batch:
        ledger = ledger_of.setdefault(event.msisdn.e164, []) if event.msisdn else []
        try:
            known = Known(
                # An event that is planned again must not be compared with its own earlier decision.
                ledger=tuple(entry for entry in ledger if entry.event_id != event_id),
                configured=tuple(configured),
                others_opted_out=event.verdict is Verdict.OPT_IN
                and event.object is not None
                and others_opted_out(event),
                event_id=event_id,
                answer=answer(event) if event.verdict is Verdict.MAYBE_STOP else None,
                others_have_number=event.shape == DELETED and others_have_number(event),
            )
            event_plan = plan(event, rules, known)
        except Exception as error:  # noqa: BLE001 - a bug must cost one event, not stop the worker.
            event_plan = failed_plan(error)
        ledger.extend(provisional(event_id, event, event_plan))
        plans.append((event_id, event, event_plan))
    return plans


def failed_plan(error: Exception) -> Plan:
    """The plan of an event whose planning failed with a bug: a dead letter."""
    return Plan(state=EventState.DEAD, reason=Reason.BUG, detail=place(error))


def provisional(event_id: int, event: Event, event_plan: Plan) -> list[LedgerEntry]:
    """The decisions as ledger entries before they are stored: the next event of the same person needs them."""
    return [
        LedgerEntry(
            id=0,
            event_id=event_id,
            event_key=event.key,
            phase=Phase.DECIDED,
            decision=decision,
            recorded_at=event.received_at,
        )
        for decision in event_plan.decisions
    ]
