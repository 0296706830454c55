"""The running daemon: its rooms, its loops and what may be asked of it as a whole. Built by daemon.py."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from connector.adapters import Loaded, load_rules, number_reader, read_schemas
from connector.crm.crm import Crm, Needs, Watching
from connector.delivery.alarms import OpenAlarms
from connector.delivery.budget import Budget
from connector.delivery.peers import Outlet, Watch
from connector.delivery.transport import Client, Transport
from connector.loops import Loop, Step
from connector.mapping.compile import Ruleset
from connector.model.errors import StoreUnavailable
from connector.model.facts import Alarm, Level, Lived, Reloaded, Tell
from connector.model.problem import ProblemsFound
from connector.model.roles import Sink
from connector.pipeline import Road
from connector.providers.provider import Provider
from connector.steps.allowance import keep_counts
from connector.steps.reconciling import Reconciler, run_of
from connector.steps.stopping import try_stopped
from connector.steps.trials import refuse_failing
from connector.steps.workers import Worker
from connector.store.outage import Outage, nearly_full
from connector.store.store import Made, Store

# A step that takes longer hangs. A batch to a slow CRM may rightly take minutes.
LONG = timedelta(hours=6)  # a backup of a large database on a slow disk
STUCK = {"writer": timedelta(seconds=30), "plan": timedelta(minutes=2), "backup": LONG, "calendar": LONG}
STUCK_ELSE = timedelta(minutes=15)
IDLE = timedelta(seconds=1)  # a loop that is not woken looks for itself: a retry may have come due
FAILING = timedelta(minutes=5)  # a person is called for a loop that has met a bug at each step for so long
NOBODYS = timedelta(
    minutes=2
)  # a claim that no worker has in hand for so long is lost: a worker puts it back within a minute
STORE, CLAIMS = "the database", "claims"  # what alarms are about
DRIFT_LOOP = "drift"  # looks whether the CRMs have what new mappings need


def beside(name: str) -> str:
    """The second loop of a sink: while the one sends, the other claims and settles."""
    return f"{name} (2)"


class Clock:
    """Time as the house sees it. Loops and pauses go by `monotonic`, which no change of the wall clock stops."""

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some start."""
        return time.monotonic()


