"""Compares all records of one feed's object with their shadows. Part of a reconciliation: see reconcile.py.

Reading all records only finds which of them differ. Each of these is read again, and handled like any change, so that an
old reply to a long query does no harm.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from msgspec.structs import replace

from connector.consent.changes import is_opted_out, may_differ
from connector.delivery.channels import FeedChannel
from connector.model.crm_traits import CrmTraits
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Http
from connector.model.outcome import Retry
from connector.model.record_number import NumberReader
from connector.pipeline.cursor import Cursor
from connector.pipeline.feed_alarms import flags_rewritten
from connector.pipeline.feed_page import FeedQuery, keep_page, read_page
from connector.pipeline.runtime import Runtime
from connector.ports import Page, Row
from connector.store.inbox import Entry
from connector.store.records import KnownRecord
from connector.store.sql import micros
from connector.store.store import Store
from connector.telemetry.log_events import FeedPolled

T = TypeVar("T")
A = TypeVar("A")

CHUNK = 500  # records that are compared at once: callbacks are answered in between
TRIES = 6  # of one call
FIRST_GAP, GROWTH, MAX_GAP = 0.25, 1.5, 30.0  # seconds between two questions for a job, or two tries
# An unknown record that was modified within this time is left to the feed, which may be about to read it.
LEFT_TO_FEED = timedelta(days=1)
MAX_LATE = timedelta(minutes=5)  # a feed whose poll is later than this does not work


@dataclass(slots=True, kw_only=True)
class Progress:
    """What the comparison of one feed has done and found so far."""

    feed: str
    total: int | None = None  # records, deleted ones among them, as the CRM counts them
    compared: int = 0
    differing: int = 0  # records that were read again
    changes: int = 0  # events that were made
    people: int = 0  # people with such an event
    many_people: bool = False  # more people than one poll may concern without a person's decision
    noted: int = 0  # records that were not known
    noted_out: int = 0  # those of them that are opted out: nothing was sent for them
    missing: int = 0  # known records that the CRM no longer has
    missing_untouched: bool = False  # they were too many to be treated as deleted
    why: str = ""  # why it did not finish; empty if it did

    def as_json(self) -> dict[str, Any]:
        """The progress as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


class NotComparedError(ConnectorError):
    """A feed cannot be compared now; the text says why, and what a person does about it."""


