"""Mappings that are stopped: what is told and kept of them, and what becomes of their units when the mappings are fixed."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from connector.delivery.http_client import Client
from connector.delivery.send import Sent, send
from connector.delivery.suspended_rules import Filtered, Suspension, SuspensionChanges, filter_suspended, learn
from connector.mapping.compile.items import WriteItem
from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import Subscription
from connector.model.event import Event
from connector.model.operation import Operation, RecordWrite, ServiceCommand, SinkCall
from connector.model.outcome import Delivered, Reason
from connector.model.plan import Known, Plan, Unplanned
from connector.model.states import EventState
from connector.pipeline.plan import made_clear
from connector.pipeline.planning import plan
from connector.ports import Sink
from connector.store.store import Store
from connector.store.units import Unit
from connector.telemetry.log_events import Fact


def lacking(wanted: Sequence[Operation], known: Sequence[Operation]) -> list[Operation]:
    """What of a plan is in none of the known operations. Of a record that these write, only the other fields.

    A known write of the consent fields alone has in `create` what it wrote to a record that it made (see as_done()).
    """
    commands = {_command(one) for one in known if isinstance(one, ServiceCommand)}
    calls = {(one.sink, one.action, one.key) for one in known if isinstance(one, SinkCall)}
    writes: dict[tuple[str, str, str], list[RecordWrite]] = {}
    for one in known:
        if isinstance(one, RecordWrite):
            writes.setdefault(one.record, []).append(one)
    left: list[Operation] = []
    for one in wanted:
        if isinstance(one, ServiceCommand):
            left += [] if _command(one) in commands else [one]
            continue
        if isinstance(one, SinkCall):
            left += [] if (one.sink, one.action, one.key) in calls else [one]
            continue
        rest = one
        for other in writes.get(one.record, ()):
            rest = rest.without(other)
        if rest.set or rest.create or rest is one:
            left.append(rest)
    return left


def _command(one: ServiceCommand) -> tuple[str, str, str, str]:
    return one.action, one.phone.e164, one.short_number, one.keyword


class SendResult(Struct, frozen=True):
    """One batch that went to a sink, except for the operations of suspended rules."""

    stops: Sequence[Suspension]
    batch: Filtered
    answered: Sent  # by the sink
    sent: Sent  # the whole batch
    well: bool  # all of it was delivered, and no rule is suspended: nothing that follows could learn from it
    not_counted: frozenset[Reason] = frozenset()  # these spend no attempt: they are the whole sink's fault


async def send_operations(
    sink: Sink, client: Client, operations: Sequence[Operation], store: Store, *, now: datetime
) -> SendResult:
    """Send the operations, except those of suspended rules."""
    stops = store.stops.of(sink.name)
    batch = filter_suspended(operations, stops, now, sink.traits) if stops else Filtered(operations)
    answered = await send(sink, client, batch.going, store.known_records(batch.going).task)
    well = not stops and all(isinstance(one, Delivered) for one in answered.outcomes)
    return SendResult(stops, batch, answered, batch.with_suspended(answered), well)


async def record_suspensions(
    store: Store, sink: str, result: SendResult, rules: Ruleset, *, now: datetime
) -> list[Fact]:
    """Keep what the batch has taught about stops; what is to be told of it."""
    changes = learn(sink, result.batch, result.sent.outcomes, result.stops, now, rules.context.traits_of(sink))
    if not changes:
        return []
    began = tuple(stop for stop in changes.began if _still_written(stop, rules))
    # What was planned before the rule was fixed is not news: it goes out at once as the rule makes it now.
    fixed = tuple(stop for stop in changes.began if stop not in began)
    await store.stops.change(SuspensionChanges(began=began, again=changes.again, ended=changes.ended + fixed), now=now)
    return [*(stop.alarm() for stop in began), *(stop.cleared() for stop in changes.ended)]


async def retry_suspended(store: Store, rules: Ruleset, *, now: datetime) -> list[Fact]:
    """Try all that is stopped, with these rules: at a start and when they were read again.

    What no rule writes any more has ended, and is told.
    """
    stops = store.stops.all()
    ended = [stop for stop in stops if not _still_written(stop, rules)]
    await store.stops.change(SuspensionChanges(ended=tuple(ended)), now=now)
    await store.stops.try_again([stop for stop in stops if stop not in ended], now=now)
    return [stop.cleared() for stop in ended]


def _still_written(stop: Suspension, rules: Ruleset) -> bool:
    """Whether the rule still writes what was refused."""
    items = [
        item
        for file in rules.files
        for rule in file.rules
        if rule.label == stop.rule
        for item in rule.items
        if isinstance(item, WriteItem) and item.object.casefold() == stop.object.casefold()
    ]
    if not stop.field:
        return bool(items)
    named = {value.name.casefold() for item in items for value in item.values}
    named |= {name.casefold() for item in items if item.match is not None for name in item.match.phone}
    column = rules.context.traits_of(stop.sink).relationship_column
    return stop.field.partition(".")[0].casefold() in named | {column(name) for name in named}


async def replan_suspended(
    units: list[Unit], rules: Ruleset, store: Store, *, configured: Sequence[Subscription]
) -> list[Unit]:
    """The units; those that have waited for the set-up are planned again where the mappings have changed since.

    Only what is left of a rule that was stopped is made again, from the same event: what is done stays done, and what the event
    decided stays decided. The same for what could not be planned, when a person lets it try again.
    """
    if not any(unit.stopped or unit.unplanned for unit in units):
        return units
    made: list[Unit] = []
    for unit in units:
        retried = unit.unplanned is not None and unit.late
        stored = store.inbox.get(unit.event_id) if unit.stopped or retried else None
        if stored is None or stored.event is None or (stored.mapping == rules.version and not retried):
            made.append(unit)
            continue
        wanted = _planned_again(unit, stored.event, rules, store, configured)
        operations = _with_lacking(unit, wanted) if retried else _replan(unit, wanted, rules)
        unplanned = _unplanned(unit, wanted) if retried else unit.unplanned
        if operations is None:
            made.append(unit)
            continue
        made.append(
            await store.outbox.replace(unit, operations, rules.version, unplanned=unplanned, left_out=wanted.left_out)
        )
    return made


def _planned_again(unit: Unit, event: Event, rules: Ruleset, store: Store, configured: Sequence[Subscription]) -> Plan:
    """What the rules make of the unit's event now, by what was known when it came."""
    event = made_clear(event, store)
    ledger = store.consents.of_many([event.msisdn.e164]) if event.msisdn else {}
    before = [entry for entries in ledger.values() for entry in entries if entry.event_id < unit.event_id]
    answer = store.stop_answers.verdict_of(event)
    return plan(event, rules, Known(ledger=tuple(before), configured=tuple(configured), answer=answer))


