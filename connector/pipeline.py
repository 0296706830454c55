"""The road, read top-down: receive, recover, follow, ask, plan, deliver. One method for each arrow of the drawing in the README.

Each step returns how many things it moved: its loop goes on at once while there is work, and otherwise waits. What a step does in
detail stands in steps/, and what it decides in the pure rooms below.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from msgspec.structs import replace

from connector.delivery.conclude import trouble
from connector.delivery.peers import Asking, Outlet, Patience, Watch
from connector.delivery.retry import POLICIES, backoff
from connector.delivery.sending import Sent
from connector.delivery.transport import Client
from connector.mapping.compile import Ruleset
from connector.model import facts
from connector.model.consent import Subscription
from connector.model.errors import StoreUnavailable
from connector.model.exchange import HttpRequest, HttpResponse
from connector.model.facts import Followed, Tell, TurnedAway, Wrote
from connector.model.lifecycle import EventState
from connector.model.operation import Operation
from connector.model.outcome import Reason, Retry
from connector.model.roles import LOOK, Asker, ConsentFields, Door, Notice
from connector.steps.allowance import claim
from connector.steps.asking import ask_loop, put_questions
from connector.steps.errands import Errand, errands, settlements
from connector.steps.keeping import entries, received
from connector.steps.planned import Planner, flood
from connector.steps.reading import Asked, Cursor, keep_page
from connector.steps.recovering import Recovery, portions
from connector.steps.settled import told
from connector.steps.stopping import Round, note_stops, remade, send_round
from connector.store.store import Store
from connector.store.units import Planned, Unit

PLAN_BATCH = 500  # events a transaction: one fsync for many, and a stop is still answered at once
NOTICE_LIFE = timedelta(hours=25)  # Salesforce repeats a notice for 24 hours
NONCE_LIFE = timedelta(days=1)  # far beyond any drift that a door may allow
NOT_STORED = HttpResponse(status=503, body=b"not stored, please repeat", headers={"Retry-After": "30"})  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the config says about the road."""

    configured: tuple[Subscription, ...] = ()  # `subscriptions:` of all providers
    most_commands: int = 50  # that one poll may send without a person
    region: str | None = None  # of numbers that the CRM holds without a country code
    consent: Mapping[str, Mapping[str, ConsentFields]] = field(default_factory=dict)  # CRM → object → fields
    askers: Mapping[str, Asker] = field(default_factory=dict)  # by provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the road needs from outside; passed in, so that a test is its master."""

    tell: Tell
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    wake: Callable[[str], None]  # the loop of that name: `plan`, a sink, or ask_loop() of a provider


