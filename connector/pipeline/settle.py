"""Outcomes → the new state of each unit, what is now known of the records, and what is told of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from connector.consent.changes import is_out
from connector.delivery.outcome_policy import Attempt, Conclusion, conclude
from connector.delivery.send import AlsoUpdated, ConsentSentAlone, Sent, Written
from connector.mapping.compile.ruleset import FeedPlan
from connector.model.consent import Phase
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, Operation, RecordWrite, ServiceCommand
from connector.model.outcome import Delivered, Outcome, Reason, Rejected
from connector.model.record_number import NO_REGION, NumberReader
from connector.model.states import UnitState
from connector.pipeline.prepare import SUPERSEDED, PendingWrite
from connector.store.records import Link, ShadowWrite
from connector.store.units import Confirmation, PartlyDelivered, Settlement, Unit, Unlinked
from connector.telemetry.log_events import Alarm, Fact, Settled


def settle_units(
    units: Sequence[Unit],
    going: Sequence[PendingWrite],
    sent: Sent,
    *,
    feeds: Mapping[str, Mapping[str, FeedPlan]],
    consent: Mapping[str, Mapping[str, ConsentFields]],
    numbers: NumberReader = NO_REGION,
    not_counted: Collection[Reason] = (),
) -> list[Settlement]:
    """Judge every unit by the outcomes of its operations. What was written of a feed's fields is the record's new shadow.

    `not_counted` are the reasons that are the whole sink's fault just now, and spend no attempt.
    """
    attempts: list[list[Attempt]] = [[] for _ in units]
    shadows: list[list[ShadowWrite]] = [[] for _ in units]
    links: list[list[Link]] = [[] for _ in units]
    partly_delivered: list[list[PartlyDelivered]] = [[] for _ in units]
    outcomes = iter(sent.outcomes)
    sent_to: list[int] = []
    sent_as: list[PendingWrite] = []
    for pending in going:
        outcome: Outcome = SUPERSEDED
        if pending.operation is not None:
            outcome = next(outcomes)
            sent_to.append(pending.unit)
            sent_as.append(pending)
        attempts[pending.unit].append(Attempt(pending.index, pending.operation, outcome))
        if (written_alone := _written_alone(pending, outcome)) is not None:
            partly_delivered[pending.unit].append(written_alone)
    for written in sent.written:
        crm, name = written.write.sink, written.write.object
        watched = feeds.get(crm, {}).get(name)
        if watched is not None or written.write.match is not None:
            fields = watched.fields if watched is not None else ()
            unit = sent_to[written.index]
            declared = consent.get(crm, {}).get(name)
            shadows[unit].append(_shadow(written, fields, declared, numbers, person=units[unit].lane))
        elif (link := _link(written)) is not None:
            links[sent_to[written.index]].append(link)
    for also_updated in sent.also_updated:
        shadows[sent_to[also_updated.index]].extend(also_updated_shadows(also_updated, feeds))
    for consent_alone in sent.consent_sent_alone:
        partly_delivered[sent_to[consent_alone.index]].append(_rest_of(sent_as[consent_alone.index], consent_alone))
    return [
        _settle(unit, tries, tuple(seen), tuple(met), tuple(parts), not_counted)
        for unit, tries, seen, met, parts in zip(units, attempts, shadows, links, partly_delivered, strict=True)
    ]


def _written_alone(pending: PendingWrite, outcome: Outcome) -> PartlyDelivered | None:
    """A write that was planned with the consent fields alone, as it was done."""
    write = pending.operation
    if not isinstance(outcome, Delivered) or not isinstance(write, RecordWrite) or not write.consent_only:
        return None
    done = write.as_done(created=outcome.created, left_out=outcome.left_out)
    return PartlyDelivered(index=pending.index, done=done, rest=None)


def _rest_of(pending: PendingWrite, consent_alone: ConsentSentAlone) -> PartlyDelivered:
    """The rest of an operation of which the consent fields were written alone."""
    assert isinstance(pending.operation, RecordWrite)  # noqa: S101 - nothing else carries consent.
    done = consent_alone.write.as_done(created=consent_alone.outcome.created, left_out=consent_alone.outcome.left_out)
    rest = replace(pending.operation.without(done), consent=(), clears_flag=False)
    if rest.consent_only:
        rest = replace(rest, create={}, consent_only=False)
    return PartlyDelivered(index=pending.index, done=done, rest=rest)


def _settle(
    unit: Unit,
    tries: Sequence[Attempt],
    shadows: tuple[ShadowWrite, ...],
    links: tuple[Link, ...],
    partly_delivered: tuple[PartlyDelivered, ...],
    not_counted: Collection[Reason],
) -> Settlement:
    end = conclude(tries, unit.attempts, not_counted=not_counted, urgent=unit.urgent)
    left = unit.unplanned
    if end.state is UnitState.DELIVERED and left is not None:
        end = replace(end, state=UnitState.DEAD, reason=left.reason, detail=left.detail, rule=left.rule)
    confirmations = _confirmations(unit, end, {one.index for one in partly_delivered})
    return Settlement(
        unit_id=unit.id,
        state=end.state,
        reason=end.reason,
        detail=end.detail,
        delay=end.delay,
        counts_attempt=end.counts_attempt,
        done=end.done,
        in_doubt=end.in_doubt,
        shadows=shadows,
        links=links,
        unlinked=tuple(gone for one in tries if (gone := forgotten(one.operation, one.outcome)) is not None),
        confirmations=confirmations,
        rule=end.rule,
        code=end.code,
        partly_delivered=partly_delivered,
    )


def _confirmations(unit: Unit, end: Conclusion, consent_alone: Collection[int]) -> tuple[Confirmation, ...]:
    """What the ledger hears of the unit, where something of it that is left carries consent.

    `consent_alone` are the places of operations whose consent fields were delivered alone.
    """
    with_consent = {
        index
        for index, one in zip(unit.indexes, unit.operations, strict=True)
        if isinstance(one, ServiceCommand) or one.consent
    }
    concerns_consent = unit.unplanned is not None and unit.unplanned.owes
    if not with_consent and not concerns_consent:
        return ()
    if not concerns_consent and (end.state is UnitState.DELIVERED or with_consent <= {*end.done, *consent_alone}):
        return (Confirmation(phase=Phase.CONFIRMED, detail=end.detail if end.state is UnitState.DELIVERED else None),)
    return (Confirmation(phase=Phase.FAILED, detail=end.detail),) if end.state is UnitState.DEAD else ()


def _link(written: Written) -> Link | None:
    """Which record the key named, of a write that says what is only for new ones: the next such write needs no question."""
    write, record_id = written.write, written.outcome.record_id
    if not write.create or record_id is None or write.key_field == ID_FIELD:
        return None
    return Link(crm=write.sink, object=write.object, key_field=write.key_field, key=write.key, record_id=record_id)


def _shadow(
    written: Written, watched: Collection[str], consent: ConsentFields | None, numbers: NumberReader, *, person: str
) -> ShadowWrite:
    """What was written of the watched fields. A number that may be the person's whom the write is about is theirs."""
    write, outcome = written.write, written.outcome
    values: dict[str, Any] = {**write.create, **write.set} if outcome.created else dict(write.set)
    fields = {name: values[name] for name in watched if name in values and name not in outcome.left_out}
    # An earlier try, whose answer was lost, may have made the record with these.
    phone = numbers.of(fields, consent, [person]).phone if consent and consent.phone in fields else None
    otherwise = {
        name: value
        for name, value in write.create.items()
        if name in watched and name not in fields and not write.consent_only
    }
    return ShadowWrite(
        crm=write.sink,
        object=write.object,
        record_id=outcome.record_id,
        key_field=write.key_field,
        key=write.key,
        fields=fields,
        otherwise=otherwise,
        phone=phone.e164 if phone else None,
        opted_out=is_out(fields, consent) if consent and consent.flag in fields else None,
        written=True,
        person=person if write.match or (person.startswith("+") and person[1:] in write.key) else None,
    )


