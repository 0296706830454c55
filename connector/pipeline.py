"""The road, read top-down: receive, recover, follow, ask, plan, deliver. One method for each arrow of the drawing in the README.

Each step returns how many things it moved: its loop goes on at once while there is work, and otherwise waits. What a step does in
detail stands in steps/, and what it decides in the pure rooms below.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from msgspec.structs import replace

from connector.delivery.conclude import spared, suspected, trouble
from connector.delivery.peers import Asking, Outlet, Patience, Turn, Watch
from connector.delivery.transport import Client
from connector.mapping.compile import Ruleset
from connector.model import facts
from connector.model.consent import Subscription
from connector.model.errors import StoreUnavailable
from connector.model.exchange import HttpRequest, HttpResponse
from connector.model.facts import Followed, Level, Lived, Tell, TurnedAway, Wrote
from connector.model.operation import Operation
from connector.model.outcome import Reason, Retry
from connector.model.record_number import NumberReader
from connector.model.roles import LOOK, Asker, ConsentFields, Door, Notice, Page
from connector.steps.allowance import claim
from connector.steps.asking import ask_loop, put_questions
from connector.steps.errands import Errand, errands, settlements
from connector.steps.feed_alarms import flags_rewritten, opt_outs_not_held
from connector.steps.keeping import entries, received
from connector.steps.planned import Planner, asked, commit, flood
from connector.steps.reading import Asked, Cursor, keep_page
from connector.steps.recovering import Recovery, portions
from connector.steps.settled import told
from connector.steps.stop_questions import StopQuestions
from connector.steps.stopping import Round, note_stops, remade, send_round
from connector.steps.workers import Worker
from connector.store.store import Store
from connector.store.units import Unit

PLAN_BATCH = 500  # events a transaction: one fsync for many, and a stop is still answered at once
NOTICE_LIFE = timedelta(hours=25)  # Salesforce repeats a notice for 24 hours
NONCE_LIFE = timedelta(days=1)  # far beyond any drift that a door may allow
NOT_STORED = HttpResponse(status=503, body=b"not stored, please repeat", headers={"Retry-After": "30"})  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the config says about the road."""

    configured: tuple[Subscription, ...] = ()  # `subscriptions:` of all providers
    most_people: int = 50  # whom one poll of a CRM may concern without a person's word
    numbers: NumberReader = field(default_factory=NumberReader)  # of the CRMs' phone fields
    consent: Mapping[str, Mapping[str, ConsentFields]] = field(default_factory=dict)  # CRM → object → fields
    askers: Mapping[str, Asker] = field(default_factory=dict)  # by provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the road needs from outside; passed in, so that a test is its master."""

    tell: Tell
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    wake: Callable[[str], None]  # the loop of that name: `plan`, `deadlines`, a sink, or ask_loop() of a provider