class Road:
    """The steps, over the rooms that the daemon has built."""

    def __init__(self, store: Store, rules: Ruleset, terms: Terms, around: Around) -> None:
        self.rules = rules  # a reload replaces them as a whole
        self.start = uuid4().hex  # names this start of the process in its claims
        self._store = store
        self._region = terms.region
        self._consent = terms.consent
        self._askers = terms.askers
        self._configured = terms.configured
        self._planner = Planner(store, configured=terms.configured, most_commands=terms.most_commands)
        self._most_commands = terms.most_commands
        self._around = around
        self._tell = around.tell
        self._open_polls: set[str] = set()

    async def receive(self, door: Door, client: Client, request: HttpRequest) -> HttpResponse:
        """Authenticate → parse → keep → wake the planner → answer. Raises Refused for a request that is not let in."""
        try:
            admission = await client.run(door.admit(request))
            brought = entries(door, request, admission, self._askers.get(door.provider))
            expires = request.received_at + NONCE_LIFE if admission.nonce else None
            kept = await self._store.inbox.keep(brought, nonce=admission.nonce, nonce_expires=expires)
            if admission.notices:
                await self._point(door.provider, admission.notices, request.received_at + NOTICE_LIFE)
            if admission.hint and await self._store.questions.hasten(admission.hint, now=self._around.now()):
                self._around.wake(ask_loop(door.provider))
        except StoreUnavailable:
            self._tell(TurnedAway(provider=door.provider, door=door.name, status=503, why="not stored"))
            return NOT_STORED
        for entry, one in zip(brought, kept, strict=True):
            self._tell(received(entry, one))
        self._around.wake("plan")
        return door.answer(request, admission)

    async def recover(self, recovery: Recovery) -> int:
        """Ask a provider what it has told us, page by page; at the end of the round what never came is kept, oldest first."""
        now, monotonic = self._around.now(), self._around.monotonic()
        if monotonic < max(recovery.due, recovery.patience.until) or recovery.source not in self.rules.sources:
            return 0
        name = recovery.catch_up.name
        position = recovery.position or self._store.following.cursor(name)
        page = await recovery.client.run(recovery.catch_up.ask(position, now))
        if isinstance(page, Retry):
            self._wait(recovery.patience, page)
            return 0
        recovery.patience.over(self._tell)
        recovery.take(page)
        if not page.last:
            return 1
        brought, new = recovery.end(now), 0
        for some in portions(brought):
            kept = [*zip(some, await self._store.inbox.keep(some), strict=True)]
            fresh = [received(entry, one) for entry, one in kept if not one.known]
            for fact in fresh:
                self._tell(fact)
            new += len(fresh)
        await self._store.following.set_cursor(name, page.position)
        recovery.due = monotonic + recovery.catch_up.every.total_seconds()
        self._tell(Followed(feed=name, rows=len(brought), changes=new))
        self._around.wake("plan")
        return 0

    async def follow(self, watch: Watch) -> int:
        """Ask for changes after the cursor, page by page; their events and the new cursor are one transaction.

        A first look (a new feed, other fields, a lost cursor) only records the shadow. Between two rounds, records that the CRM has
        pointed at are looked at by themselves.
        """
        if self._around.monotonic() < watch.patience.until:
            return 0
        feed, pointers = watch.feed, self._store.pointers
        cursor = Cursor.read(self._store.following.cursor(feed.name), feed)
        named = [] if cursor.baseline or watch.poll else pointers.waiting(feed.crm, feed.object, LOOK)
        if not named and watch.poll is None and self._around.monotonic() < watch.rests:
            return 0
        asked = self._around.now()
        page = await watch.client.run(
            feed.look([one.record_id for one in named]) if named else feed.ask(cursor.position)
        )
        if isinstance(page, Retry):
            if page.reason in {Reason.UNEXPECTED_ANSWER, Reason.UNKNOWN}:
                # One of them may be what the CRM cannot look at; the next round sees them all anyway.
                await pointers.drop(named)
            self._wait(watch.patience, page)
            self._end_round(watch)
            return 0
        watch.patience.over(self._tell)
        if not named and watch.poll is None:
            watch.poll = uuid4().hex
            self._open_polls.add(watch.poll)
        asking = Asked(watch=watch, cursor=cursor, asked=asked, pointers=tuple(named), region=self._region)
        fresh = await keep_page(self._store, asking, page, now=self._around.now())
        last = page.last and not named
        self._tell(Followed(feed=feed.name, rows=len(page.rows), changes=fresh, last=last, baseline=cursor.baseline))
        if last:
            self._end_round(watch)
            watch.rest(self._around.monotonic(), self._tell)
        elif named:
            self._around.wake("plan")
        more = not page.last or pointers.waiting(feed.crm, feed.object, 1)
        return int(bool(more) or self._around.monotonic() >= watch.due)

    async def ask(self, asking: Asking) -> int:
        """Ask what is due → answered, or to be asked again; what has no answer at its deadline is planned as it is."""
        if self._around.monotonic() < asking.patience.until:
            return 0
        asked, closed = await put_questions(asking, self._store, self._tell, self._around.now, self._around.monotonic)
        if closed:
            self._around.wake("plan")
        return asked

    async def plan(self) -> int:
        """Oldest events → operations, decisions and what became of them, in one transaction.

        Opt-outs are planned first, each behind what its own person has waiting.
        """
        batch = self._planner.waiting(PLAN_BATCH, self._open_polls)
        if not batch:
            return 0
        planned, flooding = self._planner(batch, self.rules)
        for poll in flooding:
            self._tell(flood(poll, self._most_commands))
        await self._commit(planned)
        for one, (_, event) in zip(planned, batch, strict=True):
            self._tell(
                facts.Planned(
                    event=event.key,
                    provider=event.provider,
                    state=one.state,
                    operations=sum(len(unit.operations) for unit in one.units),
                    detail=one.detail,
                    reason=one.reason,
                    left_out=len(one.left_out),
                )
            )
        for sink in {unit.sink for one in planned for unit in one.units}:
            self._around.wake(sink)
        return len(batch)

    async def deliver(self, outlet: Outlet) -> int:
        """Claim a batch → write it → judge every outcome → settle, in one transaction.

        Two run for each CRM: while one has the wire, the other settles what went well, and claims where a whole batch waits.
        """
        units = await self._claim(outlet, whole=True) if outlet.wire.locked() else []
        async with outlet.wire:
            if units and not outlet.bears(sum(len(unit.operations) for unit in units), self._around.monotonic()):
                await self._store.outbox.give_back(units, self._around.now())
                units = []
            units = units or await self._claim(outlet)
            if not units:
                return 0
            self._around.wake(outlet.sink.name)
            units = await remade(units, self.rules, self._store, configured=self._configured)
            tasks = errands(units, self._store)
            went = await self._send(outlet, [task.operation for task in tasks if task.operation is not None])
            if not went.well:
                return await self._settle(outlet, units, tasks, went)
        return await self._settle(outlet, units, tasks, went)

    async def _claim(self, outlet: Outlet, *, whole: bool = False) -> list[Unit]:
        now, monotonic = self._around.now(), self._around.monotonic()
        if outlet.rests(monotonic):
            return []
        units = await claim(outlet, self._store, self.start, now=now, monotonic=monotonic, tell=self._tell, whole=whole)
        if not units and not whole:
            await outlet.prepare()
        return units

    async def _send(self, outlet: Outlet, operations: Sequence[Operation]) -> Round:
        sink, client = outlet.sink, outlet.client
        began, calls = self._around.monotonic(), client.calls
        went = await send_round(sink, client, operations, self._store, now=self._around.now())
        outlet.learn(went.answered.outcomes)
        seconds, calls, size = self._around.monotonic() - began, client.calls - calls, outlet.pace.size
        self._tell(Wrote(sink=sink.name, operations=len(operations), calls=calls, seconds=seconds, batch=size))
        self._bear(outlet, went.answered)
        return went

    async def _settle(self, outlet: Outlet, units: Sequence[Unit], tasks: Sequence[Errand], went: Round) -> int:
        settled = settlements(units, tasks, went.sent, feeds=self.rules.feeds, consent=self._consent)
        await self._store.outbox.settle(settled, now=self._around.now())
        for fact in told(units, settled, now=self._around.now()):
            self._tell(fact)
        for fact in await note_stops(self._store, outlet.sink.name, went, self.rules, now=self._around.now()):
            self._tell(fact)
        return len(units)

    async def _point(self, crm: str, notices: Sequence[Notice], expires: datetime) -> None:
        """Have the feeds look at what a CRM tells of. What nobody follows is nobody's news."""
        followed = {name.casefold(): name for name in self.rules.feeds.get(crm, {})}
        told = [replace(one, object=followed[key]) for one in notices if (key := one.object.casefold()) in followed]
        if told and await self._store.pointers.take(crm, told, expires=expires):
            for name in {one.object for one in told}:
                self._around.wake(f"{crm}.{name}")

    def _wait(self, patience: Patience, answer: Retry) -> None:
        """Leave a peer that was asked something alone for as long as its answer says."""
        pause = max(backoff(POLICIES[answer.reason], patience.failures), answer.not_before or timedelta())
        patience.pause(answer.reason, answer.detail, pause, now=self._around.monotonic(), tell=self._tell)

    async def _commit(self, planned: Sequence[Planned]) -> None:
        now = self._around.now()
        try:
            await self._store.plans.commit(planned, now=now)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - a plan that the store cannot take must not hold up the others.
            if len(planned) > 1:
                for one in planned:
                    await self._commit([one])
                return
            bug = Planned(event_id=planned[0].event_id, state=EventState.DEAD, reason=Reason.BUG)
            await self._store.plans.commit([bug], now=now)

    def _end_round(self, watch: Watch) -> None:
        """Let the planner have the round's changes: only now it is known how many commands they make."""
        if watch.poll is not None:
            self._open_polls.discard(watch.poll)
            watch.poll, watch.between = None, uuid4().hex
            self._around.wake("plan")

    def _bear(self, outlet: Outlet, sent: Sent) -> None:
        """Leave the sink alone for a while when a whole batch came back for the sink's own sake."""
        bad = trouble(sent.outcomes, outlet.patience.failures)
        if bad is None:
            if sent.outcomes:
                outlet.patience.over(self._tell)
            return
        reason, detail, pause = bad
        known = reason is Reason.QUOTA_EXHAUSTED and outlet.spent(self._tell)
        outlet.patience.pause(reason, detail, pause, now=self._around.monotonic(), tell=self._tell, known=known)