def also_updated_shadows(also_updated: AlsoUpdated, feeds: Mapping[str, Mapping[str, FeedPlan]]) -> list[ShadowWrite]:
    """The shadows of records that were given an opt-out beside the one it was for, so that it does not come back as a change."""
    write = also_updated.write
    watched = feeds.get(write.sink, {}).get(write.object)
    if watched is None:
        return []
    fields = {name: write.set[name] for name in write.consent if name in write.set and name in watched.fields}
    return [
        ShadowWrite(
            crm=write.sink, object=write.object, record_id=record_id, fields=fields, opted_out=True, written=True
        )
        for record_id in also_updated.record_ids
    ]


def forgotten(operation: Operation | None, outcome: Outcome) -> Unlinked | None:
    """What a match had better not remember: it was found to mean no record, or none that a machine can choose."""
    if not isinstance(operation, RecordWrite) or operation.match is None:
        return None
    nobody = isinstance(outcome, Delivered) and outcome.absent
    unclear = isinstance(outcome, Rejected) and outcome.reason in {Reason.NEEDS_PERSON, Reason.RECORD_DELETED}
    if not nobody and not unclear:
        return None
    return Unlinked(crm=operation.sink, object=operation.object, key_field=operation.key_field, key=operation.key)


def settled_fact(unit: Unit, end: Settlement, now: datetime) -> Settled:
    """What is told of a unit that came back."""
    return Settled(
        event=unit.event_key,
        sink=unit.sink,
        state=end.state,
        reason=end.reason,
        attempts=unit.attempts + end.counts_attempt,
        seconds=(now - unit.received_at).total_seconds(),
    )


def settled_events(units: Sequence[Unit], settled: Sequence[Settlement], *, now: datetime) -> Iterator[Fact]:
    """One fact for each unit, and an alarm where ledger and provider disagree, or where a price was not changed."""
    for unit, end in zip(units, settled, strict=True):
        yield settled_fact(unit, end, now)
        if end.reason is Reason.PROVIDER_DISAGREES:
            yield Alarm(
                kind="provider_disagrees",
                about=unit.event_key,
                lasts=False,
                message=f"{unit.sink} does not know a subscription that is active in our ledger",
                cure="run `connector explain` for the event, and look up the subscriber at the provider",
            )
        if end.reason is Reason.PRICE_NOT_CHANGED:
            yield Alarm(
                kind="price_not_changed",
                about=unit.event_key,
                lasts=False,
                message=f"{unit.sink} has not changed the price of a subscription",
                cure=f"see `connector explain {unit.event_key}`: the CRM shows an amount that {unit.sink} does not charge",
            )