class House:
    """The running daemon. Made by daemon.open_house()."""

    def __init__(self, loaded: Loaded, tell: Tell, clock: Clock) -> None:
        self.loaded = loaded
        self.tell = tell
        self.clock = clock
        self.url = ""  # of the public listener
        self.admin_url = ""
        self.broken = asyncio.Event()  # the database cannot be trusted any more: the process must end
        self.store: Store
        self.road: Road
        self.reconciler: Reconciler
        self.crms: Mapping[str, Crm] = {}
        self.clients: Mapping[str, Client] = {}
        self.budgets: Mapping[str, Budget] = {}  # of CRMs
        self.outlets: dict[str, Outlet] = {}
        self.watches: dict[str, Watch] = {}  # the feeds that are followed
        self.alarms = OpenAlarms()
        self.workers: dict[str, Worker] = {}  # by loop
        self.stops_due = False  # the mappings were read again, and what was stopped could not be let try yet
        self.nobodys: dict[
            str, float
        ] = {}  # names of claims that nobody works on, and when that was first seen, monotonic
        self.loops: dict[str, Loop] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._feeds: dict[str, Watching] = {}

    def reach(self, transport: Transport, providers: Mapping[str, Provider]) -> None:
        """Make the clients of all peers; the calls to the CRMs are counted."""
        self.budgets = {name: Budget(name, crm.quota, crm.usage, self.clock.now) for name, crm in self.crms.items()}
        for name, budget in self.budgets.items():
            budget.remember(self.store.calls.of(name))
        self.clients = {name: transport.client(one.credentials) for name, one in providers.items()} | {
            name: transport.client(crm.credentials, heard=self.budgets[name].heard) for name, crm in self.crms.items()
        }

    def open_reconciler(self) -> Reconciler:
        """Make what compares all records of the feeds with what is known of them."""
        self.reconciler = Reconciler(
            store=self.store,
            watches=self.watches,
            tell=self.tell,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            wake=self.wake,
            open_polls=self.road.open_polls,
            numbers=number_reader(self.loaded),
            most_people=self.loaded.settings.consent.people_per_poll,
            nightly=self.loaded.settings.reconcile.enabled,
        )
        return self.reconciler

    def open_outlet(self, name: str, sink: Sink, needs: Sequence[Needs]) -> None:
        """Hold a sink; a CRM's learns beforehand what the mappings will need of it."""
        crm = self.crms.get(name)
        beforehand = partial(crm.prepare, needs) if crm is not None else None
        self.outlets[name] = Outlet(
            sink,
            self.clients[name],
            self.budgets.get(name),
            beforehand,
            self.alarms,
            self.loaded.settings.consent.deadline,
        )

    def wake(self, name: str) -> None:
        """Wake a loop; a name that has none, such as a sink that was taken out of the config, wakes nobody."""
        if name in self.loops:
            self.loops[name].wake()
        if name in self.crms and (second := self.loops.get(beside(name))) is not None:
            second.wake()

    def hire(self, sink: str, loop: str) -> None:
        """Start a loop that delivers to a sink."""
        worker = self.workers[loop] = Worker(f"{self.road.start} {loop}")
        self.begin(loop, partial(self.road.deliver, self.outlets[sink], worker), idle=IDLE)

    def begin(self, name: str, step: Step, *, idle: timedelta) -> None:
        """Start a loop."""
        loop = Loop(name, step, idle=idle, tell=self.tell, monotonic=self.clock.monotonic)
        self.loops[name] = loop
        self._tasks[name] = asyncio.create_task(loop.run(), name=name)

    async def end(self, *names: str) -> None:
        """Let loops finish what they hold, all at once, and end them; a sink's second one with its first."""
        names = tuple(dict.fromkeys(one for name in names for one in (name, beside(name)) if one in self.loops))
        for name in names:
            self.loops[name].stop()
        await asyncio.gather(*(self._tasks.pop(name) for name in names))
        for name in names:
            del self.loops[name]
            self.alarms.clear(f"{name} fails", self.tell)

    async def leave(self) -> None:
        """End all loops. What is on its way to a sink is finished; what is only in hand goes back, for the next start."""
        for outlet in self.outlets.values():
            outlet.closing = True
        await self.end(*self.loops)

    async def follow(self, rules: Ruleset) -> None:
        """Start the feeds that the rules ask for, and end those that they no longer do."""
        look_back = self.loaded.settings.consent.look_back
        wanted = {
            f"{crm}.{name}": (
                crm,
                Watching(
                    object=name,
                    fields=one.fields,
                    key_fields=one.key_fields,
                    every=one.every,
                    look_back=look_back,
                ),
            )
            for crm, several in rules.feeds.items()
            for name, one in several.items()
        }
        over = [name for name, one in self._feeds.items() if name not in wanted or wanted[name][1] != one]
        await self.end(*over)
        for name in over:
            del self._feeds[name]
            watch = self.watches.pop(name)
            watch.end(self.tell)
            self.road.end_round(watch)  # else what it has brought would wait for the end of a round that never comes
            self.alarms.clear(run_of(name), self.tell)
        for name in wanted.keys() - self._feeds.keys():
            crm, watching = wanted[name]
            source = self.crms[crm]
            consent = source.consent_fields.get(watching.object)
            watch = self.watches[name] = Watch(
                source.feed(watching),
                self.clients[crm],
                consent,
                self.budgets.get(crm),
                self.alarms,
                self.loaded.settings.consent.deadline,
                started=self.clock.monotonic(),
            )
            self._feeds[name] = watching
            self.begin(name, partial(self.road.follow, watch), idle=watching.every)

    def check_feeds(self) -> None:
        """Call a person for each feed that has not come to its end in time."""
        for watch in self.watches.values():
            watch.check(self.clock.monotonic(), self.tell)
        self.reconciler.check()

    async def keep_counts(self) -> int:
        """Note the API calls that were made since the last time."""
        return await keep_counts(self.budgets.values(), self.store)

    async def keep_last_counts(self) -> None:
        """The same at the end; where they cannot be stored the calls of a minute are lost, as at a crash."""
        with suppress(StoreUnavailable):
            await self.keep_counts()

    async def reload(self) -> Ruleset:
        """Read the mappings again: whole, or not at all. Raises ProblemsFound, and the present ones stay."""
        try:
            rules = load_rules(self.loaded, read_schemas(self.loaded))
            refuse_failing(rules)
        except ProblemsFound as found:
            self.tell(Reloaded(accepted=False, version=self.road.rules.version, problems=len(found.problems)))
            raise
        self.road.rules = rules
        self.stops_due = True
        await self.follow(rules)
        await self.try_stopped()
        self.tell(Reloaded(accepted=True, version=rules.version))
        self.wake(DRIFT_LOOP)
        return rules

    async def take_up(self) -> None:
        """Free what an earlier start held, and try the mappings that were stopped then; a person is told of them again."""
        if self.store.tightened:
            files = ", ".join(path.name for path in self.store.tightened)
            message = "took the rights of other users away from files that they could read"
            self.tell(Lived(message=message, level=Level.WARNING, details={"files": files}))
        tell_if_new(self.store, self.tell)
        await self.store.outbox.free_claims(self.road.start, self.clock.now())
        await self.try_stopped()
        for stop in self.store.stops.all():
            self.tell(stop.alarm())
        for alarm in self.road.stop_questions.waiting():
            self.tell(alarm)

    async def try_stopped(self) -> None:
        """Try the mappings that are stopped."""
        for fact in await try_stopped(self.store, self.road.rules, now=self.clock.now()):
            self.tell(fact)
        self.stops_due = False
        for crm in self.crms:
            self.wake(crm)

    async def reload_for_a_person(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same, as a command of the admin listener."""
        rules = await self.reload()
        return {"version": rules.version, "files": [file.name for file in rules.files]}

    async def sweep(self) -> None:
        """Delete what is settled long ago."""
        keep = self.loaded.settings.store.retention.delivered
        await self.store.retention.sweep(self.clock.now(), keep_delivered=keep, keep_raw=keep)

    def unready(self) -> list[str]:
        """Why no callbacks can be taken, in plain words."""
        outage = self._outage()
        return self.sick() + ([outage.why] if outage else [])

    def _outage(self) -> Outage | None:
        writer = self.store.writer
        return writer.outage or (None if writer.has_room() else nearly_full(self.store.path))

    def faults(self) -> list[str]:
        """What is wrong with the process itself, in plain words."""
        failing = [f"{name} makes no progress: {one.bug}" for name, one in self.loops.items() if one.fails(FAILING)]
        return list(dict.fromkeys([*self.unready(), *failing]))

    def sick(self) -> list[str]:
        """Why the process does not work, in plain words; nothing when it does."""
        return [
            *(f"the loop {name} does not move" for name, one in self.loops.items() if not one.alive(_limit(name))),
            *(
                f"the loop {name} has met a bug at each step for {STUCK_ELSE}: {self.loops[name].bug}"
                for name in ("plan", *self.workers)
                if name in self.loops and self.loops[name].fails(STUCK_ELSE)
            ),
            *self._claims_of_nobody(),
            *([f"the database cannot be used: {self.store.writer.broken}"] if self.broken.is_set() else []),
        ]

    def _claims_of_nobody(self) -> list[str]:
        """Units that are claimed and that no worker has had in hand for a while. While nothing can be stored they cannot go back."""
        if self.store.writer.outage is not None:
            return []
        now = self.clock.monotonic()
        lost = [name for name, since in self.nobodys.items() if now - since >= NOBODYS.total_seconds()]
        return [f"units are claimed by {name.partition(' ')[2] or name}, which does not work on them" for name in lost]

    async def probe(self) -> int:
        """See whether the writer lives and can write, and whether somebody works on what is claimed.

        Where the writer does not answer, the loop that asks stands still, and is seen to.
        """
        await self.store.writer.alive()
        if (outage := self._outage()) is None:
            self.alarms.clear(STORE, self.tell)
        else:
            self.tell_outage(outage)
        if self.stops_due and outage is None:
            await self.try_stopped()
        self._look_at_claims()
        for name, loop in self.loops.items():
            holder = f"{name} fails"
            if loop.fails(FAILING):
                self.alarms.start(_loop_fails(name, loop), holder, self.tell)
            elif loop.bug is None:
                self.alarms.clear(holder, self.tell)
        return 0

    def tell_outage(self, outage: Outage) -> None:
        """Call a person, once, because nothing can be stored; it is told again when that is over."""
        if not self.broken.is_set():
            self.alarms.start(
                Alarm(kind=outage.kind, about=STORE, message=outage.message, cure=outage.cure), STORE, self.tell
            )

    def break_off(self, why: str) -> None:
        """The database cannot be used any more: the process must end, and is started anew."""
        cure = "the process ends with exit code 3 and systemd starts it again; see docs/operations.md"
        self.alarms.start(Alarm(kind="database_unusable", about=STORE, message=why, cure=cure), STORE, self.tell)
        self.broken.set()

    def _look_at_claims(self) -> None:
        """Note the claims that no worker has in hand. A worker that is in the middle of a step may take its time."""
        at_work = {
            one.claim for name, one in self.workers.items() if name in self.loops and not self.loops[name].resting
        }
        now = self.clock.monotonic()
        self.nobodys = {name: self.nobodys.get(name, now) for name in self.store.outbox.claims().keys() - at_work}
        if lost := self._claims_of_nobody():
            self.alarms.start(
                Alarm(
                    kind="claimed_by_nobody",
                    about=CLAIMS,
                    message="; ".join(lost),
                    cure="the watchdog of systemd starts the process anew, which frees them; without it, restart the connector",
                ),
                CLAIMS,
                self.tell,
            )
        else:
            self.alarms.clear(CLAIMS, self.tell)


def tell_if_new(store: Store, tell: Tell) -> None:
    """Say that the database was made by this start; loudly where an earlier start had one."""
    if store.made is Made.FIRST:
        tell(Lived(message="a new database was made", details={"path": str(store.path)}))
    elif store.made is Made.ANEW:
        tell(
            Alarm(
                kind="database_missing",
                about=STORE,
                lasts=False,
                message=f"{store.path} was gone, and a new, empty database was made: no earlier event or opt-out is known",
                cure="if it was not removed on purpose, stop the connector and restore the last backup: `connector restore FILE`",
            )
        )


def _limit(loop: str) -> timedelta:
    return STUCK.get(loop, STUCK_ELSE)


def _loop_fails(name: str, loop: Loop) -> Alarm:
    return Alarm(
        kind="loop_failing",
        about=name,
        message=f"{name} makes no progress: each step meets a bug ({loop.bug})",
        cure="report this line; what it has not done waits, and nothing is lost",
    )
