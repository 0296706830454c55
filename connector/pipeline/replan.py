"""Plans again what waits for suspended rules when the mappings have changed.

Only what is left of a unit is planned again, from the same event: what was delivered stays delivered, and what the
event decided stays decided.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import Subscription
from connector.model.operation import Operation, RecordWrite, ServiceCommand, SinkCall
from connector.model.plan import Plan, Unplanned
from connector.model.states import EventState
from connector.pipeline.known import known_before
from connector.pipeline.plan import made_clear
from connector.pipeline.planning import failed_plan, plan
from connector.store.store import Store
from connector.store.suspended_units import PlannedUnit, Replacement

EVENTS = 200  # events that are planned again in one transaction


async def replan_suspended(
    store: Store, rules: Ruleset, configured: Sequence[Subscription], now: Callable[[], datetime]
) -> set[str]:
    """Plan again what waits for suspended rules and was planned by other mappings than these; returns its sinks.

    It goes batch by batch. After a crash the next start does the rest.
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
    """The operations of a plan that are not among the delivered ones; of a record that these wrote, the other fields.

    A delivered write of the consent fields alone holds in `create` what it wrote to a record that it created: see as_done().
    """
    commands = {_command(one) for one in delivered if isinstance(one, ServiceCommand)}
    calls = {(one.sink, one.action, one.key) for one in delivered if isinstance(one, SinkCall)}
    writes: dict[tuple[str, str, str], list[RecordWrite]] = {}
    for one in delivered:
        if isinstance(one, RecordWrite):
            writes.setdefault(one.record, []).append(one)
    left: list[Operation] = []
    for one in planned:
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


def _replan(unit: PlannedUnit, rules: Ruleset, store: Store, configured: Sequence[Subscription]) -> Replacement:
    """What is left of a unit that waits for suspended rules, as the rules make it now."""
    wanted = _plan_again(unit, rules, store, configured)
    left = {one.rule for one in unit.left}
    # A rule that no longer exists may have been renamed: then all operations for the sink count as its own.
    kept = left <= {rule.label for file in rules.files for rule in file.rules}
    mine = [one for one in wanted.operations if one.sink == unit.sink and (one.rule in left or not kept)]
    unplanned = _unplanned(unit, wanted, left if kept else None) or unit.unplanned
    return Replacement(
        unit=unit,
        mapping=rules.version,
        operations=not_delivered(mine, unit.delivered),
        unplanned=unplanned,
        left_out=wanted.left_out,
    )


def _plan_again(unit: PlannedUnit, rules: Ruleset, store: Store, configured: Sequence[Subscription]) -> Plan:
    """The plan of the unit's event by the current rules, with what was known when the event came."""
    stored = store.inbox.get(unit.event_id)
    assert stored is not None  # noqa: S101 - an event outlives its units.
    assert stored.event is not None  # noqa: S101 - an event without content has no units.
    event = made_clear(stored.event, store)
    ledger = store.consents.of(event.msisdn.e164) if event.msisdn else ()
    try:
        return plan(event, rules, known_before(store, unit.event_id, event, ledger, configured))
    except Exception as error:  # noqa: BLE001 - a bug must cost one event, and not hold up the others.
        return failed_plan(error)


def _unplanned(unit: PlannedUnit, wanted: Plan, rules: Collection[str] | None) -> Unplanned | None:
    """What of the event cannot be planned for the unit's sink by these rules; None for any rule."""
    if wanted.state is EventState.DEAD and wanted.reason is not None and not wanted.unplanned:
        return Unplanned(sink=unit.sink, rule="", reason=wanted.reason, detail=wanted.detail or "")
    return next(
        (one for one in wanted.unplanned if one.sink == unit.sink and (rules is None or one.rule in rules)), None
    )
