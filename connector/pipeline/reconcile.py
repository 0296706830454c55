"""Reconciliation: compares all records of each feed's object with their shadows, to find changes that no poll could read.

Reading all records only finds which of them differ. Each of these is read again, and handled like any change, so that an
old reply to a long query does no harm. An interrupted run begins again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableSet, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import orjson
from msgspec.structs import replace

from connector.consent.changes import is_opted_out, may_differ
from connector.delivery.channels import FeedChannel
from connector.model.crm_traits import CrmTraits
from connector.model.errors import ConnectorError, PeerUnavailable, StoreUnavailable
from connector.model.http import Http
from connector.model.outcome import Retry
from connector.model.record_number import NumberReader
from connector.pipeline.cursor import Cursor
from connector.pipeline.feed_alarms import flags_rewritten
from connector.pipeline.feed_page import FeedQuery, keep_page, read_page
from connector.ports import Page, Row
from connector.store.records import KnownRecord
from connector.store.sql import micros
from connector.store.store import Store
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Alarm, Emit, FeedPolled, Level, Lifecycle, WorkerFailed
from connector.telemetry.mask import mask

T = TypeVar("T")
A = TypeVar("A")

CHUNK = 500  # records that are compared at once: callbacks are answered in between
TRIES = 6  # of one call
FIRST_GAP, GROWTH, MAX_GAP = 0.25, 1.5, 30.0  # seconds between two questions for a job, or two tries
# An unknown record that was modified within this time is left to the feed, which may be about to read it.
LEFT_TO_FEED = timedelta(days=1)
MAX_LATE = timedelta(minutes=5)  # a feed whose poll is later than this does not work
OVERDUE = timedelta(hours=50)  # two nights and some time for the run itself
FAILED = "reconcile_failed"


@dataclass(slots=True, kw_only=True)
class Comparison:
    """The progress of one feed's comparison, and what was found."""

    feed: str
    total: int | None = None  # records, deleted ones among them, as the CRM counts them
    compared: int = 0
    differing: int = 0  # records that were read again
    changes: int = 0  # events that were made
    people: int = 0  # with such an event
    many_people: bool = False  # more people than one poll may concern without a person's decision
    noted: int = 0  # records that were not known
    noted_out: int = 0  # those of them that are opted out: nothing was sent for them
    missing: int = 0  # known records that the CRM no longer has
    missing_untouched: bool = False  # they were too many to be treated as deleted
    why: str = ""  # why it did not finish; empty if it did

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


class NotComparedError(ConnectorError):
    """A feed cannot be compared now; the text says why, and what a person does about it."""


