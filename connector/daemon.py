"""Composition root: starts the components in data-flow order and stops them in reverse.

start_application() is one straight sequence: nearly every step uses what the earlier steps made.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from connector.admin import AdminContext, commands_for
from connector.admin.nightly_backup import NightlyBackup
from connector.alarms.messenger import Messenger
from connector.alarms.targets import open_targets
from connector.alarms.weekly import send_digests
from connector.application import IDLE, SCHEMA_DRIFT_WORKER, Application, Clock, second_worker
from connector.checks.crm_requirements import needs
from connector.checks.schema_drift import Drift
from connector.crm.crm import Crm
from connector.current_mappings import CurrentMappings
from connector.delivery.channels import EnricherChannel, FeedChannel, SinkChannel
from connector.delivery.http_client import Transport
from connector.editing.editor import Editor
from connector.model.errors import AlreadyRunning, StoreUnavailable
from connector.model.problem import ProblemsFound
from connector.model.states import EventState
from connector.pipeline.charge import ChargeRunner, charge_worker
from connector.pipeline.deadlines import Deadlines
from connector.pipeline.enrich import enrich_worker
from connector.pipeline.forget import FORGET_WORKER, forget_the_rest
from connector.pipeline.gauges import gauges
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.poll import PollState
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.ports import WebhookEndpoint
from connector.process import (
    Notifier,
    Signals,
    keep_notifying_watchdog,
    keep_status,
    passed_sockets,
    tune_garbage_collector,
    watchdog_interval,
)
from connector.providers.provider import Provider
from connector.registry import LoadedConfig, build_crms, build_providers, build_sinks, number_reader
from connector.scheduler import Job, Scheduler
from connector.sinks.external import ExternalSink
from connector.store.store import Store
from connector.telemetry.fan_out import fan_out
from connector.telemetry.log_events import Emit, Level, Lifecycle
from connector.telemetry.logs import Log, take_over_libraries
from connector.telemetry.metrics import Metrics
from connector.web.admin_api import AdminHandler, Command, write_token
from connector.web.connections import Connections, SpareDescriptors
from connector.web.console.console import Console
from connector.web.listener import LINGER, Listener
from connector.web.webhooks import MAX_LINE, WebhookHandler

DEADLINE_INTERVAL = timedelta(seconds=15)  # between two checks of the deadlines
SAVE_COUNTS_INTERVAL = timedelta(minutes=1)  # a crash loses the counts of at most this time
FORGET_INTERVAL = timedelta(minutes=1)  # between two checks whether more of a forgotten person can be erased
STORE_CHECK_INTERVAL = timedelta(seconds=5)  # between two checks whether the writer answers
SPARE_DESCRIPTORS = 8  # file descriptors reserved for the admin listener, so that it answers when no others are free
LOCK_PAUSE = 0.25  # seconds between two tries to open a database that another process holds
LOCK_TRIES = 20  # a command that reads the database of a stopped service holds it for a second or two
TOKEN_FILE = "admin-token"  # noqa: S105 - the name of a file beside the database, not a secret.


@asynccontextmanager
async def start_application(
    loaded: LoadedConfig,
    *,
    emit: Emit,
    metrics: Metrics,
    clock: Clock | None = None,
    passed: socket.socket | None = None,
    linger: timedelta = LINGER,
    open_store: Callable[..., Store] = Store.open,
) -> AsyncIterator[Application]:
    """Start the daemon; it serves inside the `async with` and finishes its work before that ends.

    `passed` is the public socket if systemd made it. `linger` is how long the public listener still accepts
    connections during a stop. `open_store` opens the database as Store.open() does. Raises ProblemsFound and
    ConnectorError for what an operator can fix.
    """
    clock = clock or Clock()
    app, settings = Application(loaded, emit, clock), loaded.settings
    emit = app.emit
    async with AsyncExitStack() as stack:
        providers, app.crms, sinks = build_providers(loaded), build_crms(loaded), build_sinks(loaded, clock.now)

        store = app.store = open_store(
            loaded.database,
            ballast=settings.store.ballast,
            floor=settings.store.free_space_floor,
            on_broken=app.health.report_broken_store,
            on_outage=app.health.report_outage,
        )
        stack.push_async_callback(store.close)
        app.activity.load(store.activity.all())
        transport = await stack.enter_async_context(Transport(answer_limit=settings.limits.answer))
        peers: dict[str, Provider | Crm | ExternalSink] = {**providers, **app.crms, **sinks}
        app.connect(transport, {**providers, **sinks})
        stack.push_async_callback(app.save_last_counts)

        app.mappings = CurrentMappings(loaded, store, app.alarms, emit=emit, now=clock.now)
        rules = await app.mappings.at_start()
        runtime = Runtime(emit=emit, now=clock.now, monotonic=clock.monotonic, wake=app.wake, clients=app.clients)
        pipeline = app.pipeline = Pipeline(store, rules, _pipeline_config(app, providers), runtime)
        await app.recover_claims()
        app.report_start()
        stack.push_async_callback(app.shut_down)
        stack.push_async_callback(app.open_reconciler(runtime).stop)
        for name, peer in peers.items():
            if peer.sink is not None:
                app.open_sink(name, peer.sink, needs(rules).get(name, ()))
                for worker in (name, second_worker(name)) if name in app.crms else (name,):
                    app.start_delivery_worker(name, worker)
        for name, provider in providers.items():
            _start_provider_workers(app, name, provider)
        app.start_planning()
        await app.update_feeds(rules)
        for name, provider in providers.items():
            _start_charging(app, name, provider, runtime)  # after the feeds: charges wait for their opt-outs

        deadlines = Deadlines(
            store, deadline=settings.consent.deadline, emit=emit, now=clock.now, check_feeds=app.check_feeds
        )
        app.start_worker("writer", app.health.probe, idle=STORE_CHECK_INTERVAL)
        app.start_worker("calls", app.save_counts, idle=SAVE_COUNTS_INTERVAL)
        app.start_worker("deadlines", deadlines.check, idle=DEADLINE_INTERVAL)
        forget = partial(forget_the_rest, store, runtime, app.alarms, settings.store.retention.delivered)
        app.start_worker(FORGET_WORKER, forget, idle=FORGET_INTERVAL)
        backup = _start_calendar(
            app, stack, Drift(loaded, app.crms, app.clients, rules=lambda: pipeline.rules, emit=emit)
        )

        metrics.read(
            gauges(
                store,
                app.sink_channels,
                app.budgets.values(),
                app.feed_channels,
                now=clock.now,
                backups=lambda: backup.kept,
                charging=[name for name, provider in providers.items() if provider.charger is not None],
            ),
            together=store.snapshot,
        )
        app.admin_url = await _start_admin(app, stack, metrics)

        app.url = await _start_public(
            app, stack, (endpoint for peer in peers.values() for endpoint in peer.endpoints), passed, linger
        )
        emit(Lifecycle(message="listening", details={"hooks": app.url, "admin": app.admin_url}))
        yield app
        emit(Lifecycle(message="stopping"))


def _pipeline_config(app: Application, providers: Mapping[str, Provider]) -> PipelineConfig:
    """What the stages of the pipeline need of the config, the providers and the CRMs."""
    return PipelineConfig(
        configured=tuple(subscription for provider in providers.values() for subscription in provider.subscriptions),
        max_people=app.loaded.settings.consent.people_per_poll,
        numbers=number_reader(app.loaded),
        consent={name: crm.consent_fields for name, crm in app.crms.items()},
        notices_repeat={name: crm.traits.notices_repeat for name, crm in app.crms.items()},
        enrichers={name: provider.enricher for name, provider in providers.items() if provider.enricher is not None},
        charging=frozenset(name for name, provider in providers.items() if provider.charger is not None),
    )


def _start_provider_workers(app: Application, name: str, provider: Provider) -> None:
    """Start the workers that ask the provider: for look-ups, and for what its webhooks may have missed."""
    if provider.enricher is not None:
        channel = EnricherChannel(provider.enricher, app.clients[name])
        app.start_worker(enrich_worker(name), partial(app.pipeline.enrich, channel), idle=IDLE)
    for poller in provider.pollers:
        poll_state = PollState(poller, app.clients[name])
        app.start_worker(poller.name, partial(app.pipeline.poll, poll_state), idle=IDLE)


def _start_charging(app: Application, name: str, provider: Provider, runtime: Runtime) -> None:
    """Start the worker that charges the provider's donors, if there is one."""
    if provider.charger is not None:
        charges = ChargeRunner(
            provider.charger, app.clients[name], app.store, runtime, app.alarms, outdated_feeds=app.outdated_feeds
        )
        app.start_worker(charge_worker(name), charges.step, idle=IDLE)


