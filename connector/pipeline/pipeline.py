"""The road, read top-down: receive, recover, follow, ask, plan, deliver. One method for each arrow of the drawing in the README.

Each step returns how many things it moved: its loop goes on at once while there is work, and otherwise waits. What a step does in
detail stands in steps/, and what it decides in the pure rooms below.
"""

import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from msgspec.structs import replace

from connector.delivery.channels import CircuitBreaker, EnricherChannel, FeedChannel, SendAllowance, SinkChannel
from connector.delivery.http_client import Client
from connector.delivery.outcome_policy import not_counted, sink_outage, suspected
from connector.mapping.compile.ruleset import Ruleset
from connector.model.errors import StoreUnavailable
from connector.model.http import HttpRequest, HttpResponse
from connector.model.operation import Operation
from connector.model.outcome import Reason, Retry
from connector.pipeline.deliver import claim
from connector.pipeline.delivery_worker import DeliveryWorker
from connector.pipeline.enrich import enrich_due, enrich_worker
from connector.pipeline.feed_alarms import flags_rewritten, opt_outs_not_held
from connector.pipeline.follow import Cursor, FeedQuery, keep_page
from connector.pipeline.plan import Planner, asked, commit, flood
from connector.pipeline.poll import PollState, portions
from connector.pipeline.prepare import PendingWrite, pending_writes
from connector.pipeline.receive import entries, received
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.pipeline.settle import settle_units, settled_events
from connector.pipeline.stop_questions import StopQuestions
from connector.pipeline.suspended_rules import SendResult, record_suspensions, replan_suspended, send_operations
from connector.ports import Notice, Page, WebhookEndpoint
from connector.store.store import Store
from connector.store.units import Unit
from connector.telemetry import log_events
from connector.telemetry.log_events import BatchSent, FeedPolled, Level, Lifecycle, RequestRejected

PLAN_BATCH = 500  # events a transaction: one fsync for many, and a stop is still answered at once
NONCE_LIFE = timedelta(days=1)  # far beyond any drift that a door may allow
NOT_STORED = HttpResponse(status=503, body=b"not stored, please repeat", headers={"Retry-After": "30"})  # seconds