def _unplanned(unit: Unit, wanted: Plan) -> Unplanned | None:
    """What of the event still cannot be planned for the unit's sink."""
    if wanted.state is EventState.DEAD and wanted.reason is not None and not wanted.unplanned:
        return Unplanned(sink=unit.sink, rule="", reason=wanted.reason, detail=wanted.detail or "")
    return next((one for one in wanted.unplanned if one.sink == unit.sink), None)


def _with_lacking(unit: Unit, wanted: Plan) -> list[Operation]:
    """What the unit has to do yet, and what of the plan it lacked so far. What was to go out alone is made again."""
    left = [one for one in _left(unit) if not (isinstance(one, RecordWrite) and one.consent_only)]
    mine = [one for one in wanted.operations if one.sink == unit.sink]
    return [*left, *lacking(mine, [*unit.before.values(), *left])]


def _left(unit: Unit) -> list[Operation]:
    return [one for index, one in zip(unit.indexes, unit.operations, strict=True) if index not in unit.before]


def _replan(unit: Unit, wanted: Plan, rules: Ruleset) -> Sequence[Operation] | None:
    """What is left of the unit, as the rules make it now; None where that is the same."""
    before = _left(unit)
    left = {one.rule for one in before}
    # A rule that is no longer there may have been renamed: then nothing tells its operations from the others.
    kept = left <= {rule.label for file in rules.files for rule in file.rules}
    mine = [one for one in wanted.operations if one.sink == unit.sink and (one.rule in left or not kept)]
    new = lacking(mine, list(unit.before.values()))
    return None if new == before else new