class Road:
    """The steps, over the rooms that the daemon has built."""

    def __init__(self, store: Store, rules: Ruleset, terms: Terms, around: Around) -> None:
        self.rules = rules  # a reload replaces them as a whole
        self.start = uuid4().hex  # names this start of the process in its claims
        self._store = store
        self._numbers = terms.numbers
        self._consent = terms.consent
        self._askers = terms.askers
        self._configured = terms.configured
        self._planner = Planner(store, configured=terms.configured, most_people=terms.most_people)
        self._most_people = terms.most_people
        self.stop_questions = StopQuestions(store)
        self._around = around
        self._tell = around.tell
        self.open_polls: set[str] = set()  # whose changes are not planned yet
        self._reused_ids: set[tuple[str, str]] = set()  # kinds of callbacks whose ids were found not to be unique

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
            self._tell(TurnedAway(provider=door.provider, door=door.name, status=503, why=facts.NOT_STORED))
            return NOT_STORED
        for entry, one in zip(brought, kept, strict=True):
            self._tell(received(entry, one))
            if one.reused is not None:
                self._tell_of_reused_ids(entry.provider, entry.shape)
        self._around.wake("plan")
        return door.answer(request, admission)

    def _tell_of_reused_ids(self, provider: str, shape: str) -> None:
        """Say once for each kind of callback that its ids are not unique. Nothing is lost by it."""
        if (provider, shape) not in self._reused_ids:
            self._reused_ids.add((provider, shape))
            message = (
                f"{provider}.{shape}: an id came again with another person or meaning; such events are kept as new ones"
            )
            self._tell(Lived(message=message, level=Level.WARNING))

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

        A first look (a new feed, a lost cursor) only records the shadow; where further fields are watched, it does so for these.
        Between two rounds, records that the CRM has pointed at are looked at by themselves.
        """
        try:
            return await self._follow(watch)
        except StoreUnavailable:
            raise
        except Exception:
            # What is known of the round is planned; what the CRM has pointed at is seen by the next round anyway.
            self.end_round(watch)
            await self._store.pointers.drop(self._store.pointers.waiting(watch.feed.crm, watch.feed.object, LOOK))
            raise

    async def _follow(self, watch: Watch) -> int:
        if self._around.monotonic() < watch.patience.until:
            return 0
        feed, pointers = watch.feed, self._store.pointers
        cursor = Cursor.read(self._store.following.cursor(feed.name), feed, watch.consent)
        named = [] if cursor.first or watch.poll else pointers.waiting(feed.crm, feed.object, LOOK)
        if not named and watch.poll is None and self._around.monotonic() < watch.rests:
            return 0
        if watch.wants_opted_out(self._around.monotonic()) and await self._follow_opted_out(watch, cursor) is None:
            return 0
        if not named and watch.poll is None and self._around.monotonic() < watch.pages_at:
            return 0
        asking = Asked(
            watch=watch, cursor=cursor, asked=self._around.now(), pointers=tuple(named), numbers=self._numbers
        )
        page = await (self._look_at(asking) if named else self._next_page(asking))
        if page is None:
            return 0
        await self._keep_page(asking, page, last=page.last and not named)
        if named:
            self._around.wake("plan")
        elif page.last:
            self.end_round(watch)
            watch.rest(self._around.monotonic(), self._tell)
            if cursor.baseline and (alarm := opt_outs_not_held(self._store, watch, cursor)):
                self._tell(alarm)
        more = not page.last or pointers.waiting(feed.crm, feed.object, 1)
        return int(bool(more) or self._around.monotonic() >= watch.due)

    async def _look_at(self, asking: Asked) -> Page | None:
        """The records that the CRM has pointed at; None where that failed."""
        watch = asking.watch
        page = await watch.client.run(watch.feed.look([one.record_id for one in asking.pointers]))
        if isinstance(page, Retry) and page.reason in {Reason.UNEXPECTED_ANSWER, Reason.UNKNOWN, Reason.UNKNOWN_CODE}:
            # One of them may be what the CRM cannot look at; the next round sees them all anyway.
            await self._store.pointers.drop(asking.pointers)
        return self._shown(watch, page)

    async def _next_page(self, asking: Asked) -> Page | None:
        """The next page of a round; None where that failed.

        Where a round proves to be longer than a page, what says "out" is followed beside it, so that no backlog delays an opt-out.
        """
        watch, cursor = asking.watch, asking.cursor
        page = self._shown(watch, await watch.client.run(watch.feed.ask(cursor.position)))
        if page is not None and watch.poll is None:
            shown: Collection[str] | None = ()
            watch.backlog = not page.last
            if page.last:
                watch.opted_out_at = self._around.monotonic()
            elif watch.wants_opted_out(self._around.monotonic()):
                shown = await self._follow_opted_out(watch, cursor)
            if shown is None:
                return None
            watch.poll = uuid4().hex
            self.open_polls.add(watch.poll)
            # They are newer than the page, which was asked for before them.
            page = replace(page, rows=tuple(row for row in page.rows if row.record_id not in shown)) if shown else page
        return page

    async def _follow_opted_out(self, watch: Watch, cursor: Cursor) -> Collection[str] | None:
        """Follow what says "out" by itself, the latest first; the Ids of the records. None where that failed."""
        if watch.consent is None or cursor.first or cursor.position is None:
            return ()
        asking = Asked(watch=watch, cursor=cursor, asked=self._around.now(), poll=uuid4().hex, numbers=self._numbers)
        if (page := self._shown(watch, await watch.client.run(watch.feed.ask_opted_out(cursor.position)))) is None:
            return None
        watch.opted_out_at = self._around.monotonic()
        await self._keep_page(asking, page, last=False)
        self._around.wake("plan")
        return [row.record_id for row in page.rows]

    def _shown(self, watch: Watch, page: Page | Retry) -> Page | None:
        """The feed's answer; where it failed, the round is over and the feed rests."""
        if isinstance(page, Retry):
            self._wait(watch.patience, page)
            self.end_round(watch)
            return None
        watch.patience.over(self._tell)
        return page

    async def _keep_page(self, asking: Asked, page: Page, *, last: bool) -> None:
        kept = await keep_page(self._store, asking, page, now=self._around.now())
        name, rows = asking.watch.feed.name, len(page.rows)
        self._tell(Followed(feed=name, rows=rows, changes=kept.events, last=last, baseline=asking.cursor.baseline))
        for alarm in flags_rewritten(asking.watch, kept):
            self._tell(alarm)

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
        batch = self._planner.waiting(PLAN_BATCH, self.open_polls)
        if not batch:
            return 0
        planned, flooding = self._planner(batch, self.rules)
        for poll in flooding:
            self._tell(flood(poll, self._most_people))
        await commit(planned, self._store, now=self._around.now())
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
        for alarm in (*asked(batch, planned), *await self.stop_questions.after(batch, planned)):
            self._tell(alarm)
        for sink in {unit.sink for one in planned for unit in one.units}:
            self._around.wake(sink)
        if any(one.unreached for one in planned):
            self._around.wake("deadlines")
        return len(batch)

    async def deliver(self, outlet: Outlet, worker: Worker) -> int:
        """Claim a batch → write it → judge every outcome → settle, in one transaction. Whatever raises, no claim stays behind.

        Two run for each CRM: while one has the wire, the other settles what went well, and claims where a whole batch waits.
        """
        async with worker.at_work(self._store.outbox, self._tell, self._around.now):
            return await self._deliver(outlet, worker)

    async def _deliver(self, outlet: Outlet, worker: Worker) -> int:
        units = await self._claim_beforehand(outlet, worker) if outlet.wire.locked() else []
        async with outlet.wire:
            if units and not outlet.bears(sum(len(unit.operations) for unit in units), self._around.monotonic()):
                await self._store.outbox.give_back(units, self._around.now())
                units, worker.held = [], ()
            turn = outlet.turn(self._around.monotonic())
            if turn is None:
                return 0
            units = units or await self._claim(outlet, turn, worker)
            if not units:
                return 0
            self._around.wake(outlet.sink.name)
            units = await remade(units, self.rules, self._store, configured=self._configured)
            tasks = errands(units, self._store)
            went = await self._send(outlet, turn, [task.operation for task in tasks if task.operation is not None])
            if not went.well:
                return await self._settle(outlet, units, tasks, went)
        return await self._settle(outlet, units, tasks, went)

    async def _claim_beforehand(self, outlet: Outlet, worker: Worker) -> list[Unit]:
        """A whole batch while the one before is being sent; nothing while the sink is in trouble, for it is probed first."""
        turn = outlet.turn(self._around.monotonic())
        if turn is None or outlet.patience.cause is not None or worker.singly:
            return []
        return await self._claim(outlet, turn, worker, whole=True)

    async def _claim(self, outlet: Outlet, turn: Turn, worker: Worker, *, whole: bool = False) -> list[Unit]:
        now, monotonic = self._around.now(), self._around.monotonic()
        units = await claim(
            outlet, turn, self._store, worker, now=now, monotonic=monotonic, tell=self._tell, whole=whole
        )
        if not units and not whole:
            await outlet.prepare()
        return units

    async def _send(self, outlet: Outlet, turn: Turn, operations: Sequence[Operation]) -> Round:
        sink, client = outlet.sink, outlet.client
        began, calls = self._around.monotonic(), client.calls
        went = await send_round(sink, client, operations, self._store, now=self._around.now())
        outlet.learn(went.answered.outcomes)
        seconds, calls, size = self._around.monotonic() - began, client.calls - calls, outlet.pace.size
        self._tell(Wrote(sink=sink.name, operations=len(operations), calls=calls, seconds=seconds, batch=size))
        return self._bear(outlet, turn, went)

    async def _settle(self, outlet: Outlet, units: Sequence[Unit], tasks: Sequence[Errand], went: Round) -> int:
        settled = settlements(
            units,
            tasks,
            went.sent,
            feeds=self.rules.feeds,
            consent=self._consent,
            numbers=self._numbers,
            spared=went.spared,
        )
        await self._store.outbox.settle(settled, now=self._around.now())
        for fact in told(units, settled, now=self._around.now()):
            self._tell(fact)
        for fact in await note_stops(self._store, outlet.sink.name, went, self.rules, now=self._around.now()):
            self._tell(fact)
        if not went.well or outlet.refused:
            outlet.note_refused(went.answered.outcomes, self._store.overview.refused_for, self._tell)
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
        patience.pause(answer, now=self._around.monotonic(), at=self._around.now(), tell=self._tell)

    def end_round(self, watch: Watch) -> None:
        """Let the planner have the round's changes: only now it is known how many commands they make."""
        if watch.poll is not None:
            self.open_polls.discard(watch.poll)
            watch.poll, watch.between = None, uuid4().hex
            self._around.wake("plan")

    def _bear(self, outlet: Outlet, turn: Turn, went: Round) -> Round:
        """Leave the sink alone for a while when a whole batch came back for the sink's own sake."""
        outcomes, cause = went.answered.outcomes, outlet.patience.cause
        operations = went.batch.going
        fault = trouble(operations, outcomes, cause=cause, suspect=outlet.suspect)
        if fault is not None:
            outlet.fails(fault, turn, now=self._around.monotonic(), at=self._around.now(), tell=self._tell)
        elif outcomes:
            outlet.works(self._tell)
        outlet.suspect = next(iter(suspected(operations, outcomes)), None) if outcomes else outlet.suspect
        return dataclasses.replace(went, spared=spared(fault, cause))
