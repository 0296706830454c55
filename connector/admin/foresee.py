"""What planning stored events again would change, before anything is changed: by rule and field, opt-outs first."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from connector.admin import labels
from connector.admin.change_summary import ChangeSummary
from connector.admin.context import AdminContext
from connector.model.event import Event, Verdict
from connector.model.operation import Operation
from connector.model.outcome import Reason
from connector.model.states import EventState, UnitState, event_state
from connector.pipeline.plan import Planner
from connector.pipeline.plan_changes import Change, Kind, compare
from connector.store.overview import UnitNow
from connector.store.units import Planned

BATCH = 100  # events planned before other work gets its turn: some 20 ms
CONSENT = "consent"  # the `what` of a change of the decision


class Foreseen(Struct, frozen=True, kw_only=True):
    """What planning one event again would do."""

    event_id: int
    event: Event
    state: EventState  # of the new plan, before anything of it is delivered
    reason: Reason | None
    changes: tuple[Change, ...]
    rules: frozenset[str]  # that made operations of it, then or now


async def foresee(
    context: AdminContext, events: Sequence[tuple[int, Event]], sinks: Mapping[int, frozenset[str]] | None = None
) -> list[Foreseen]:
    """Plan the events by the mappings in use, and compare; `sinks`: whose units may change, by event (else all)."""
    rules = context.rules()
    found: list[Foreseen] = []
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        planner = Planner(
            context.store, configured=context.configured, max_people=context.loaded.settings.consent.people_per_poll
        )
        planned, _ = planner.plan(batch, rules)
        for (event_id, event), plan in zip(batch, planned, strict=True):
            found.append(_foreseen(context, event_id, event, plan, None if sinks is None else sinks.get(event_id)))
        await asyncio.sleep(0)
    return found


def _foreseen(
    context: AdminContext, event_id: int, event: Event, planned: Planned, sinks: frozenset[str] | None
) -> Foreseen:
    units = context.store.overview.units_of(event_id)
    new = {unit.sink: unit.operations for unit in planned.units}
    changes: list[Change] = []
    rules: set[str] = set()
    for unit in units:
        wanted = new.pop(unit.sink, ())
        rules |= {operation.rule for operation in (*unit.operations, *wanted)}
        if unit.state is not UnitState.DISCARDED and (not sinks or unit.sink in sinks):
            changes += _of_unit(unit, wanted)
    for operations in new.values():
        rules |= {operation.rule for operation in operations}
        changes += compare((), operations)
    changes += _of_consent(context, event_id, planned)
    state, reason = planned.state, planned.reason
    if planned.units:
        parked = any(unit.parked for unit in planned.units)
        state = event_state([UnitState.DEAD if parked else UnitState.WAITING])
        reason = Reason.NEEDS_PERSON if parked else None
    return Foreseen(
        event_id=event_id,
        event=event,
        state=state,
        reason=reason,
        changes=tuple(sorted(changes, key=lambda change: not change.consent)),
        rules=frozenset(rules - {""}),
    )


def _of_unit(unit: UnitNow, wanted: Sequence[Operation]) -> Iterator[Change]:
    """What the new plan changes of a unit. What was delivered stays, also where the new plan does not write it."""
    delivered = unit.state is UnitState.DELIVERED
    done = [operation for place, operation in enumerate(unit.operations) if delivered or place in unit.done]
    stays = {change.what for change in compare((), done)}
    for change in compare(unit.operations, wanted):
        if change.kind is not Kind.REMOVED or change.what not in stays:
            yield change


def _of_consent(context: AdminContext, event_id: int, planned: Planned) -> Iterator[Change]:
    """Decisions that the ledger does not have of this event."""
    for decision in planned.decisions:
        ledger = context.store.consents.of(decision.phone.e164)
        known = [entry.decision for entry in ledger if entry.event_id == event_id]
        if not any(
            (other.word, other.scope, other.subscription) == (decision.word, decision.scope, decision.subscription)
            for other in known
        ):
            yield Change(
                kind=Kind.ADDED,
                rule=decision.rule or "",
                what=CONSENT,
                after=labels.decision_sentence(decision),
                consent=decision.word is Verdict.OPT_OUT,
            )


def summary_of_changes(foreseen: Sequence[Foreseen], *, reveal: bool = False) -> dict[str, Any]:
    """How many events change and how, each change with a few examples, those that concern opt-outs first."""
    changes = ChangeSummary(reveal=reveal)
    for effect in foreseen:
        changes.add(effect.event_id, effect.event.msisdn, effect.state.value, effect.changes)
    return changes.document()
