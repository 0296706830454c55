"""Builds the house in the order in which data meets its rooms, runs it, and leaves in reverse. The only composition root.

It is one straight line on purpose: nearly every step uses what the steps before it made.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from connector.adapters import Loaded, build_crms, build_providers, load_config, load_rules, number_reader
from connector.control import Control
from connector.control.drift import Drift
from connector.control.needs import needs
from connector.control.nightly_backup import NightlyBackup
from connector.crm.crm import Crm
from connector.delivery.peers import Asking
from connector.delivery.transport import Transport
from connector.house import DRIFT_LOOP, IDLE, Clock, House, beside
from connector.jobs import Calendar, Job
from connector.model.errors import StoreUnavailable
from connector.model.facts import Lived, Tell
from connector.model.problem import ProblemsFound
from connector.observe.logs import Log, take_over_libraries
from connector.observe.metrics import Metrics
from connector.observe.telling import fan_out
from connector.pipeline import Around, Road, Terms
from connector.providers.provider import Provider
from connector.service import Notifier, Wishes, keep_fed, passed_sockets, search_cycles_seldom, watchdog_interval
from connector.steps.asking import ask_loop
from connector.steps.deadlines import Deadlines
from connector.steps.gauges import gauges
from connector.steps.recovering import Recovery
from connector.store.store import Store
from connector.web.admin import Admin, write_token
from connector.web.connections import Connections, SpareDescriptors
from connector.web.hooks import LONGEST_LINE, Hooks
from connector.web.server import LINGER, Listener

WATCH_OVER = timedelta(seconds=15)  # between two looks at deadlines
NOTE_CALLS = timedelta(minutes=1)  # what is not noted at a crash are the calls of a minute
PROBE = timedelta(seconds=5)  # between two questions to the writer whether it lives
SPARE = 8  # descriptors that are kept for the operator's listener, so that it answers when there are no others
TOKEN_FILE = "admin-token"  # noqa: S105 - the name of a file beside the database, not a secret.


@asynccontextmanager
async def open_house(
    loaded: Loaded,
    *,
    tell: Tell,
    metrics: Metrics,
    clock: Clock | None = None,
    passed: socket.socket | None = None,
    linger: timedelta = LINGER,
    open_store: Callable[..., Store] = Store.open,
) -> AsyncIterator[House]:
    """The daemon, up and answering inside the `async with`; what it holds is finished before that is left.

    `passed` is the public socket where systemd made it; `linger` is how long the public listener still takes connections at a stop;
    `open_store` opens the database as Store.open() does.
    Raises ProblemsFound and ConnectorError for what an operator can mend.
    """
    clock = clock or Clock()
    house = House(loaded, tell, clock)
    settings = loaded.settings
    async with AsyncExitStack() as stack:
        providers, house.crms = build_providers(loaded), build_crms(loaded)
        rules = load_rules(loaded)

        store = house.store = open_store(
            loaded.at(settings.store.path),
            ballast=settings.store.ballast,
            floor=settings.store.free_space_floor,
            on_broken=house.break_off,
            on_outage=house.tell_outage,
        )
        stack.push_async_callback(store.close)
        transport = await stack.enter_async_context(Transport(answer_limit=settings.limits.answer))
        peers: dict[str, Provider | Crm] = {**providers, **house.crms}
        house.reach(transport, providers)
        stack.push_async_callback(house.keep_last_counts)

        road = house.road = Road(
            store,
            rules,
            Terms(
                configured=tuple(one for provider in providers.values() for one in provider.subscriptions),
                most_people=settings.consent.people_per_poll,
                numbers=number_reader(loaded),
                consent={name: crm.consent_fields for name, crm in house.crms.items()},
                askers={name: one.asker for name, one in providers.items() if one.asker is not None},
            ),
            Around(tell=tell, now=clock.now, monotonic=clock.monotonic, wake=house.wake),
        )
        await house.take_up()
        stack.push_async_callback(house.leave)
        stack.push_async_callback(house.open_reconciler().stop)
        for name, peer in peers.items():
            if peer.sink is not None:
                house.open_outlet(name, peer.sink, needs(rules).get(name, ()))
                for loop in (name, beside(name)) if name in house.crms else (name,):
                    house.hire(name, loop)
        for name, provider in providers.items():
            if provider.asker is not None:
                house.begin(ask_loop(name), partial(road.ask, Asking(provider.asker, house.clients[name])), idle=IDLE)
            for catch_up in provider.catch_ups:
                recovery = Recovery(catch_up, house.clients[name])
                house.begin(catch_up.name, partial(road.recover, recovery), idle=IDLE)
        house.begin("plan", road.plan, idle=IDLE)
        await house.follow(rules)

        deadlines = Deadlines(
            store, deadline=settings.consent.deadline, tell=tell, now=clock.now, check_feeds=house.check_feeds
        )
        house.begin("writer", house.probe, idle=PROBE)
        house.begin("calls", house.keep_counts, idle=NOTE_CALLS)
        house.begin("deadlines", deadlines.check, idle=WATCH_OVER)
        backup = _begin_calendar(
            house, stack, Drift(loaded, house.crms, house.clients, rules=lambda: road.rules, tell=tell)
        )

        metrics.read(
            gauges(
                store,
                house.outlets,
                house.budgets.values(),
                house.watches,
                now=clock.now,
                backups=lambda: backup.kept,
            ),
            together=store.snapshot,
        )
        control = Control(
            store,
            rules=lambda: road.rules,
            loaded=loaded,
            now=clock.now,
            outlets=house.outlets,
            watches=house.watches,
            faults=house.faults,
        )
        admin = Admin(
            {**control.commands(), "reload": house.reload_for_a_person, "reconcile": house.reconciler.for_a_person},
            token=write_token(store.path.with_name(TOKEN_FILE)),
            sick=house.sick,
            unready=house.unready,
            metrics=metrics.render,
            tell=tell,
        )
        operators = Listener(
            admin.handle,
            host=settings.admin.host,
            port=settings.admin.port,
            linger=timedelta(0),
            spare=stack.enter_context(SpareDescriptors(SPARE)),
        )
        stack.push_async_callback(operators.stop)
        house.admin_url = await operators.start()

        hooks = Hooks(
            [door for peer in peers.values() for door in peer.doors],
            lambda door, request: road.receive(door, house.clients[door.provider], request),
            tell=tell,
            now=clock.now,
            public_url=settings.listen.public_url,
            trusted_proxies=settings.listen.trusted_proxies,
            body_limit=settings.listen.body_limit,
            in_flight=settings.listen.in_flight,
        )
        public = Listener(
            hooks.handle,
            host=settings.listen.host,
            port=settings.listen.port,
            passed=passed,
            linger=linger,
            longest_line=LONGEST_LINE,
            not_http=hooks.not_http,
            connections=Connections(
                most=settings.listen.connections,
                of_one_address=settings.listen.connections_per_address,
                tell=tell,
                monotonic=clock.monotonic,
                proxies=hooks.trusted,
            ),
        )
        stack.push_async_callback(public.stop)
        house.url = await public.start()
        hooks.reached_at(house.url)
        tell(Lived(message="listening", details={"hooks": house.url, "admin": house.admin_url}))
        yield house
        tell(Lived(message="stopping"))


def _begin_calendar(house: House, stack: AsyncExitStack, drift: Drift) -> NightlyBackup:
    """Begin what belongs to a time of day, and what looks whether it was done."""
    settings, clock = house.loaded.settings, house.clock
    backup = NightlyBackup(house.loaded, tell=house.tell, now=clock.now, alarms=house.alarms)
    hour, minute = map(int, settings.store.backup.at.split(":"))
    jobs = [
        Job(name="backup", hour=hour, minute=minute, work=backup.make),
        Job(name="retention", hour=3, minute=17, work=house.sweep),
        Job(name="drift", hour=4, minute=41, work=drift.look),
        Job(
            name="reconcile",
            hour=settings.reconcile.hour,
            minute=settings.reconcile.minute,
            work=house.reconciler.for_calendar,
        ),
    ]
    calendar = Calendar(jobs, timezone=settings.timezone, monotonic=clock.monotonic, tell=house.tell)
    calendar.start()
    stack.callback(backup.stop)
    stack.callback(calendar.stop)
    house.begin(DRIFT_LOOP, drift.follow, idle=timedelta(hours=1))
    house.begin("backup", backup.look, idle=timedelta(hours=1))
    house.begin("calendar", calendar.catch_up, idle=timedelta(hours=1))
    return backup


async def serve(loaded: Loaded) -> None:
    """Run as a service until a signal ends it. Raises what open_house() raises, and StoreUnavailable when the database broke."""
    settings = loaded.settings
    metrics = Metrics()
    log = Log(level=settings.logs.level, form=settings.logs.format)
    tell = fan_out(log, metrics)
    # By themselves the libraries write to the same stream, and aiohttp quotes whatever a caller has sent.
    take_over_libraries(log)
    notifier, sockets = Notifier.from_environment(), passed_sockets()
    with Wishes() as wishes:
        async with (
            open_house(loaded, tell=tell, metrics=metrics, passed=sockets[0] if sockets else None) as house,
            asyncio.TaskGroup() as side,
        ):
            tasks = [side.create_task(_reload_on_wish(house, wishes, notifier))]
            if (interval := watchdog_interval()) is not None:
                tasks.append(side.create_task(keep_fed(notifier, interval, lambda: not house.sick())))
            search_cycles_seldom()
            notifier.ready()
            ends = [side.create_task(wishes.stop.wait()), side.create_task(house.broken.wait())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            notifier.stopping()
            for task in (*tasks, *ends):
                task.cancel()
        if house.broken.is_set():
            raise StoreUnavailable(f"the database cannot be used any more: {house.store.writer.broken}")


async def _reload_on_wish(house: House, wishes: Wishes, notifier: Notifier) -> None:
    while await wishes.reload.wait():
        wishes.reload.clear()
        notifier.reloading()
        # What was wrong has been told by reload(), or by the store; the service goes on with what it has.
        with suppress(ProblemsFound, StoreUnavailable):
            await house.reload()
        notifier.ready()


def run(path: Path) -> int:
    """The process of `connector run`; returns its exit code. Raises what serve() and load_config() raise."""
    os.umask(0o077)  # whatever this process makes is its user's alone
    asyncio.run(serve(load_config(path)))
    return 0
