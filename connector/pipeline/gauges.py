"""The gauges that are read from the store for each scrape of the metrics."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from connector.delivery.channels import FeedChannel, SinkChannel
from connector.delivery.throttle import ApiBudget, BudgetState
from connector.pipeline.reconcile import last_run
from connector.store.backups import Backup
from connector.store.store import Store
from connector.telemetry.metrics import Reading, Values


def _api_call_readings(budgets: Iterable[ApiBudget]) -> list[Reading]:
    """The gauges of the API budgets."""

    def read(value: Callable[[BudgetState], float | None]) -> Callable[[], Values]:
        return lambda: {(budget.crm,): known for budget in budgets if (known := value(budget.state())) is not None}

    return [
        Reading(
            name="connector_api_calls",
            help="The connector's API calls in the last 24 hours",
            labels=("crm",),
            read=read(lambda state: state.ours),
        ),
        Reading(
            name="connector_api_budget",
            help="API calls that the connector may make in 24 hours, with the reserve for opt-outs",
            labels=("crm",),
            read=read(lambda state: state.budget),
        ),
        Reading(
            name="connector_api_calls_left",
            help="API calls that are left, without the reserve for opt-outs",
            labels=("crm",),
            read=read(lambda state: None if state.left is None else max(0, state.left)),
        ),
        Reading(
            name="connector_api_budget_lasts_seconds",
            help="How long the API calls last at the present rate; no series if that is a day or more",
            labels=("crm",),
            read=read(lambda state: None if state.lasts is None else state.lasts.total_seconds()),
        ),
    ]


def gauges(
    store: Store,
    sink_channels: Mapping[str, SinkChannel],
    budgets: Iterable[ApiBudget] = (),
    feed_channels: Mapping[str, FeedChannel] | None = None,
    *,
    now: Callable[[], datetime],
    backups: Callable[[], Sequence[Backup]] = tuple,
    charging: Collection[str] = (),
) -> list[Reading]:
    """Counts of the inbox and the outboxes, ages of the oldest waiting entries, budgets of API calls, and backups.

    `charging`: the providers whose donors are charged by us.
    """
    names = tuple(sink_channels)

    def age(since: datetime | None) -> float:
        return (now() - since).total_seconds() if since else 0.0

    def units() -> Values:
        return {(name, state.value): n for name in names for state, n in store.outbox.counts(name).items()}

    def outages() -> Values:
        breakers = [channel.breaker for channel in sink_channels.values()]
        breakers += [channel.breaker for channel in (feed_channels or {}).values()]
        return {
            (breaker.name, breaker.cause.reason.value): age(breaker.since)
            for breaker in breakers
            if breaker.cause is not None
        }

    def reconciled() -> Values:
        last = {name: last_run(store, name).get("succeeded") for name in feed_channels or {}}
        return {(name,): age(datetime.fromisoformat(at)) for name, at in last.items() if at}

    def oldest_opt_out() -> Values:
        waiting = store.consents.open_opt_outs(now(), limit=1)
        return {(): waiting[0].age.total_seconds() if waiting else 0.0}

    return [
        Reading(
            name="connector_events",
            help="All events ever received, by their present state; their sum is connector_events_received",
            labels=("state",),
            read=lambda: {(state.value,): n for state, n in store.inbox.counts().items()},
        ),
        Reading(
            name="connector_events_received",
            help="All events ever received",
            read=lambda: {(): store.inbox.received()},
        ),
        Reading(name="connector_units", help="Units by sink and state", labels=("sink", "state"), read=units),
        Reading(
            name="connector_oldest_pending_seconds",
            help="Age of the oldest event that waits to be planned; events that wait for a provider's answer do not count",
            read=lambda: {(): age(store.inbox.oldest_pending())},
        ),
        Reading(
            name="connector_open_questions",
            help="Events that wait for an answer of a provider before they are planned",
            labels=("provider",),
            read=lambda: {(name,): n for name, n in store.questions.counts().items()},
        ),
        Reading(
            name="connector_maybe_stops",
            help="Texts that may be opt-outs and wait for a person's answer",
            read=lambda: {(): store.stop_answers.count_waiting()},
        ),
        Reading(
            name="connector_oldest_unit_seconds",
            help="Age of the oldest event that a sink has not settled",
            labels=("sink",),
            read=lambda: {(name,): age(store.outbox.oldest(name)) for name in names},
        ),
        Reading(
            name="connector_oldest_open_opt_out_seconds",
            help="Age of the oldest opt-out that the CRM or the provider has not confirmed",
            read=oldest_opt_out,
        ),
        Reading(
            name="connector_trouble_seconds",
            help="How long a sink or feed has been failing; no series for one that works",
            labels=("name", "reason"),
            read=outages,
        ),
        Reading(
            name="connector_reconciled_seconds",
            help="Time since a feed was last compared with all records of the CRM; no series if it never was",
            labels=("feed",),
            read=reconciled,
        ),
        Reading(
            name="connector_charges",
            help="Recurring charges by state",
            labels=("provider", "state"),
            read=lambda: {
                (name, state.value): count for name in charging for state, count in store.charges.counts(name).items()
            },
        ),
        *_api_call_readings(tuple(budgets)),
        Reading(
            name="connector_last_backup_age_seconds",
            help="Age of the newest nightly backup; no series if there is none",
            read=lambda: {(): age(kept[0].taken_at)} if (kept := backups()) else {},
        ),
        Reading(
            name="connector_last_backup_bytes",
            help="Size of the newest nightly backup; no series if there is none",
            read=lambda: {(): float(kept[0].size)} if (kept := backups()) else {},
        ),
    ]