async def _start_public(
    app: Application,
    stack: AsyncExitStack,
    endpoints: Iterable[WebhookEndpoint],
    passed: socket.socket | None,
    linger: timedelta,
) -> str:
    """Start the listener for webhooks; returns its address. `passed` and `linger`: see start_application()."""
    listen = app.loaded.settings.listen
    webhooks = WebhookHandler(
        endpoints,
        app.pipeline.receive,
        emit=app.emit,
        now=app.clock.now,
        public_url=listen.public_url,
        trusted_proxies=listen.trusted_proxies,
        body_limit=listen.body_limit,
        in_flight=listen.in_flight,
    )
    public = Listener(
        webhooks.handle,
        host=listen.host,
        port=listen.port,
        passed=passed,
        linger=linger,
        max_line=MAX_LINE,
        not_http=webhooks.not_http,
        connections=Connections(
            most=listen.connections,
            of_one_address=listen.connections_per_address,
            emit=app.emit,
            monotonic=app.clock.monotonic,
            proxies=webhooks.trusted,
        ),
    )
    stack.push_async_callback(public.stop)
    url = await public.start()
    webhooks.use_listener_address(url)
    return url


async def _start_admin(app: Application, stack: AsyncExitStack, metrics: Metrics) -> str:
    """Start the listener for operators, with the console; returns its address."""
    context = AdminContext.of(
        app.store,
        rules=lambda: app.pipeline.rules,
        loaded=app.loaded,
        now=app.clock.now,
        sink_channels=app.sink_channels,
        feed_channels=app.feed_channels,
        faults=app.health.faults,
        alarms=app.current_alarms.listing,
        activity=app.activity,
        started=app.started,
    )
    commands: dict[str, Command] = {
        **commands_for(context),
        "reload": app.reload_command,
        "reconcile": app.reconciler.admin_command,
    }
    editor = Editor(context, app.reload_command)
    stack.push_async_callback(editor.close)
    commands |= editor.commands()
    console = Console(context, commands, address=lambda: app.admin_url, monotonic=app.clock.monotonic, emit=app.emit)
    commands["console_login"] = console.login
    admin = AdminHandler(
        commands,
        token=write_token(app.store.path.with_name(TOKEN_FILE)),
        unhealthy=app.health.unhealthy,
        not_ready=app.health.not_ready,
        metrics=metrics.render,
        emit=app.emit,
        console=console.handle,
    )
    operators = Listener(
        admin.handle,
        host=app.loaded.settings.admin.host,
        port=app.loaded.settings.admin.port,
        linger=timedelta(0),
        spare=stack.enter_context(SpareDescriptors(SPARE_DESCRIPTORS)),
    )
    stack.push_async_callback(operators.stop)
    return await operators.start()


