"""Claimed units → what may go out of them now, and, when it has, what becomes of each."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from connector.consent.changes import is_out
from connector.consent.guard import as_sendable
from connector.delivery.conclude import Attempt, Conclusion, conclude
from connector.delivery.sending import Apart, Sent, Written
from connector.mapping.compile import FeedPlan
from connector.model.consent import Phase
from connector.model.lifecycle import UnitState
from connector.model.operation import ID_FIELD, Operation, RecordWrite, ServiceCommand, key_of
from connector.model.outcome import Delivered, Outcome, Reason
from connector.model.record_number import NO_REGION, NumberReader
from connector.model.roles import ConsentFields, Shadow
from connector.steps.matches import forgotten, of_household
from connector.store.records import Link, ShadowWrite
from connector.store.store import Store
from connector.store.units import Confirmation, Parted, Settlement, Unit

VOID = Delivered(detail="superseded by what came after it")


@dataclass(frozen=True, slots=True)
class Errand:
    """One operation of a claimed unit as it may go out; None where nothing is left of it."""

    unit: int  # place in the claim
    index: int  # place in the unit
    operation: Operation | None


def errands(units: Sequence[Unit], store: Store) -> list[Errand]:
    """Ask consent again before anything goes out: the world has gone on since the plan was made."""
    people = sorted({unit.lane for unit in units if unit.lane.startswith("+")})
    ledgers = store.consents.of_many(people)
    return [
        Errand(
            place,
            index,
            as_sendable(
                operation,
                event_id=unit.event_id,
                overtaken=unit.overtaken_by is not None,
                newer=[(one.object, one.key_field, one.key, one.field) for one in unit.newer],
                ledger=ledgers.get(unit.lane, ()),
            ),
        )
        for place, unit in enumerate(units)
        for index, operation in zip(unit.indexes, unit.operations, strict=True)
    ]


def shadow_of(operations: Sequence[Operation], store: Store) -> Callable[[RecordWrite], Shadow]:
    """The shadows of the records whose flag is to be cleared."""
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for one in operations:
        if isinstance(one, RecordWrite) and one.clears_flag:
            wanted.setdefault((one.sink, one.object, one.key_field), []).append(one.key)
    known = {group: store.records.shadows_by_key(*group, keys) for group, keys in wanted.items()}
    return lambda one: known.get((one.sink, one.object, one.key_field), {}).get(key_of(one.key_field, one.key))


def record_of(operations: Sequence[Operation], store: Store) -> Callable[[RecordWrite], str | None]:
    """The records that are known to exist, of those that are written otherwise when they are new."""
    wanted: dict[tuple[str, str, str], set[str]] = {}
    for one in operations:
        if isinstance(one, RecordWrite) and one.match is None and (one.create or one.clears_flag):
            wanted.setdefault((one.sink, one.object, one.key_field), set()).add(one.key)
    known = {group: store.records.record_ids(*group, list(keys)) for group, keys in wanted.items()}
    return lambda one: known.get((one.sink, one.object, one.key_field), {}).get(key_of(one.key_field, one.key))


def gone_of(operations: Sequence[Operation], store: Store) -> Callable[[RecordWrite], str | None]:
    """The records that the keys of writes named until they were merged into others."""
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for one in operations:
        if isinstance(one, RecordWrite) and one.key_field != ID_FIELD:
            wanted.setdefault((one.sink, one.object, one.key_field), []).append(one.key)
    moved = {group: found for group, keys in wanted.items() if (found := store.records.moved(*group, keys))}
    return lambda one: moved.get((one.sink, one.object, one.key_field), {}).get(key_of(one.key_field, one.key))


def settlements(
    units: Sequence[Unit],
    going: Sequence[Errand],
    sent: Sent,
    *,
    feeds: Mapping[str, Mapping[str, FeedPlan]],
    consent: Mapping[str, Mapping[str, ConsentFields]],
    numbers: NumberReader = NO_REGION,
    spared: Collection[Reason] = (),
) -> list[Settlement]:
    """Judge every unit by the outcomes of its operations. What was written of a feed's fields is the record's new shadow.

    `spared` are the reasons that are the whole sink's fault just now, and spend no attempt.
    """
    attempts: list[list[Attempt]] = [[] for _ in units]
    shadows: list[list[ShadowWrite]] = [[] for _ in units]
    links: list[list[Link]] = [[] for _ in units]
    parted: list[list[Parted]] = [[] for _ in units]
    outcomes = iter(sent.outcomes)
    sent_to: list[int] = []
    sent_as: list[Errand] = []
    for errand in going:
        outcome: Outcome = VOID
        if errand.operation is not None:
            outcome = next(outcomes)
            sent_to.append(errand.unit)
            sent_as.append(errand)
        attempts[errand.unit].append(Attempt(errand.index, errand.operation, outcome))
        if (written_alone := _written_alone(errand, outcome)) is not None:
            parted[errand.unit].append(written_alone)
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
    for beside in sent.beside:
        shadows[sent_to[beside.index]].extend(of_household(beside, feeds))
    for apart in sent.apart:
        parted[sent_to[apart.index]].append(_parted(sent_as[apart.index], apart))
    return [
        _settle(unit, tries, tuple(seen), tuple(met), tuple(parts), spared)
        for unit, tries, seen, met, parts in zip(units, attempts, shadows, links, parted, strict=True)
    ]


def _written_alone(errand: Errand, outcome: Outcome) -> Parted | None:
    """A write that was planned with the consent fields alone, as it was done."""
    write = errand.operation
    if not isinstance(outcome, Delivered) or not isinstance(write, RecordWrite) or not write.consent_only:
        return None
    done = write.as_done(created=outcome.created, left_out=outcome.left_out)
    return Parted(index=errand.index, done=done, rest=None)


def _parted(errand: Errand, apart: Apart) -> Parted:
    """The rest of an operation of which the consent fields were written alone."""
    assert isinstance(errand.operation, RecordWrite)  # noqa: S101 - nothing else bears consent.
    done = apart.write.as_done(created=apart.outcome.created, left_out=apart.outcome.left_out)
    rest = replace(errand.operation.without(done), consent=(), clears_flag=False)
    if rest.consent_only:
        rest = replace(rest, create={}, consent_only=False)
    return Parted(index=errand.index, done=done, rest=rest)


def _settle(
    unit: Unit,
    tries: Sequence[Attempt],
    shadows: tuple[ShadowWrite, ...],
    links: tuple[Link, ...],
    parted: tuple[Parted, ...],
    spared: Collection[Reason],
) -> Settlement:
    end = conclude(tries, unit.attempts, spared=spared, urgent=unit.urgent)
    left = unit.unmade
    if end.state is UnitState.DELIVERED and left is not None:
        end = replace(end, state=UnitState.DEAD, reason=left.reason, detail=left.detail, rule=left.rule)
    confirmations = _confirmations(unit, end, {one.index for one in parted})
    return Settlement(
        unit_id=unit.id,
        state=end.state,
        reason=end.reason,
        detail=end.detail,
        delay=end.delay,
        spend_attempt=end.spends,
        done=end.done,
        in_doubt=end.in_doubt,
        shadows=shadows,
        links=links,
        unlinked=tuple(gone for one in tries if (gone := forgotten(one.operation, one.outcome)) is not None),
        confirmations=confirmations,
        rule=end.rule,
        code=end.code,
        parted=parted,
    )


def _confirmations(unit: Unit, end: Conclusion, apart: Collection[int]) -> tuple[Confirmation, ...]:
    """What the ledger hears of the unit, where something of it that is left carries consent.

    `apart` are the places of operations whose consent fields were delivered alone.
    """
    bearing = {
        index
        for index, one in zip(unit.indexes, unit.operations, strict=True)
        if isinstance(one, ServiceCommand) or one.consent
    }
    owed = unit.unmade is not None and unit.unmade.owes
    if not bearing and not owed:
        return ()
    if not owed and (end.state is UnitState.DELIVERED or bearing <= {*end.done, *apart}):
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