@dataclass(slots=True)
class Reconciler:
    """Compares the feeds, one after the other. `open_polls` are those whose changes are not planned yet."""

    store: Store
    feed_channels: Mapping[str, FeedChannel]
    emit: Emit
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    wake: Callable[[str], None]
    open_polls: MutableSet[str]
    numbers: NumberReader
    max_people: int
    nightly: bool = True  # whether the calendar starts it, so that it can be overdue
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    dry_run: bool = False  # the run that is under way, or the last one, stores no changes
    accept_missing: bool = False  # all missing records are treated as deleted
    comparisons: list[Comparison] = field(default_factory=list)  # of this run, or of the last one
    _task: asyncio.Task[None] | None = None
    _started: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._started = self.monotonic()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._task is not None and not self._task.done()

    def start(self, *, dry_run: bool = False, accept_missing: bool = False) -> None:
        """Begin a run, unless one is under way.

        With `dry_run` it stores no changes. With `accept_missing` all known records that the CRM no longer has are treated
        as deleted, however many they are.
        """
        if self.running:
            return
        self.dry_run, self.accept_missing, self.comparisons = dry_run, accept_missing, []
        self._task = asyncio.create_task(self._run(), name="reconcile")

    async def stop(self) -> None:
        """End the run that is under way; the next one begins again."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def start_nightly(self) -> None:
        """Begin a run, unless the config forbids it. Its end is not awaited, because it may take hours."""
        if self.nightly:
            self.start()

    async def admin_command(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The command of the admin listener: begins a run with `start`, and returns its progress."""
        if payload.get("start"):
            dry_run, accept_missing = bool(payload.get("dry_run")), bool(payload.get("accept_missing"))
            if self.running and (dry_run, accept_missing) != (self.dry_run, self.accept_missing):
                raise ConnectorError("another comparison is running: try again when it has ended")
            self.start(dry_run=dry_run, accept_missing=accept_missing)
        return {"running": self.running, "dry_run": self.dry_run, "feeds": [one.as_json() for one in self.comparisons]}

    def check(self) -> None:
        """Raise an alarm for each feed that has not been compared for two nights."""
        if not self.nightly or self.monotonic() - self._started <= OVERDUE.total_seconds():
            return
        for name, channel in self.feed_channels.items():
            last = last_run(self.store, name).get("succeeded")
            if last is None or self.now() - datetime.fromisoformat(last) > OVERDUE:
                self._raise_alarm(channel, f"{name} has not been compared with all records for two nights")

    async def _run(self) -> None:
        for name in list(self.feed_channels):
            channel = self.feed_channels.get(name)
            if channel is None:
                continue
            comparison = Comparison(feed=name)
            self.comparisons.append(comparison)
            try:
                await self._compare(channel, comparison)
            except ConnectorError as error:
                comparison.why = mask(str(error))
            except Exception as error:  # noqa: BLE001 - a bug must not end the daemon, and is reported.
                comparison.why = "a bug in the connector: see its log"
                self.emit(WorkerFailed(worker="reconcile", error=place(error), seconds=0.0))
            self._report(channel, comparison)
            if not self.dry_run:
                # A store outage has its own alarm, and the next run stores its result again.
                with suppress(StoreUnavailable):
                    await self._keep_result(comparison)

    def _report(self, channel: FeedChannel, comparison: Comparison) -> None:
        """Log the result. Only `connector status` shows why it failed, because that quotes the CRM."""
        level = Level.WARNING if comparison.why else Level.INFO
        numbers = {key: str(value) for key, value in comparison.as_json().items() if key != "why" and value}
        message = (
            "compared all records of the CRM with the stored ones"
            if not comparison.why
            else "comparing all records failed"
        )
        self.emit(Lifecycle(message=message, level=level, details=numbers))
        if self.dry_run:
            return
        if comparison.why:
            self._raise_alarm(channel, f"{comparison.feed}: comparing all records of the CRM failed")
        else:
            channel.alarms.clear(run_name(comparison.feed), self.emit)

    async def _keep_result(self, comparison: Comparison) -> None:
        at = self.now().isoformat()
        succeeded = last_run(self.store, comparison.feed).get("succeeded") if comparison.why else at
        kept = {"ended": at, "succeeded": succeeded, **comparison.as_json()}
        await self.store.following.set_cursor(run_name(comparison.feed), orjson.dumps(kept).decode())

    def _raise_alarm(self, channel: FeedChannel, message: str) -> None:
        cure = "`connector status` says why; fix that, then run `connector reconcile`"
        alarm = Alarm(kind=FAILED, about=channel.feed.name, message=message, cure=cure)
        channel.alarms.start(alarm, run_name(channel.feed.name), self.emit)

    async def _compare(self, channel: FeedChannel, comparison: Comparison) -> None:
        run = _Run(self, channel, comparison)
        self.open_polls.add(run.poll)
        try:
            await run.read_all()
            await run.find_missing()
        finally:
            # The planner waits until now, because it must count the people of the whole run.
            self.open_polls.discard(run.poll)
            self.wake("plan")
        if run.comparison.noted_out and not self.dry_run:
            self.emit(_not_sent(channel, run.comparison.noted_out))


