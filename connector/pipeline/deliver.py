"""What the budget of API calls lets a sink take now, and how its counts outlast a restart."""

from collections.abc import Iterable
from datetime import datetime

from connector.delivery.api_budget import ApiBudget
from connector.delivery.channels import SendAllowance, SinkChannel
from connector.model.errors import StoreUnavailable
from connector.pipeline.delivery_worker import DeliveryWorker
from connector.store.store import Store
from connector.store.units import Unit
from connector.telemetry.log_events import Emit


async def claim(
    channel: SinkChannel,
    allowance: SendAllowance,
    store: Store,
    worker: DeliveryWorker,
    *,
    now: datetime,
    monotonic: float,
    emit: Emit,
    whole: bool = False,
) -> list[Unit]:
    """Claim the next batch, or nothing: under pressure it waits to be full, and at the end there are only opt-outs.

    `allowance` is what may go out now; `whole`: only where it is full.
    """
    allowance = worker.may_take(allowance)
    name, size = channel.sink.name, allowance.size
    only_urgent = allowance.only_opt_outs
    if whole and store.overview.ready(name, size, now)[0] < size:
        return []
    if channel.budget is not None:
        terms = channel.budget.terms(emit)
        only_urgent = only_urgent or terms.only_opt_outs
        if monotonic < channel.sent + terms.gap.total_seconds():
            operations, urgent = store.overview.ready(name, size, now)
            if not urgent and (operations < size or only_urgent):
                return []
    units = await store.outbox.claim(name, 1, worker.claim, now, only_urgent=True) if allowance.opt_out_first else []
    units = units or await store.outbox.claim(name, size, worker.claim, now, only_urgent=only_urgent)
    if units:
        channel.sent = monotonic
        worker.held = units
    return units


async def keep_counts(budgets: Iterable[ApiBudget], store: Store) -> int:
    """Note the calls that were made since the last time."""
    for budget in budgets:
        if calls := budget.unsaved():
            try:
                await store.calls.add(budget.crm, calls)
            except StoreUnavailable:
                budget.not_saved(calls)
                raise
    return 0
