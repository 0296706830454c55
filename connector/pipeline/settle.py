"""Settle: computes from the outcomes each unit's new state, the shadows of its records, and the log events."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from connector.consent.changes import is_opted_out
from connector.delivery.outcome_policy import Attempt, Conclusion, conclude
from connector.delivery.send import AlsoUpdated, ConsentSentAlone, Sent, Written
from connector.mapping.compile.ruleset import FeedPlan
from connector.model.consent import Phase
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, Operation, RecordWrite, ServiceCommand
from connector.model.outcome import Delivered, Outcome, Reason, Rejected
from connector.model.record_number import NO_REGION, NumberReader
from connector.model.states import UnitState
from connector.store.agreements import NewAmount
from connector.store.records import Link, ShadowWrite
from connector.store.units import Confirmation, PartlyDelivered, Settlement, Unit, Unlinked
from connector.telemetry.log_events import Alarm, LogEvent, Settled

SUPERSEDED = Delivered(detail="superseded by what came after it")


class PendingWrite(Struct, frozen=True):
    """One operation of a claimed unit as it is sent; None if it is superseded."""

    unit: int  # place in the claim
    index: int  # place in the unit
    operation: Operation | None


def settle_units(
    units: Sequence[Unit],
    pending_writes: Sequence[PendingWrite],
    sent: Sent,
    *,
    feeds: Mapping[str, FeedPlan],
    consent: Mapping[str, ConsentFields],
    sent_at: datetime,
    numbers: NumberReader = NO_REGION,
    not_counted: Collection[Reason] = (),
) -> list[Settlement]:
    """Settle every unit by the outcomes of its operations. Written fields that a feed watches are added to the shadow.

    `feeds` and `consent` are those of the sink, by object. `sent_at` is when sending began. `not_counted` are the reasons
    for which the whole sink is the cause now; they count no attempt.
    """
    results = [_UnitResult(unit) for unit in units]
    outcomes = iter(sent.outcomes)
    sent_as: list[PendingWrite] = []  # by the index of an operation in the sent batch
    for pending in pending_writes:
        outcome: Outcome = SUPERSEDED
        if pending.operation is not None:
            outcome = next(outcomes)
            sent_as.append(pending)
        results[pending.unit].add(pending, outcome)
    for written in sent.written:
        result, write = results[sent_as[written.index].unit], written.write
        watched = feeds.get(write.object)
        if watched is not None or write.match is not None:
            fields = watched.fields if watched is not None else ()
            declared = consent.get(write.object)
            result.shadows.append(_shadow(written, fields, declared, sent_at, numbers, person=result.unit.lane))
        elif (link := _link(written)) is not None:
            result.links.append(link)
    for also_updated in sent.also_updated:
        result = results[sent_as[also_updated.index].unit]
        result.shadows += _also_updated_shadows(also_updated, feeds, person=result.unit.lane)
    for consent_alone in sent.consent_sent_alone:
        pending = sent_as[consent_alone.index]
        results[pending.unit].partly_delivered.append(_rest_of(pending, consent_alone))
    return [_settlement(result, not_counted) for result in results]


class _UnitResult:
    """Collects the outcomes of one unit."""

    __slots__ = ("attempts", "links", "partly_delivered", "shadows", "unit", "unlinked")

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.attempts: list[Attempt] = []
        self.shadows: list[ShadowWrite] = []
        self.links: list[Link] = []
        self.unlinked: list[Unlinked] = []
        self.partly_delivered: list[PartlyDelivered] = []

    def add(self, pending: PendingWrite, outcome: Outcome) -> None:
        """Add the outcome of one operation."""
        write = pending.operation
        self.attempts.append(Attempt(pending.index, write, outcome))
        if not isinstance(write, RecordWrite):
            return
        if write.consent_only and isinstance(outcome, Delivered):
            # Only its consent fields could be planned.
            done = write.as_done(created=outcome.created, left_out=outcome.left_out)
            self.partly_delivered.append(PartlyDelivered(index=pending.index, done=done, rest=None))
        if write.match is not None and (unlinked := _unlinked_key(write, outcome)) is not None:
            self.unlinked.append(unlinked)


def _rest_of(pending: PendingWrite, consent_alone: ConsentSentAlone) -> PartlyDelivered:
    """The other fields of an operation whose consent fields were written alone."""
    assert isinstance(pending.operation, RecordWrite)  # noqa: S101 - nothing else carries consent.
    done = consent_alone.write.as_done(created=consent_alone.outcome.created, left_out=consent_alone.outcome.left_out)
    rest = replace(pending.operation.without(done), consent=(), clears_flag=False)
    if rest.consent_only:
        rest = replace(rest, create={}, consent_only=False)
    return PartlyDelivered(index=pending.index, done=done, rest=rest)


def _settlement(result: _UnitResult, not_counted: Collection[Reason]) -> Settlement:
    unit = result.unit
    conclusion = conclude(result.attempts, unit.attempts, not_counted=not_counted, urgent=unit.urgent)
    unplanned = unit.unplanned
    if conclusion.state is UnitState.DELIVERED and unplanned is not None:
        conclusion = replace(
            conclusion, state=UnitState.DEAD, reason=unplanned.reason, detail=unplanned.detail, rule=unplanned.rule
        )
    confirmations = _confirmations(unit, conclusion, {partly.index for partly in result.partly_delivered})
    return Settlement(
        unit_id=unit.id,
        state=conclusion.state,
        reason=conclusion.reason,
        detail=conclusion.detail,
        delay=conclusion.delay,
        counts_attempt=conclusion.counts_attempt,
        done=conclusion.done,
        in_doubt=conclusion.in_doubt,
        shadows=tuple(result.shadows),
        links=tuple(result.links),
        unlinked=tuple(result.unlinked),
        confirmations=confirmations,
        rule=conclusion.rule,
        code=conclusion.code,
        partly_delivered=tuple(result.partly_delivered),
        amounts=tuple(_amounts(unit, result.attempts)),
    )


def _amounts(unit: Unit, attempts: Sequence[Attempt]) -> Iterator[NewAmount]:
    """The new monthly amounts of delivered price commands, for donors whom we charge."""
    for attempt in attempts:
        command = attempt.operation
        if isinstance(command, ServiceCommand) and command.price is not None and isinstance(attempt.outcome, Delivered):
            yield NewAmount(
                provider=command.sink,
                msisdn=command.phone.e164,
                short_number=command.short_number,
                keyword=command.keyword,
                amount=Decimal(str(command.price)),
                event_id=unit.event_id,
            )


def _confirmations(unit: Unit, conclusion: Conclusion, consent_alone: Collection[int]) -> tuple[Confirmation, ...]:
    """The unit's confirmations for the ledger, if an operation of it concerns consent.

    `consent_alone` are the indexes of operations whose consent fields were delivered alone.
    """
    with_consent = {
        index
        for index, operation in zip(unit.indexes, unit.operations, strict=True)
        if isinstance(operation, ServiceCommand) or (isinstance(operation, RecordWrite) and operation.consent)
    }
    concerns_consent = unit.unplanned is not None and unit.unplanned.owes
    if not with_consent and not concerns_consent:
        return ()
    delivered = conclusion.state is UnitState.DELIVERED
    if not concerns_consent and (delivered or with_consent <= {*conclusion.done, *consent_alone}):
        return (Confirmation(phase=Phase.CONFIRMED, detail=conclusion.detail if delivered else None),)
    return (Confirmation(phase=Phase.FAILED, detail=conclusion.detail),) if conclusion.state is UnitState.DEAD else ()


def _link(written: Written) -> Link | None:
    """The record of a key, if the write has create fields: the next such write then needs no look-up."""
    write, record_id = written.write, written.outcome.record_id
    if not write.create or record_id is None or write.key_field == ID_FIELD:
        return None
    return Link(crm=write.sink, object=write.object, key_field=write.key_field, key=write.key, record_id=record_id)


def _shadow(
    written: Written,
    watched: Collection[str],
    consent: ConsentFields | None,
    sent_at: datetime,
    numbers: NumberReader,
    *,
    person: str,
) -> ShadowWrite:
    """The shadow of the written fields that are watched. An unclear number is that of the write's person, if it may be."""
    write, outcome = written.write, written.outcome
    values: dict[str, Any] = {**write.create, **write.set} if outcome.created else dict(write.set)
    fields = {name: values[name] for name in watched if name in values and name not in outcome.left_out}
    phone = numbers.of(fields, consent, [person]).phone if consent and consent.phone in fields else None
    # An earlier attempt without a reply may have created the record with these.
    otherwise = {
        name: value
        for name, value in write.create.items()
        if name in watched and name not in fields and not write.consent_only
    }
    if outcome.created and consent and consent.opted_out is False and consent.flag in watched:
        otherwise.setdefault(consent.flag, False)  # a new record's checkbox is empty, which no person has decided
    return ShadowWrite(
        crm=write.sink,
        object=write.object,
        record_id=outcome.record_id,
        key_field=write.key_field,
        key=write.key,
        fields=fields,
        otherwise=otherwise,
        phone=phone.e164 if phone else None,
        opted_out=is_opted_out(fields, consent) if consent and consent.flag in fields else None,
        written=True,
        sent_at=sent_at,
        person=person if write.match or (person.startswith("+") and person[1:] in write.key) else None,
    )