def _start_calendar(app: Application, stack: AsyncExitStack, drift: Drift) -> NightlyBackup:
    """Start the calendar jobs and the workers that check whether the jobs were done."""
    settings, clock = app.loaded.settings, app.clock
    backup = NightlyBackup(app.loaded, emit=app.emit, now=clock.now, alarms=app.alarms)
    jobs = [
        Job(name="backup", at=settings.store.backup.at, work=backup.make),
        Job(name="retention", at="03:17", work=app.sweep),
        Job(name="drift", at="04:41", work=drift.compare),
        Job(name="reconcile", at=settings.reconcile.at, work=app.reconciler.start_nightly),
    ]
    scheduler = Scheduler(jobs, timezone=settings.timezone, monotonic=clock.monotonic, emit=app.emit)
    scheduler.start()
    stack.callback(backup.stop)
    stack.callback(scheduler.stop)
    app.start_worker(SCHEMA_DRIFT_WORKER, drift.compare_if_changed, idle=timedelta(hours=1))
    app.start_worker("backup", backup.check, idle=timedelta(hours=1))
    app.start_worker("calendar", scheduler.run_missed, idle=timedelta(hours=1))
    return backup


async def serve(loaded: LoadedConfig) -> None:
    """Run as a service until a signal ends it.

    Raises what start_application() raises, and StoreUnavailable if the database broke.
    """
    settings = loaded.settings
    metrics = Metrics()
    log = Log(level=settings.logs.level, form=settings.logs.format)
    messenger, faults = _build_messenger(loaded) if settings.notify.to else (None, [])
    emit = fan_out(log, metrics, *((messenger,) if messenger else ()))
    for fault in faults:
        emit(Lifecycle(message=fault, level=Level.ERROR))
    # By default the libraries write to the same stream, and aiohttp quotes whatever a caller has sent.
    take_over_libraries(log)
    notifier, sockets = Notifier.from_environment(), passed_sockets()
    with Signals() as signals:
        async with (
            start_application(
                loaded,
                emit=emit,
                metrics=metrics,
                passed=sockets[0] if sockets else None,
                open_store=open_when_free,
            ) as app,
            asyncio.TaskGroup() as side,
        ):
            tasks = [side.create_task(_reload_on_signal(app, signals, notifier))]
            if (interval := watchdog_interval()) is not None:
                tasks.append(
                    side.create_task(keep_notifying_watchdog(notifier, interval, lambda: not app.health.unhealthy()))
                )
            if messenger is not None:
                messenger.emit = emit
                tasks.append(side.create_task(messenger.run(app.store)))
                tasks.append(side.create_task(send_digests(loaded, messenger, Clock().now)))
            tasks.append(side.create_task(keep_status(notifier, partial(status_line, app))))
            tune_garbage_collector()
            notifier.ready()
            ends = [side.create_task(signals.stop.wait()), side.create_task(app.health.broken.wait())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            notifier.stopping()
            for task in (*tasks, *ends):
                task.cancel()
        if app.health.broken.is_set():
            raise StoreUnavailable(f"the database cannot be used: {app.store.writer.broken}")


def open_when_free(path: Path, *, pause: Callable[[float], None] = sleep, **options: Any) -> Store:
    """Open the database as Store.open() does, and wait a few seconds where another process holds it.

    `pause` waits that many seconds. Raises what Store.open() raises.
    """
    for _ in range(LOCK_TRIES):
        try:
            return Store.open(path, **options)
        except AlreadyRunning:
            pause(LOCK_PAUSE)
    return Store.open(path, **options)


def _build_messenger(loaded: LoadedConfig) -> tuple[Messenger, list[str]]:
    """The messenger to the recipients of the config, and what is wrong with some of them."""
    # It takes a third of a second and ten megabytes, which only an installation with recipients needs.
    from connector.alarms.send import is_address, send  # noqa: PLC0415 - see the line above.

    settings = loaded.settings
    targets, faults = open_targets(settings.notify, loaded.base, is_address)
    return Messenger(settings.notify, targets, timezone=settings.timezone, send=send, now=Clock().now), faults


def status_line(app: Application) -> str:
    """The state in one line, for `systemctl status`: what waits, what is paused and why, and what is wrong."""
    counts = app.store.inbox.counts()
    waiting = counts.get(EventState.PENDING, 0) + counts.get(EventState.DELIVERING, 0)
    channels: dict[str, SinkChannel | FeedChannel] = {**app.sink_channels, **app.feed_channels}
    breakers = {name: channel.breaker for name, channel in channels.items()}
    paused = [f"{name} is paused ({breaker.cause.reason.value})" for name, breaker in breakers.items() if breaker.cause]
    refused = ["the mapping files have errors"] if app.store.mappings.refused() else []
    return "; ".join([f"{waiting} event{'' if waiting == 1 else 's'} waiting", *paused, *refused, *app.health.faults()])


async def _reload_on_signal(app: Application, signals: Signals, notifier: Notifier) -> None:
    while await signals.reload.wait():
        signals.reload.clear()
        notifier.reloading()
        # reload() or the store has already reported the error; the service continues with the current mappings.
        with suppress(ProblemsFound, StoreUnavailable):
            await app.reload()
        notifier.ready()


def run(loaded: LoadedConfig) -> int:
    """The process of `connector run`; returns its exit code. Raises what serve() raises."""
    os.umask(0o077)  # only this process's user may read the files that it makes
    asyncio.run(serve(loaded))
    return 0