class _Run:
    """One feed's comparison."""

    def __init__(self, reconciler: Reconciler, channel: FeedChannel, comparison: Comparison) -> None:
        self.poll = uuid4().hex  # one poll, so that the people of all its changes are counted together
        self.comparison = comparison
        self._reconciler = reconciler
        self._channel = channel
        self._feed = channel.feed
        self._store = reconciler.store
        self._began = reconciler.now()
        self._batch = channel.feed.traits.lookup_limit
        self._differing: list[str] = []  # ids of records that are still to be read again
        self._read_again: set[str] = set()
        self._people: set[str] = set()

    async def read_all(self) -> None:
        """Compare each record. Those that may differ are read again."""
        position: str | None = None
        last, waits = False, 0
        while not last:
            step = await self._ask(self._feed.read_all, position)
            position, last, self.comparison.total = step.position, step.last, step.total
            if not step.ready:
                await self._reconciler.sleep(_gap(waits))
                waits += 1
            for rows in _chunks(step.rows):
                await self._compare(rows)
        await self._judge_differing(all_of_them=True)

    async def find_missing(self) -> None:
        """Find known records that were not read: permanently deleted, or hidden from our user. Raises NotComparedError for many."""
        crm, name = self._feed.crm, self._feed.object
        missing: list[str] = []
        after = ""
        while ids := self._store.records.not_seen_since(crm, name, self._began, after=after, limit=self._batch):
            after = ids[-1]
            ids = [one for one in ids if one not in self._read_again]
            if ids:
                existing = {row.record_id for row in await self._judge(ids)}
                missing += [one for one in ids if one not in existing]
        self.comparison.missing = len(missing)
        if len(missing) > self._reconciler.max_people and not self._reconciler.accept_missing:
            self.comparison.missing_untouched = True
            raise NotComparedError(
                f"{len(missing)} known records of {name} are no longer in {crm}, or the integration user cannot see them; nothing was "
                "changed: check the user's permissions; if they were all deleted, run `connector reconcile --accept-missing`"
            )
        known = self._store.records.known(crm, name, missing)
        gone = [
            Row(record_id=one, stamp=self._reconciler.now(), fields=known[one].fields, deleted=True)
            for one in missing
            if one in known
        ]
        if gone:
            await self._keep(Page(rows=tuple(gone)), self._reconciler.now())

    async def _compare(self, rows: Sequence[Row]) -> None:
        crm, name, fields = self._feed.crm, self._feed.object, self._feed.fields
        known = self._store.records.known(crm, name, [row.record_id for row in rows])
        shown = {record_id for record_id, one in known.items() if _shown_since(one, micros(self._began))}
        differing = [
            row.record_id
            for row in rows
            if row.record_id not in shown and _may_differ(row, known.get(row.record_id), fields, self._feed.traits)
        ]
        same = known.keys() - set(differing)
        await self._store.records.mark_seen(crm, name, sorted(same), at=self._began)
        self.comparison.compared += len(rows)
        self._differing += differing
        await self._judge_differing()

    async def _judge_differing(self, *, all_of_them: bool = False) -> None:
        while len(self._differing) >= (1 if all_of_them else self._batch):
            ids, self._differing = self._differing[: self._batch], self._differing[self._batch :]
            await self._judge(ids)
            self._read_again.update(ids)

    async def _judge(self, ids: Sequence[str]) -> Sequence[Row]:
        """Read these records again, and handle differences as changes. Returns the rows of existing records."""
        asked = self._reconciler.now()
        page = await self._ask(self._feed.look, ids)
        known = self._store.records.known(
            self._feed.crm, self._feed.object, [*ids, *(row.record_id for row in page.rows)]
        )
        unknown = [row for row in page.rows if row.record_id not in known]
        young = {row.record_id for row in unknown if row.deleted or row.stamp > asked - LEFT_TO_FEED}
        noted = [row for row in unknown if row.record_id not in young]
        self.comparison.differing += len(page.rows) - len(young)
        self.comparison.noted += len(noted)
        consent = self._channel.consent
        self.comparison.noted_out += sum(is_opted_out(row.fields, consent) for row in noted) if consent else 0
        await self._keep(replace(page, rows=tuple(row for row in page.rows if row.record_id not in young)), asked)
        return page.rows

    async def _keep(self, page: Page, asked: datetime) -> None:
        reconciler, feed = self._reconciler, self._feed
        query = FeedQuery(
            channel=self._channel,
            cursor=self._working_cursor(),
            asked=asked,
            poll=self.poll,
            numbers=reconciler.numbers,
            only_known=True,
        )
        if reconciler.dry_run:
            ids = [one for row in page.rows for one in (row.record_id, row.merged_into) if one]
            seen = self._store.following.seen(feed.crm, feed.object, ids)
            step, _ = read_page(query, page, seen, now=reconciler.now())
            entries = step.entries
        else:
            kept = await keep_page(self._store, query, page, now=reconciler.now())
            entries = kept.entries
            for alarm in flags_rewritten(self._channel, kept):
                reconciler.emit(alarm)
            reconciler.emit(FeedPolled(feed=feed.name, rows=len(page.rows), changes=kept.events, last=False))
        self.comparison.changes += len(entries)
        self._people.update(one.event.msisdn.e164 for one in entries if one.event and one.event.msisdn)
        self.comparison.people = len(self._people)
        self.comparison.many_people = self.comparison.people > reconciler.max_people

    async def _ask(self, question: Callable[[Http, A], Awaitable[T | Retry]], about: A) -> T:
        """Ask the CRM, and repeat the call if waiting may help. Raises ConnectorError."""
        why = ""
        for number in range(TRIES):
            self._working_cursor()
            if self._channel.budget is not None and self._channel.budget.limits(self._reconciler.emit).only_opt_outs:
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
            await self._reconciler.sleep(_gap(2 * number))
        raise NotComparedError(why)

    def _working_cursor(self) -> Cursor:
        """The feed's cursor. Raises NotComparedError while the feed does not work."""
        feed, channel = self._feed, self._channel
        cursor = Cursor.read(self._store.following.cursor(feed.name), feed, channel.consent)
        if cursor.baseline:
            raise NotComparedError("the first poll of the feed has not finished: try again later")
        if channel.breaker.cause is not None or self._reconciler.monotonic() - channel.due > MAX_LATE.total_seconds():
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


def run_name(feed: str) -> str:
    """The name of a feed's last run in `cursors`, and of the holder of its alarm."""
    return f"{feed} (reconcile)"


def last_run(store: Store, feed: str) -> dict[str, Any]:
    """The last comparison of a feed that was no dry run; empty if there was none."""
    text = store.following.cursor(run_name(feed))
    kept: dict[str, Any] = orjson.loads(text) if text else {}
    return kept


def _not_sent(channel: FeedChannel, records: int) -> Alarm:
    return Alarm(
        kind="opt_outs_not_sent",
        about=channel.feed.name,
        lasts=False,
        message=f"{records} new records of {channel.feed.name} are already opted out; nothing was sent for them",
        cure="`connector consents baseline` shows what would be sent; with --send it sends it",
    )
