"""Follow: asks the CRM for changes, page by page, and stores each page's events together with the new cursor."""

from collections.abc import Collection
from uuid import uuid4

from msgspec.structs import replace

from connector.delivery.channels import FeedChannel
from connector.model.errors import StoreUnavailable
from connector.model.outcome import Reason, Retry
from connector.pipeline.feed_alarms import flags_rewritten, opt_outs_not_held
from connector.pipeline.feed_page import Cursor, FeedQuery, keep_page
from connector.pipeline.runtime import PipelineConfig, Runtime, back_off
from connector.ports import Page
from connector.store.store import Store
from connector.telemetry.log_events import FeedPolled


class Follower:
    """The stage that reads the feeds."""

    def __init__(self, store: Store, config: PipelineConfig, runtime: Runtime, open_polls: set[str]) -> None:
        """`open_polls`: polls whose changes are not planned yet. The planner reads the same set."""
        self._store = store
        self._numbers = config.numbers
        self._runtime = runtime
        self._emit = runtime.emit
        self.open_polls = open_polls

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
        page = await channel.feed.look(channel.client, [one.record_id for one in query.pointers])
        if isinstance(page, Retry) and page.reason in {Reason.UNEXPECTED_ANSWER, Reason.UNKNOWN, Reason.UNKNOWN_CODE}:
            # One of them may be what the CRM cannot look at; the next round sees them all anyway.
            await self._store.pointers.drop(query.pointers)
        return self._shown(channel, page)

    async def _next_page(self, query: FeedQuery) -> Page | None:
        """The next page of a round; None where that failed.

        Where a round proves to be longer than a page, what says "out" is followed beside it, so that no backlog delays an opt-out.
        """
        channel, cursor = query.channel, query.cursor
        page = self._shown(channel, await channel.feed.ask(channel.client, cursor.position))
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
        if (page := self._shown(channel, await channel.feed.ask_opted_out(channel.client, cursor.position))) is None:
            return None
        channel.opted_out_at = self._runtime.monotonic()
        await self._keep_page(query, page, last=False)
        self._runtime.wake("plan")
        return [row.record_id for row in page.rows]

    def _shown(self, channel: FeedChannel, page: Page | Retry) -> Page | None:
        """The feed's answer; where it failed, the round ends and the feed waits."""
        if isinstance(page, Retry):
            back_off(self._runtime, channel.breaker, page)
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

    def end_round(self, channel: FeedChannel) -> None:
        """Let the planner have the round's changes: only now it is known how many commands they make."""
        if channel.poll is not None:
            self.open_polls.discard(channel.poll)
            channel.poll, channel.between = None, uuid4().hex
            self._runtime.wake("plan")
