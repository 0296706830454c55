"""Plans the units of suspended rules again when the mappings have changed.

Only the undelivered operations of a unit are planned again, from the same event. Its decisions stay.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import Subscription
from connector.model.operation import Operation, RecordWrite, ServiceCommand, SinkCall
from connector.model.plan import Plan, Unplanned
from connector.model.states import EventState
from connector.pipeline.known import known_before
from connector.pipeline.plan import with_known_number
from connector.pipeline.planning import failed_plan, plan
from connector.store.store import Store
from connector.store.suspended_units import PlannedUnit, Replacement

EVENTS = 200  # events that are planned again in one transaction


async def replan_suspended(
    store: Store, rules: Ruleset, configured: Sequence[Subscription], now: Callable[[], datetime]
) -> set[str]:
    """Plan suspended units of other mappings than these again; returns their sinks.

    Each batch is one transaction. After a crash the next start continues.
    """
    sinks: set[str] = set()
    after = 0
    while units := store.suspended_units.planned_otherwise(rules.version, after=after, limit=EVENTS):
        again = [_replan(unit, rules, store, configured) for unit in units]
        await store.suspended_units.replace(again, now=now())
        sinks |= {unit.sink for unit in units}
        after = units[-1].event_id
    return sinks


def not_delivered(planned: Sequence[Operation], delivered: Sequence[Operation]) -> list[Operation]:
    """The undelivered operations of a plan; of a partly written record, the other fields.

    A delivered consent-only write has in `create` the fields that it wrote to a record that it created: see as_done().
    """
    commands = {_command(operation) for operation in delivered if isinstance(operation, ServiceCommand)}
    calls = {
        (operation.sink, operation.action, operation.key) for operation in delivered if isinstance(operation, SinkCall)
    }
    writes: dict[tuple[str, str, str], list[RecordWrite]] = {}
    for operation in delivered:
        if isinstance(operation, RecordWrite):
            writes.setdefault(operation.record, []).append(operation)
    left: list[Operation] = []
    for operation in planned:
        if isinstance(operation, ServiceCommand):
            left += [] if _command(operation) in commands else [operation]
            continue
        if isinstance(operation, SinkCall):
            left += [] if (operation.sink, operation.action, operation.key) in calls else [operation]
            continue
        rest = operation
        for other in writes.get(operation.record, ()):
            rest = rest.without(other)
        if rest.set or rest.create or rest is operation:
            left.append(rest)
    return left


def _command(command: ServiceCommand) -> tuple[str, str, str, str]:
    return command.action, command.phone.e164, command.short_number, command.keyword


def _replan(unit: PlannedUnit, rules: Ruleset, store: Store, configured: Sequence[Subscription]) -> Replacement:
    """The undelivered operations of a suspended unit, by the current rules."""
    new_plan = _plan_again(unit, rules, store, configured)
    left = {one.rule for one in unit.left}
    # A rule that no longer exists may have been renamed: then all operations for the sink count as its own.
    kept = left <= {rule.label for file in rules.files for rule in file.rules}
    own_operations = [one for one in new_plan.operations if one.sink == unit.sink and (one.rule in left or not kept)]
    unplanned = _unplanned(unit, new_plan, left if kept else None) or unit.unplanned
    return Replacement(
        unit=unit,
        mapping=rules.version,
        operations=not_delivered(own_operations, unit.delivered),
        unplanned=unplanned,
        left_out=new_plan.left_out,
    )


def _plan_again(unit: PlannedUnit, rules: Ruleset, store: Store, configured: Sequence[Subscription]) -> Plan:
    """The plan of the unit's event by the current rules, with what was known when the event came."""
    stored = store.inbox.get(unit.event_id)
    assert stored is not None  # noqa: S101 - an event outlives its units.
    assert stored.event is not None  # noqa: S101 - an event without content has no units.
    event = with_known_number(stored.event, store)
    ledger = store.consents.of(event.msisdn.e164) if event.msisdn else ()
    try:
        return plan(event, rules, known_before(store, unit.event_id, event, ledger, configured))
    except Exception as error:  # noqa: BLE001 - a bug must cost one event, and not stop the others.
        return failed_plan(error)


def _unplanned(unit: PlannedUnit, new_plan: Plan, rules: Collection[str] | None) -> Unplanned | None:
    """What cannot be planned for the unit's sink by these rules; `rules` None means any rule."""
    if new_plan.state is EventState.DEAD and new_plan.reason is not None and not new_plan.unplanned:
        return Unplanned(sink=unit.sink, rule="", reason=new_plan.reason, detail=new_plan.detail or "")
    return next(
        (one for one in new_plan.unplanned if one.sink == unit.sink and (rules is None or one.rule in rules)), None
    )
