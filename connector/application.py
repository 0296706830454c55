"""The running application: its workers, wake-ups and reload. Built by daemon.py."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from connector.admin.retention import keep_of, sweep
from connector.crm.crm import Crm, FeedSpec, Needs
from connector.current_mappings import CurrentMappings
from connector.delivery.channels import FeedChannel, OpenAlarms, SinkChannel
from connector.delivery.http_client import Client, Transport
from connector.delivery.throttle import ApiBudget
from connector.health import STORE, Health
from connector.mapping.compile.ruleset import Ruleset
from connector.mapping.compile.ruleset_changes import RuleChanges, in_words
from connector.model.errors import StoreUnavailable
from connector.pipeline.deliver import DeliveryWorker
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.reconcile import Reconciler, run_name
from connector.pipeline.runtime import Runtime
from connector.pipeline.suspended_rules import SUSPENDED_RULES_WORKER, still_written
from connector.ports import Sink
from connector.providers.provider import Provider
from connector.registry import LoadedConfig, number_reader
from connector.sinks.external import ExternalSink
from connector.store.store import Made, Store
from connector.telemetry.activity import Activity
from connector.telemetry.current_alarms import CurrentAlarms
from connector.telemetry.fan_out import fan_out
from connector.telemetry.log_events import Alarm, Emit, Level, Lifecycle, Reloaded
from connector.worker import Step, Worker

IDLE = timedelta(seconds=1)  # the longest wait of a worker that nobody wakes: a retry may have become due
SCHEMA_DRIFT_WORKER = "drift"  # checks whether the CRMs have what new mappings need


def second_worker(name: str) -> str:
    """The name of a sink's second worker, which claims and settles while the first one sends."""
    return f"{name} (2)"


class Clock:
    """The current time. Workers and pauses use `monotonic`, so that a change of the wall clock does not stop them."""

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()