class Pipeline:
    """The steps, over the rooms that the daemon has built."""

    def __init__(self, store: Store, rules: Ruleset, config: PipelineConfig, runtime: Runtime) -> None:
        self.rules = rules  # a reload replaces them as a whole
        self.start = uuid4().hex  # names this start of the process in its claims
        self._store = store
        self._numbers = config.numbers
        self._consent = config.consent
        self._notices_repeat = config.notices_repeat
        self._enrichers = config.enrichers
        self._configured = config.configured
        self._planner = Planner(store, configured=config.configured, max_people=config.max_people)
        self._max_people = config.max_people
        self.stop_questions = StopQuestions(store)
        self._runtime = runtime
        self._emit = runtime.emit
        self.open_polls: set[str] = set()  # whose changes are not planned yet
        self._reused_ids: set[tuple[str, str]] = set()  # kinds of callbacks whose ids were found not to be unique

    async def receive(self, endpoint: WebhookEndpoint, client: Client, request: HttpRequest) -> HttpResponse:
        """Authenticate → parse → keep → wake the planner → answer. Raises Refused for a request that is not let in."""
        try:
            auth = await client.run(endpoint.authenticate(request))
            brought = entries(endpoint, request, auth, self._enrichers.get(endpoint.provider))
            expires = request.received_at + NONCE_LIFE if auth.nonce else None
            kept = await self._store.inbox.keep(brought, nonce=auth.nonce, nonce_expires=expires)
            if auth.notices:
                await self._queue_notices(endpoint.provider, auth.notices, request.received_at)
            if auth.hint and await self._store.questions.make_due(auth.hint, now=self._runtime.now()):
                self._runtime.wake(enrich_worker(endpoint.provider))
        except StoreUnavailable:
            self._emit(
                RequestRejected(
                    provider=endpoint.provider, endpoint=endpoint.name, status=503, why=log_events.NOT_STORED
                )
            )
            return NOT_STORED
        for entry, one in zip(brought, kept, strict=True):
            self._emit(received(entry, one))
            if one.reused is not None:
                self._warn_of_reused_ids(entry.provider, entry.shape)
        self._runtime.wake("plan")
        return endpoint.answer(request, auth)

    def _warn_of_reused_ids(self, provider: str, shape: str) -> None:
        """Say once for each kind of callback that its ids are not unique. Nothing is lost by it."""
        if (provider, shape) not in self._reused_ids:
            self._reused_ids.add((provider, shape))
            message = (
                f"{provider}.{shape}: an id came again with another person or meaning; such events are kept as new ones"
            )
            self._emit(Lifecycle(message=message, level=Level.WARNING))

    async def poll(self, poll_state: PollState) -> int:
        """Ask a provider what it has told us, page by page; at the end of the round what never came is kept, oldest first."""
        now, monotonic = self._runtime.now(), self._runtime.monotonic()
        if (
            monotonic < max(poll_state.due, poll_state.breaker.open_until)
            or poll_state.source not in self.rules.sources
        ):
            return 0
        name = poll_state.poller.name
        position = poll_state.position or self._store.following.cursor(name)
        page = await poll_state.client.run(poll_state.poller.ask(position, now))
        if isinstance(page, Retry):
            self._back_off(poll_state.breaker, page)
            return 0
        poll_state.breaker.close(self._emit)
        poll_state.take(page)
        if not page.last:
            return 1
        brought, new = poll_state.end(now), 0
        for some in portions(brought):
            kept = [*zip(some, await self._store.inbox.keep(some), strict=True)]
            fresh = [received(entry, one) for entry, one in kept if not one.known]
            for fact in fresh:
                self._emit(fact)
            new += len(fresh)
        await self._store.following.set_cursor(name, page.position)
        poll_state.due = monotonic + poll_state.poller.every.total_seconds()
        self._emit(FeedPolled(feed=name, rows=len(brought), changes=new))
        self._runtime.wake("plan")
        return 0

    async def follow(self, channel: FeedChannel) -> int:
        """Ask for changes after the cursor, page by page; their events and the new cursor are one transaction.

        A first look (a new feed, a lost cursor) only records the shadow; where further fields are watched, it does so for these.
        Between two rounds, records that the CRM has pointed at are looked at by themselves.
        """
        try:
            return await self._follow(channel)
        except StoreUnavailable:
            raise
        except Exception:
            # What is known of the round is planned; what the CRM has pointed at is seen by the next round anyway.
            self.end_round(channel)
            await self._store.pointers.drop(
                self._store.pointers.waiting(channel.feed.crm, channel.feed.object, channel.feed.traits.lookup_limit)
            )
            raise

    async def _follow(self, channel: FeedChannel) -> int:
        if self._runtime.monotonic() < channel.breaker.open_until:
            return 0
        feed, pointers = channel.feed, self._store.pointers
        cursor = Cursor.read(self._store.following.cursor(feed.name), feed, channel.consent)
        limit = 0 if cursor.first or channel.poll else feed.traits.lookup_limit
        named = pointers.waiting(feed.crm, feed.object, limit) if limit else []
        if not named and channel.poll is None and self._runtime.monotonic() < channel.idle_until:
            return 0
        if channel.wants_opted_out(self._runtime.monotonic()) and await self._follow_opted_out(channel, cursor) is None:
            return 0
        if not named and channel.poll is None and self._runtime.monotonic() < channel.pages_at:
            return 0
        query = FeedQuery(
            channel=channel, cursor=cursor, asked=self._runtime.now(), pointers=tuple(named), numbers=self._numbers
        )
        page = await (self._look_at(query) if named else self._next_page(query))
        if page is None:
            return 0
        await self._keep_page(query, page, last=page.last and not named)
        if named:
            self._runtime.wake("plan")
        elif page.last:
            self.end_round(channel)
            channel.finish_round(self._runtime.monotonic(), self._emit)
            if cursor.baseline and (alarm := opt_outs_not_held(self._store, channel, cursor)):
                self._emit(alarm)
        more = not page.last or pointers.waiting(feed.crm, feed.object, 1)
        return int(bool(more) or self._runtime.monotonic() >= channel.due)

    async def _look_at(self, query: FeedQuery) -> Page | None:
        """The records that the CRM has pointed at; None where that failed."""
        channel = query.channel
        page = await channel.client.run(channel.feed.look([one.record_id for one in query.pointers]))
        if isinstance(page, Retry) and page.reason in {Reason.UNEXPECTED_ANSWER, Reason.UNKNOWN, Reason.UNKNOWN_CODE}:
            # One of them may be what the CRM cannot look at; the next round sees them all anyway.
            await self._store.pointers.drop(query.pointers)
        return self._shown(channel, page)

    async def _next_page(self, query: FeedQuery) -> Page | None:
        """The next page of a round; None where that failed.

        Where a round proves to be longer than a page, what says "out" is followed beside it, so that no backlog delays an opt-out.
        """
        channel, cursor = query.channel, query.cursor
        page = self._shown(channel, await channel.client.run(channel.feed.ask(cursor.position)))
        if page is not None and channel.poll is None:
            shown: Collection[str] | None = ()
            channel.backlog = not page.last
            if page.last:
                channel.opted_out_at = self._runtime.monotonic()
            elif channel.wants_opted_out(self._runtime.monotonic()):
                shown = await self._follow_opted_out(channel, cursor)
            if shown is None:
                return None
            channel.poll = uuid4().hex
            self.open_polls.add(channel.poll)
            # They are newer than the page, which was asked for before them.
            page = replace(page, rows=tuple(row for row in page.rows if row.record_id not in shown)) if shown else page
        return page

    async def _follow_opted_out(self, channel: FeedChannel, cursor: Cursor) -> Collection[str] | None:
        """Follow what says "out" by itself, the latest first; the Ids of the records. None where that failed."""
        if channel.consent is None or cursor.first or cursor.position is None:
            return ()
        query = FeedQuery(
            channel=channel, cursor=cursor, asked=self._runtime.now(), poll=uuid4().hex, numbers=self._numbers
        )
        if (
            page := self._shown(channel, await channel.client.run(channel.feed.ask_opted_out(cursor.position)))
        ) is None:
            return None
        channel.opted_out_at = self._runtime.monotonic()
        await self._keep_page(query, page, last=False)
        self._runtime.wake("plan")
        return [row.record_id for row in page.rows]

    def _shown(self, channel: FeedChannel, page: Page | Retry) -> Page | None:
        """The feed's answer; where it failed, the round is over and the feed rests."""
        if isinstance(page, Retry):
            self._back_off(channel.breaker, page)
            self.end_round(channel)
            return None
        channel.breaker.close(self._emit)
        return page

    async def _keep_page(self, query: FeedQuery, page: Page, *, last: bool) -> None:
        kept = await keep_page(self._store, query, page, now=self._runtime.now())
        name, rows = query.channel.feed.name, len(page.rows)
        self._emit(FeedPolled(feed=name, rows=rows, changes=kept.events, last=last, baseline=query.cursor.baseline))
        for alarm in flags_rewritten(query.channel, kept):
            self._emit(alarm)

    async def enrich(self, channel: EnricherChannel) -> int:
        """Ask what is due → answered, or to be asked again; what has no answer at its deadline is planned as it is."""
        if self._runtime.monotonic() < channel.breaker.open_until:
            return 0
        asked, closed = await enrich_due(channel, self._store, self._emit, self._runtime.now, self._runtime.monotonic)
        if closed:
            self._runtime.wake("plan")
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
            self._emit(flood(poll, self._max_people))
        await commit(planned, self._store, now=self._runtime.now())
        for one, (_, event) in zip(planned, batch, strict=True):
            self._emit(
                log_events.Planned(
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
            self._emit(alarm)
        for sink in {unit.sink for one in planned for unit in one.units}:
            self._runtime.wake(sink)
        if any(one.not_reached for one in planned):
            self._runtime.wake("deadlines")
        return len(batch)

    async def deliver(self, channel: SinkChannel, worker: DeliveryWorker) -> int:
        """Claim a batch → write it → judge every outcome → settle, in one transaction. Whatever raises, no claim stays behind.

        Two run for each CRM: while one has the wire, the other settles what went well, and claims where a whole batch waits.
        """
        async with worker.at_work(self._store.outbox, self._emit, self._runtime.now):
            return await self._deliver(channel, worker)

    async def _deliver(self, channel: SinkChannel, worker: DeliveryWorker) -> int:
        units = await self._claim_ahead(channel, worker) if channel.send_lock.locked() else []
        async with channel.send_lock:
            if units and not channel.accepts(sum(len(unit.operations) for unit in units), self._runtime.monotonic()):
                await self._store.outbox.give_back(units, self._runtime.now())
                units, worker.held = [], ()
            allowance = channel.allowance(self._runtime.monotonic())
            if allowance is None:
                return 0
            units = units or await self._claim(channel, allowance, worker)
            if not units:
                return 0
            self._runtime.wake(channel.sink.name)
            units = await replan_suspended(units, self.rules, self._store, configured=self._configured)
            tasks = pending_writes(units, self._store, channel.sink.traits)
            result = await self._send(
                channel, allowance, [task.operation for task in tasks if task.operation is not None]
            )
            if not result.well:
                return await self._settle(channel, units, tasks, result)
        return await self._settle(channel, units, tasks, result)

    async def _claim_ahead(self, channel: SinkChannel, worker: DeliveryWorker) -> list[Unit]:
        """A whole batch while the one before is being sent; nothing while the sink is in trouble, for it is probed first."""
        allowance = channel.allowance(self._runtime.monotonic())
        if allowance is None or channel.breaker.cause is not None or worker.singly:
            return []
        return await self._claim(channel, allowance, worker, whole=True)

    async def _claim(
        self, channel: SinkChannel, allowance: SendAllowance, worker: DeliveryWorker, *, whole: bool = False
    ) -> list[Unit]:
        now, monotonic = self._runtime.now(), self._runtime.monotonic()
        units = await claim(
            channel, allowance, self._store, worker, now=now, monotonic=monotonic, emit=self._emit, whole=whole
        )
        if not units and not whole:
            await channel.prepare()
        return units

    async def _send(
        self, channel: SinkChannel, allowance: SendAllowance, operations: Sequence[Operation]
    ) -> SendResult:
        sink, client = channel.sink, channel.client
        began, calls = self._runtime.monotonic(), client.calls
        result = await send_operations(sink, client, operations, self._store, now=self._runtime.now())
        channel.record_outcomes(result.answered.outcomes)
        seconds, calls, size = self._runtime.monotonic() - began, client.calls - calls, channel.batch_size.size
        self._emit(BatchSent(sink=sink.name, operations=len(operations), calls=calls, seconds=seconds, batch=size))
        return self._update_breaker(channel, allowance, result)

    async def _settle(
        self, channel: SinkChannel, units: Sequence[Unit], tasks: Sequence[PendingWrite], result: SendResult
    ) -> int:
        settled = settle_units(
            units,
            tasks,
            result.sent,
            feeds=self.rules.feeds,
            consent=self._consent,
            numbers=self._numbers,
            not_counted=result.not_counted,
        )
        await self._store.outbox.settle(settled, now=self._runtime.now())
        for fact in settled_events(units, settled, now=self._runtime.now()):
            self._emit(fact)
        for fact in await record_suspensions(
            self._store, channel.sink.name, result, self.rules, now=self._runtime.now()
        ):
            self._emit(fact)
        if not result.well or channel.refused:
            channel.note_refused(result.answered.outcomes, self._store.overview.refused_for, self._emit)
        return len(units)

    async def _queue_notices(self, crm: str, notices: Sequence[Notice], received_at: datetime) -> None:
        """Have the feeds look at what a CRM tells of. What nobody follows is nobody's news."""
        followed = {name.casefold(): name for name in self.rules.feeds.get(crm, {})}
        described = [
            replace(one, object=followed[key]) for one in notices if (key := one.object.casefold()) in followed
        ]
        expires = received_at + self._notices_repeat[crm]
        if described and await self._store.pointers.take(crm, described, expires=expires):
            for name in {one.object for one in described}:
                self._runtime.wake(f"{crm}.{name}")

    def _back_off(self, breaker: CircuitBreaker, answer: Retry) -> None:
        """Leave a peer that was asked something alone for as long as its answer says."""
        breaker.open(answer, now=self._runtime.monotonic(), at=self._runtime.now(), emit=self._emit)

    def end_round(self, channel: FeedChannel) -> None:
        """Let the planner have the round's changes: only now it is known how many commands they make."""
        if channel.poll is not None:
            self.open_polls.discard(channel.poll)
            channel.poll, channel.between = None, uuid4().hex
            self._runtime.wake("plan")

    def _update_breaker(self, channel: SinkChannel, allowance: SendAllowance, result: SendResult) -> SendResult:
        """Leave the sink alone for a while when a whole batch came back for the sink's own sake."""
        outcomes, cause = result.answered.outcomes, channel.breaker.cause
        operations = result.batch.going
        fault = sink_outage(operations, outcomes, cause=cause, suspect=channel.suspect)
        if fault is not None:
            channel.mark_failed(
                fault, allowance, now=self._runtime.monotonic(), at=self._runtime.now(), emit=self._emit
            )
        elif outcomes:
            channel.mark_healthy(self._emit)
        channel.suspect = next(iter(suspected(operations, outcomes)), None) if outcomes else channel.suspect
        return dataclasses.replace(result, not_counted=not_counted(fault, cause))
