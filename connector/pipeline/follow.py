"""Follow: asks the CRM for changes, page by page, and stores each page's events together with the new cursor."""

from collections.abc import Collection, Sequence
from uuid import uuid4

from msgspec.structs import replace

from connector.delivery.channels import FeedChannel
from connector.model.errors import StoreUnavailable
from connector.model.outcome import Reason, Retry
from connector.pipeline.cursor import PAGES, Cursor, round_of
from connector.pipeline.feed_alarms import flags_rewritten, opt_outs_not_held
from connector.pipeline.feed_page import FeedQuery, keep_page
from connector.pipeline.runtime import PipelineConfig, Runtime, back_off
from connector.ports import Page
from connector.store.change_notices import StoredNotice
from connector.store.store import Store
from connector.telemetry.log_events import FeedPolled


class Follower:
    """The stage that reads the feeds."""

    def __init__(self, store: Store, config: PipelineConfig, runtime: Runtime, open_polls: set[str]) -> None:
        """`open_polls` are the polls whose changes are not planned yet. The planner reads the same set."""
        self._store = store
        self._numbers = config.numbers
        self._runtime = runtime
        self._emit = runtime.emit
        self.open_polls = open_polls

    async def follow(self, channel: FeedChannel) -> int:
        """Ask for changes after the cursor, page by page; their events and the new cursor are one transaction.

        The first poll (of a new feed, or after a lost cursor) only stores shadows; so does the first one after a field was
        added, for this field. Between two polls, records named in notices of the CRM are read by id.
        """
        try:
            return await self._follow(channel)
        except StoreUnavailable:
            raise
        except Exception:
            # The changes found so far are planned. The next round also reads the records of the notices.
            self.end_round(channel)
            await self._store.change_notices.delete(
                self._store.change_notices.waiting(
                    channel.feed.crm, channel.feed.object, channel.feed.traits.lookup_limit
                )
            )
            raise

    async def _follow(self, channel: FeedChannel) -> int:
        if self._runtime.monotonic() < channel.breaker.open_until:
            return 0
        feed, change_notices = channel.feed, self._store.change_notices
        cursor = self._read_cursor(channel)
        notices: Sequence[StoredNotice] = ()
        if not cursor.first and channel.poll is None:
            notices = change_notices.waiting(feed.crm, feed.object, feed.traits.lookup_limit)
        if not notices and channel.poll is None and self._runtime.monotonic() < channel.idle_until:
            return 0
        if channel.wants_opted_out(self._runtime.monotonic()) and await self._follow_opted_out(channel, cursor) is None:
            return 0
        if not notices and channel.poll is None and self._runtime.monotonic() < channel.pages_at:
            return 0
        query = FeedQuery(
            channel=channel, cursor=cursor, asked=self._runtime.now(), notices=tuple(notices), numbers=self._numbers
        )
        page = await (self._noticed_records(query) if notices else self._next_page(query))
        if page is None:
            return 0
        await self._keep_page(query, page, last=page.last and not notices)
        if notices:
            self._runtime.wake("plan")
        elif page.last:
            self.end_round(channel)
            channel.finish_round(self._runtime.monotonic(), self._emit)
            if cursor.baseline and (alarm := opt_outs_not_held(self._store, channel, cursor)):
                self._emit(alarm)
        more = not page.last or change_notices.waiting(feed.crm, feed.object, 1)
        return int(bool(more) or self._runtime.monotonic() >= channel.due)

    def _read_cursor(self, channel: FeedChannel) -> Cursor:
        """The stored cursor. The round of a poll that was interrupted continues."""
        feed = channel.feed
        cursor = Cursor.read(self._store.following.cursor(feed.name), feed, channel.consent)
        if channel.poll is None and cursor.poll is not None:
            channel.round_id = round_of(cursor.poll)
        return cursor

    async def _noticed_records(self, query: FeedQuery) -> Page | None:
        """The records named in notices of the CRM; None if the call failed."""
        channel = query.channel
        page = await channel.feed.look(channel.client, [notice.record_id for notice in query.notices])
        if isinstance(page, Retry) and page.reason in {Reason.UNEXPECTED_ANSWER, Reason.UNKNOWN, Reason.UNKNOWN_CODE}:
            # One of them may be unreadable. The next round reads them all again.
            await self._store.change_notices.delete(query.notices)
        return self._handle_reply(channel, page)

    async def _next_page(self, query: FeedQuery) -> Page | None:
        """The next page of a round; None if a call failed.

        In a round of several pages opted-out records are also queried separately, so that no backlog delays an opt-out.
        """
        channel, cursor = query.channel, query.cursor
        page = self._handle_reply(channel, await channel.feed.ask(channel.client, cursor.position))
        if page is not None and channel.poll is None:
            opted_out_ids: Collection[str] | None = ()
            channel.backlog = not page.last
            if page.last:
                channel.opted_out_at = self._runtime.monotonic()
            elif channel.wants_opted_out(self._runtime.monotonic()):
                opted_out_ids = await self._follow_opted_out(channel, cursor)
            if opted_out_ids is None:
                return None
            channel.poll = cursor.poll or channel.round_id + PAGES
            self.open_polls.add(channel.poll)
            if opted_out_ids:
                # The page was read before the opted-out records, so its rows of these are older.
                page = replace(page, rows=tuple(row for row in page.rows if row.record_id not in opted_out_ids))
        return page

    async def _follow_opted_out(self, channel: FeedChannel, cursor: Cursor) -> Collection[str] | None:
        """Query opted-out records, latest first, and store the page; returns their ids, or None if the call failed."""
        if channel.consent is None or cursor.first or cursor.position is None:
            return ()
        query = FeedQuery(
            channel=channel,
            cursor=cursor,
            asked=self._runtime.now(),
            poll=f"{channel.round_id}-{uuid4().hex}",
            numbers=self._numbers,
        )
        page = self._handle_reply(channel, await channel.feed.ask_opted_out(channel.client, cursor.position))
        if page is None:
            return None
        channel.opted_out_at = self._runtime.monotonic()
        await self._keep_page(query, page, last=False)
        self._runtime.wake("plan")
        return [row.record_id for row in page.rows]

    def _handle_reply(self, channel: FeedChannel, page: Page | Retry) -> Page | None:
        """The page. If the call failed: None, and the round ends and the feed is paused."""
        if isinstance(page, Retry):
            back_off(self._runtime, channel.breaker, page)
            self.end_round(channel)
            return None
        channel.breaker.close(self._emit)
        return page

    async def _keep_page(self, query: FeedQuery, page: Page, *, last: bool) -> None:
        kept = await keep_page(self._store, query, page, now=self._runtime.now())
        name, rows = query.channel.feed.name, len(page.rows)
        self._emit(
            FeedPolled(feed=name, rows=rows, changes=len(kept.entries), last=last, baseline=query.cursor.baseline)
        )
        for alarm in flags_rewritten(query.channel, kept):
            self._emit(alarm)

    def end_round(self, channel: FeedChannel) -> None:
        """Release the changes of the round to the planner, which must count the people of the whole round."""
        if channel.poll is not None:
            self.open_polls.discard(channel.poll)
            channel.poll, channel.round_id = None, uuid4().hex
            self._runtime.wake("plan")