def _also_updated_shadows(
    also_updated: AlsoUpdated, feeds: Mapping[str, FeedPlan], *, person: str
) -> list[ShadowWrite]:
    """The shadows of other records that got the opt-out too, so that the feed does not read it as a person's change.

    The records were found by the number of the `person`.
    """
    write = also_updated.write
    watched = feeds.get(write.object)
    if watched is None:
        return []
    fields = {name: write.set[name] for name in write.consent if name in write.set and name in watched.fields}
    return [
        ShadowWrite(
            crm=write.sink,
            object=write.object,
            record_id=record_id,
            fields=fields,
            opted_out=True,
            written=True,
            person=person,
        )
        for record_id in also_updated.record_ids
    ]


def _unlinked_key(operation: RecordWrite, outcome: Outcome) -> Unlinked | None:
    """The key to be unlinked if a match found no record, or several; None if the link may stay."""
    nobody = isinstance(outcome, Delivered) and outcome.absent
    unclear = isinstance(outcome, Rejected) and outcome.reason in {Reason.NEEDS_PERSON, Reason.RECORD_DELETED}
    if not nobody and not unclear:
        return None
    return Unlinked(crm=operation.sink, object=operation.object, key_field=operation.key_field, key=operation.key)


def settled_event(unit: Unit, settlement: Settlement, now: datetime) -> Settled:
    """The log event of a settled unit."""
    return Settled(
        event=unit.event_id,
        sink=unit.sink,
        state=settlement.state,
        reason=settlement.reason,
        attempts=unit.attempts + settlement.counts_attempt,
        seconds=(now - unit.received_at).total_seconds(),
    )


def settled_events(units: Sequence[Unit], settled: Sequence[Settlement], *, now: datetime) -> Iterator[LogEvent]:
    """A log event for each unit, and alarms if the provider disagrees with the ledger or has not changed a price."""
    for unit, settlement in zip(units, settled, strict=True):
        yield settled_event(unit, settlement, now)
        if settlement.reason is Reason.PROVIDER_DISAGREES:
            yield Alarm(
                kind="provider_disagrees",
                about=f"event {unit.event_id}",
                lasts=False,
                message=f"{unit.sink} does not know a subscription that is active in our ledger",
                cure=f"see `connector explain {unit.event_id}`, and look up the subscriber at the provider",
            )
        if settlement.reason is Reason.PRICE_NOT_CHANGED:
            yield Alarm(
                kind="price_not_changed",
                about=f"event {unit.event_id}",
                lasts=False,
                message=f"{unit.sink} has not changed the price of a subscription",
                cure=f"see `connector explain {unit.event_id}`: the CRM shows an amount that {unit.sink} does not charge",
            )