class FeedComparison:
    """Compares all records of one feed once. `progress` shows how far it is."""

    def __init__(
        self,
        channel: FeedChannel,
        store: Store,
        runtime: Runtime,
        *,
        numbers: NumberReader,
        max_people: int,
        dry_run: bool,
        accept_missing: bool,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`dry_run` and `accept_missing`: see Reconciler.start(). `numbers` reads the CRM's phone fields."""
        self.progress = Progress(feed=channel.feed.name)
        self.poll = uuid4().hex  # one poll, so that the people of all its changes are counted together
        self._channel = channel
        self._feed = channel.feed
        self._store = store
        self._runtime = runtime
        self._numbers = numbers
        self._max_people = max_people
        self._dry_run = dry_run
        self._accept_missing = accept_missing
        self._sleep = sleep
        self._began = runtime.now()
        self._batch = channel.feed.traits.lookup_limit
        self._differing: list[str] = []  # ids of records that are still to be read again
        self._ids_read_again: set[str] = set()
        self._people: set[str] = set()

    async def compare_all(self) -> None:
        """Compare each record of the CRM. Those that may differ are read again."""
        position: str | None = None
        last, waits = False, 0
        while not last:
            step = await self._ask(self._feed.read_all, position)
            position, last, self.progress.total = step.position, step.last, step.total
            if not step.ready:
                await self._sleep(_gap(waits))
                waits += 1
            for rows in _chunks(step.rows):
                await self._compare_rows(rows)
        await self._read_differing_again(at_least=1)

    async def handle_missing(self) -> None:
        """Find known records that were not read: permanently deleted, or hidden from our user. Treat them as deleted.

        Raises NotComparedError, and changes nothing, if they are too many.
        """
        crm, object_name = self._feed.crm, self._feed.object
        missing = await self._find_missing()
        self.progress.missing = len(missing)
        if len(missing) > self._max_people and not self._accept_missing:
            self.progress.missing_untouched = True
            raise NotComparedError(
                f"{len(missing)} known records of {object_name} are no longer in {crm}, or the integration user cannot see "
                "them; nothing was changed: check the user's permissions; if they were all deleted, run "
                "`connector reconcile --accept-missing`"
            )
        known = self._store.records.known(crm, object_name, missing)
        now = self._runtime.now()
        deleted = [
            Row(record_id=record_id, stamp=now, fields=known[record_id].fields, deleted=True)
            for record_id in missing
            if record_id in known
        ]
        if deleted:
            await self._keep(Page(rows=tuple(deleted)), now)

    async def _find_missing(self) -> list[str]:
        """The ids of known records that the CRM does not return, not even when it is asked for them by id."""
        missing: list[str] = []
        after = ""
        while unseen := self._store.records.not_seen_since(
            self._feed.crm, self._feed.object, self._began, after=after, limit=self._batch
        ):
            after = unseen[-1]
            ids = [record_id for record_id in unseen if record_id not in self._ids_read_again]
            if ids:
                existing = {row.record_id for row in await self._read_again(ids)}
                missing += [record_id for record_id in ids if record_id not in existing]
        return missing

    async def _compare_rows(self, rows: Sequence[Row]) -> None:
        crm, object_name, fields = self._feed.crm, self._feed.object, self._feed.fields
        known = self._store.records.known(crm, object_name, [row.record_id for row in rows])
        shown = {record_id for record_id, record in known.items() if _shown_since(record, micros(self._began))}
        differing = [
            row.record_id
            for row in rows
            if row.record_id not in shown and _may_differ(row, known.get(row.record_id), fields, self._feed.traits)
        ]
        same = known.keys() - set(differing)
        await self._store.records.mark_seen(crm, object_name, sorted(same), at=self._began)
        self.progress.compared += len(rows)
        self._differing += differing
        await self._read_differing_again(at_least=self._batch)

    async def _read_differing_again(self, *, at_least: int) -> None:
        """Read the differing records again in batches, until fewer than `at_least` of them are left."""
        while len(self._differing) >= at_least:
            ids, self._differing = self._differing[: self._batch], self._differing[self._batch :]
            await self._read_again(ids)
            self._ids_read_again.update(ids)

    async def _read_again(self, ids: Sequence[str]) -> Sequence[Row]:
        """Read these records again, and handle differences as changes. Returns the rows of existing records."""
        asked = self._runtime.now()
        page = await self._ask(self._feed.look, ids)
        known = self._store.records.known(
            self._feed.crm, self._feed.object, [*ids, *(row.record_id for row in page.rows)]
        )
        unknown = [row for row in page.rows if row.record_id not in known]
        left_to_feed = {row.record_id for row in unknown if row.deleted or row.stamp > asked - LEFT_TO_FEED}
        noted = [row for row in unknown if row.record_id not in left_to_feed]
        self.progress.differing += len(page.rows) - len(left_to_feed)
        self.progress.noted += len(noted)
        consent = self._channel.consent
        self.progress.noted_out += sum(is_opted_out(row.fields, consent) for row in noted) if consent else 0
        rows = tuple(row for row in page.rows if row.record_id not in left_to_feed)
        await self._keep(replace(page, rows=rows), asked)
        return page.rows

    async def _keep(self, page: Page, asked: datetime) -> None:
        """Store the changes and the new shadows of a page, and count the changes. A dry run only counts them."""
        query = FeedQuery(
            channel=self._channel,
            cursor=self._working_cursor(),
            asked=asked,
            poll=self.poll,
            numbers=self._numbers,
            only_known=True,
        )
        entries = self._find_changes(query, page) if self._dry_run else await self._store_changes(query, page)
        self.progress.changes += len(entries)
        self._people.update(entry.event.msisdn.e164 for entry in entries if entry.event and entry.event.msisdn)
        self.progress.people = len(self._people)
        self.progress.many_people = self.progress.people > self._max_people

    def _find_changes(self, query: FeedQuery, page: Page) -> Sequence[Entry]:
        """The events that the page would lead to."""
        ids = [record_id for row in page.rows for record_id in (row.record_id, row.merged_into) if record_id]
        seen = self._store.following.seen(self._feed.crm, self._feed.object, ids)
        step, _ = read_page(query, page, seen, now=self._runtime.now())
        return step.entries

    async def _store_changes(self, query: FeedQuery, page: Page) -> Sequence[Entry]:
        """Store the page's events and shadows; returns the events that are new."""
        kept = await keep_page(self._store, query, page, now=self._runtime.now())
        for alarm in flags_rewritten(self._channel, kept):
            self._runtime.emit(alarm)
        self._runtime.emit(FeedPolled(feed=self._feed.name, rows=len(page.rows), changes=len(kept.entries), last=False))
        return kept.entries

    async def _ask(self, question: Callable[[Http, A], Awaitable[T | Retry]], about: A) -> T:
        """Ask the CRM, and repeat the call if waiting may help. Raises ConnectorError."""
        why = ""
        for number in range(TRIES):
            self._working_cursor()  # raises if the feed has stopped working
            if self._channel.budget is not None and self._channel.budget.limits(self._runtime.emit).only_opt_outs:
                raise NotComparedError(f"the API calls for {self._feed.crm} are used up, except for the reserve")
            try:
                answer = await question(self._channel.client, about)
            except PeerUnavailable as error:
                why = str(error)
            else:
                if not isinstance(answer, Retry):
                    return answer
                why = f"{answer.reason}: {answer.detail}"
                if answer.cure:
                    raise NotComparedError(f"{why}; {answer.cure}")
            await self._sleep(_gap(2 * number))
        raise NotComparedError(why)

    def _working_cursor(self) -> Cursor:
        """The feed's cursor. Raises NotComparedError while the feed does not work."""
        feed, channel = self._feed, self._channel
        cursor = Cursor.read(self._store.following.cursor(feed.name), feed, channel.consent)
        if cursor.baseline:
            raise NotComparedError("the first poll of the feed has not finished: try again later")
        if channel.breaker.cause is not None or self._runtime.monotonic() - channel.due > MAX_LATE.total_seconds():
            raise NotComparedError("the feed does not work: see `connector status`")
        return cursor


def _shown_since(known: KnownRecord, began: int) -> bool:
    """Whether the feed has read the record since the run began, and so later than the run."""
    return known.seen_at > began and not (known.last_write and known.last_write.unseen)


def _may_differ(row: Row, known: KnownRecord | None, fields: Sequence[str], traits: CrmTraits) -> bool:
    if known is None:
        return not row.deleted
    if row.deleted or known.gone_at is not None:
        return row.deleted is (known.gone_at is None)
    return any(may_differ(row.fields.get(name), known.fields.get(name), traits) for name in fields)


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _gap(number: int) -> float:
    return min(FIRST_GAP * GROWTH**number, MAX_GAP)
