"""What the budget of API calls lets a sink take now, and how its counts outlast a restart."""

from collections.abc import Iterable
from datetime import datetime

from connector.delivery.budget import Budget
from connector.delivery.peers import Outlet, Turn
from connector.model.errors import StoreUnavailable
from connector.model.facts import Tell
from connector.steps.workers import Worker
from connector.store.store import Store
from connector.store.units import Unit


async def claim(
    outlet: Outlet,
    turn: Turn,
    store: Store,
    worker: Worker,
    *,
    now: datetime,
    monotonic: float,
    tell: Tell,
    whole: bool = False,
) -> list[Unit]:
    """Claim the next batch, or nothing: under pressure it waits to be full, and at the end there are only opt-outs.

    `turn` is what may go out now; `whole`: only where it is full.
    """
    turn = worker.may_take(turn)
    name, size = outlet.sink.name, turn.size
    only_urgent = turn.only_opt_outs
    if whole and store.overview.ready(name, size, now)[0] < size:
        return []
    if outlet.budget is not None:
        terms = outlet.budget.terms(tell)
        only_urgent = only_urgent or terms.only_opt_outs
        if monotonic < outlet.sent + terms.gap.total_seconds():
            operations, urgent = store.overview.ready(name, size, now)
            if not urgent and (operations < size or only_urgent):
                return []
    units = await store.outbox.claim(name, 1, worker.claim, now, only_urgent=True) if turn.opt_out_first else []
    units = units or await store.outbox.claim(name, size, worker.claim, now, only_urgent=only_urgent)
    if units:
        outlet.sent = monotonic
        worker.held = units
    return units


async def keep_counts(budgets: Iterable[Budget], store: Store) -> int:
    """Note the calls that were made since the last time."""
    for budget in budgets:
        if calls := budget.unsaved():
            try:
                await store.calls.add(budget.crm, calls)
            except StoreUnavailable:
                budget.not_saved(calls)
                raise
    return 0