class Application:
    """The running daemon. Made by daemon.start_application()."""

    def __init__(self, loaded: LoadedConfig, emit: Emit, clock: Clock) -> None:
        self.loaded = loaded
        self.clock = clock
        self.started = clock.now()
        self.current_alarms = CurrentAlarms(clock.now)
        self.activity = Activity(clock.now)
        self.emit = fan_out(emit, self.current_alarms, self.activity)
        self.url = ""  # of the public listener
        self.admin_url = ""
        self.store: Store
        self.pipeline: Pipeline
        self.mappings: CurrentMappings
        self.reconciler: Reconciler
        self.crms: Mapping[str, Crm] = {}
        self.clients: dict[str, Client] = {}
        self.budgets: Mapping[str, ApiBudget] = {}  # of CRMs
        self.sink_channels: dict[str, SinkChannel] = {}
        self.feed_channels: dict[str, FeedChannel] = {}  # the feeds that are followed
        self.alarms = OpenAlarms()
        self.delivery_workers: dict[str, DeliveryWorker] = {}  # by worker name
        self.workers: dict[str, Worker] = {}
        self.health = Health(
            lambda: self.store, self.workers, self.delivery_workers, self.alarms, self.emit, clock.monotonic
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reloading = asyncio.Lock()  # two reloads at once would both replace the same feed
        self._feeds: dict[str, FeedSpec] = {}

    def connect(self, transport: Transport, peers: Mapping[str, Provider | ExternalSink]) -> None:
        """Make the HTTP clients of the CRMs, and of the providers and other sinks in `peers`. Calls to CRMs are counted."""
        self.budgets = {name: ApiBudget(name, crm.quota, crm.usage, self.clock.now) for name, crm in self.crms.items()}
        for name, budget in self.budgets.items():
            budget.remember(self.store.calls.of(name))
            self.clients[name] = transport.client(self.crms[name].credentials, on_end=budget.record_call)
        for name, peer in peers.items():
            only_public = isinstance(peer, ExternalSink) and peer.only_public
            self.clients[name] = transport.client(peer.credentials, only_public=only_public)

    def open_reconciler(self, runtime: Runtime) -> Reconciler:
        """Make the reconciler, which compares all records of the feeds with what the store knows of them."""
        self.reconciler = Reconciler(
            store=self.store,
            feed_channels=self.feed_channels,
            runtime=runtime,
            open_polls=self.pipeline.open_polls,
            numbers=number_reader(self.loaded),
            max_people=self.loaded.settings.consent.people_per_poll,
            nightly=self.loaded.settings.reconcile.enabled,
        )
        return self.reconciler

    def open_sink(self, name: str, sink: Sink, needs: Sequence[Needs]) -> None:
        """Register a sink. The sink of a CRM first learns what the mappings need of it."""
        crm = self.crms.get(name)
        warm_up = (lambda http: crm.prepare(http, needs)) if crm is not None else None
        deadline = self.loaded.settings.consent.deadline
        self.sink_channels[name] = SinkChannel(
            sink, self.clients[name], self.budgets.get(name), warm_up, self.alarms, deadline
        )

    def wake(self, name: str) -> None:
        """Wake a worker. An unknown name, such as a sink that was removed from the config, is ignored."""
        if name in self.workers:
            self.workers[name].wake()
        if name in self.crms and (second := self.workers.get(second_worker(name))) is not None:
            second.wake()

    def start_delivery_worker(self, sink: str, worker: str) -> None:
        """Start a worker that delivers to a sink."""
        delivery_worker = self.delivery_workers[worker] = DeliveryWorker(f"{self.pipeline.start} {worker}")
        self.start_worker(worker, partial(self.pipeline.deliver, self.sink_channels[sink], delivery_worker), idle=IDLE)

    def start_planning(self) -> None:
        """Start the workers that plan what was received, and plan again what waits for suspended rules."""
        self.start_worker("plan", self.pipeline.plan, idle=IDLE)
        self.start_worker(SUSPENDED_RULES_WORKER, self.pipeline.suspended_rules.retry, idle=IDLE)

    def start_worker(self, name: str, step: Step, *, idle: timedelta) -> None:
        """Start a worker."""
        worker = Worker(name, step, idle=idle, emit=self.emit, monotonic=self.clock.monotonic)
        self.workers[name] = worker
        self._tasks[name] = asyncio.create_task(worker.run(), name=name)

    async def stop_workers(self, *names: str) -> None:
        """Stop workers, all at once, after each has finished its step. A sink's second worker stops with its first."""
        stopping = sorted(
            {worker for name in names for worker in (name, second_worker(name)) if worker in self.workers}
        )
        for name in stopping:
            self.workers[name].stop()
        if tasks := [self._tasks[name] for name in stopping]:
            await asyncio.wait(tasks)  # unlike gather(), a cancelled wait cancels no worker
        for name in stopping:
            if self.workers.pop(name, None):  # another stop may have waited for the same worker
                del self._tasks[name]
                self.alarms.clear(f"{name} fails", self.emit)

    async def shut_down(self) -> None:
        """Stop all workers. Requests to a sink are finished; units that are only claimed are released for the next start."""
        for channel in self.sink_channels.values():
            channel.closing = True
        await self.stop_workers(*self.workers)

    async def update_feeds(self, rules: Ruleset) -> None:
        """Start the feeds that the rules need, and stop those that they no longer need."""
        needed = self._feed_specs(rules)
        ended = [name for name, spec in self._feeds.items() if name not in needed or needed[name][1] != spec]
        await self.stop_workers(*ended)
        for name in ended:
            self._stop_feed(name)
        for name in needed.keys() - self._feeds.keys():
            self._start_feed(name, *needed[name])

    def _feed_specs(self, rules: Ruleset) -> dict[str, tuple[str, FeedSpec]]:
        """The feeds that the rules need: by name, the CRM and what to read there."""
        look_back = self.loaded.settings.consent.look_back
        return {
            f"{crm}.{name}": (
                crm,
                FeedSpec(
                    object=name, fields=plan.fields, key_fields=plan.key_fields, every=plan.every, look_back=look_back
                ),
            )
            for crm, plans in rules.feeds.items()
            for name, plan in plans.items()
        }

    def _stop_feed(self, name: str) -> None:
        del self._feeds[name]
        channel = self.feed_channels.pop(name)
        channel.end(self.emit)
        self.pipeline.end_round(channel)  # without it, the changes of an open round would wait for ever
        self.alarms.clear(run_name(name), self.emit)

    def _start_feed(self, name: str, crm: str, spec: FeedSpec) -> None:
        source = self.crms[crm]
        channel = self.feed_channels[name] = FeedChannel(
            source.feed(spec),
            self.clients[crm],
            source.consent_fields.get(spec.object),
            self.budgets.get(crm),
            self.alarms,
            self.loaded.settings.consent.deadline,
            started=self.clock.monotonic(),
        )
        self._feeds[name] = spec
        self.start_worker(name, partial(self.pipeline.follow, channel), idle=spec.every)

    def outdated_feeds(self) -> list[str]:
        """The feeds whose opt-outs have not been read since the start, or not lately."""
        now = self.clock.monotonic()
        return [name for name, channel in self.feed_channels.items() if not channel.knows_opt_outs(now)]

    def check_feeds(self) -> None:
        """Raise an alarm for each feed that has not finished a round in time."""
        for channel in self.feed_channels.values():
            channel.check(self.clock.monotonic(), self.emit)
        self.reconciler.check()

    async def save_counts(self) -> int:
        """Store the API calls made since the last time, and what came in and went out."""
        await self.store.activity.save(self.activity)
        for crm, budget in self.budgets.items():
            if calls := budget.unsaved():
                try:
                    await self.store.calls.add(crm, calls)
                except StoreUnavailable:
                    budget.not_saved(calls)
                    raise
        return 0

    async def save_last_counts(self) -> None:
        """Store the counts at shutdown. If that fails, the counts of the last minute are lost, as in a crash."""
        with suppress(StoreUnavailable):
            await self.save_counts()

    async def reload(self) -> RuleChanges:
        """Reload the mappings, all or none. Raises ProblemsFound, and the current mappings stay in use."""
        async with self._reloading:
            rules, changes = await self.mappings.reload(self.pipeline.rules)
            self.pipeline.rules = rules
            self.pipeline.suspended_rules.begin_again()
            await self.update_feeds(rules)
            await self.pipeline.suspended_rules.retry()
        self.emit(Reloaded(accepted=True, version=rules.version, changes=in_words(changes)))
        self.wake(SCHEMA_DRIFT_WORKER)
        self.wake("plan")
        return changes

    async def recover_claims(self) -> None:
        """Release what an earlier start left claimed."""
        await self.store.outbox.free_claims(self.pipeline.start, self.clock.now())

    def report_start(self) -> None:
        """Report what this start has found, and repeat the alarms of rules and questions that still wait.

        The suspended rules are retried when the workers run.
        """
        if self.store.tightened:
            files = ", ".join(path.name for path in self.store.tightened)
            message = "removed other users' access to files that they could read"
            self.emit(Lifecycle(message=message, level=Level.WARNING, details={"files": files}))
        _report_new_database(self.store, self.emit)
        for suspension in self.store.suspensions.all():
            if still_written(suspension, self.pipeline.rules) or not self.pipeline.rules.usable:
                self.emit(suspension.alarm())
        for alarm in self.pipeline.stop_questions.waiting():
            self.emit(alarm)

    async def reload_command(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """Reload as a command of the admin API: returns the version in use, its files and which rules differ."""
        changes = await self.reload()
        files = [file.name for file in self.pipeline.rules.files]
        return {"version": self.pipeline.rules.version, "files": files, "changes": asdict(changes)}

    async def sweep(self) -> None:
        """Delete what is older than its kind is kept. An alarm says what will be deleted soon."""
        await sweep(self.store, keep_of(self.loaded), self.clock.now(), self.alarms, self.emit)


def _report_new_database(store: Store, emit: Emit) -> None:
    """Report that this start created the database; raise an alarm if an earlier start had one."""
    if store.made is Made.FIRST:
        emit(Lifecycle(message="created a new database", details={"path": str(store.path)}))
    elif store.made is Made.AGAIN:
        emit(
            Alarm(
                kind="database_missing",
                about=STORE,
                lasts=False,
                message=f"{store.path} was missing, so a new, empty database was created: no earlier event or opt-out is known",
                cure="unless you removed it on purpose, stop the connector and restore the last backup: `connector restore FILE`",
            )
        )
