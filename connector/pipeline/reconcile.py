"""Reconciliation: compares all records of each feed's object with their shadows, to find changes that no poll could read.

The feeds are compared one after the other, by feed_comparison.py. An interrupted run begins again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableSet
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from connector.delivery.channels import FeedChannel
from connector.model.errors import ConnectorError, StoreUnavailable
from connector.model.record_number import NumberReader
from connector.pipeline.feed_comparison import FeedComparison, Progress
from connector.pipeline.runtime import Runtime
from connector.store.store import Store
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Alarm, Level, Lifecycle, WorkerFailed
from connector.telemetry.mask import mask

OVERDUE = timedelta(hours=50)  # two nights and some time for the run itself
FAILED = "reconcile_failed"


@dataclass(slots=True)
class Reconciler:
    """Compares the feeds, one after the other. `open_polls` are those whose changes are not planned yet."""

    store: Store
    feed_channels: Mapping[str, FeedChannel]
    runtime: Runtime
    open_polls: MutableSet[str]
    numbers: NumberReader
    max_people: int  # more people, or missing records, need a person's decision
    nightly: bool = True  # whether the calendar starts it, so that it can be overdue
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    dry_run: bool = False  # the run that is under way, or the last one, stores no changes
    accept_missing: bool = False  # all missing records are treated as deleted
    feeds: list[Progress] = field(default_factory=list)  # of this run, or of the last one
    _task: asyncio.Task[None] | None = None
    _started: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._started = self.runtime.monotonic()

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
        self.dry_run, self.accept_missing, self.feeds = dry_run, accept_missing, []
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
        feeds = [progress.as_json() for progress in self.feeds]
        return {"running": self.running, "dry_run": self.dry_run, "feeds": feeds}

    def check(self) -> None:
        """Raise an alarm for each feed that has not been compared for two nights."""
        if not self.nightly or self.runtime.monotonic() - self._started <= OVERDUE.total_seconds():
            return
        for name, channel in self.feed_channels.items():
            last = last_run(self.store, name).get("succeeded")
            if last is None or self.runtime.now() - datetime.fromisoformat(last) > OVERDUE:
                self._raise_alarm(channel, f"{name} has not been compared with all records for two nights")

    async def _run(self) -> None:
        """Compare each feed. A failure of one does not stop the others."""
        for name in list(self.feed_channels):
            channel = self.feed_channels.get(name)
            if channel is None:
                continue  # a reload has removed the feed since the run began
            comparison = FeedComparison(
                channel,
                self.store,
                self.runtime,
                numbers=self.numbers,
                max_people=self.max_people,
                dry_run=self.dry_run,
                accept_missing=self.accept_missing,
                sleep=self.sleep,
            )
            progress = comparison.progress
            self.feeds.append(progress)
            try:
                await self._compare(channel, comparison)
            except ConnectorError as error:
                progress.why = mask(str(error))
            except Exception as error:  # noqa: BLE001 - a bug must not end the daemon, and is reported.
                progress.why = "a bug in the connector: see its log"
                self.runtime.emit(WorkerFailed(worker="reconcile", error=place(error), seconds=0.0))
            self._report(channel, progress)
            if not self.dry_run:
                # A store outage has its own alarm, and the next run stores its result again.
                with suppress(StoreUnavailable):
                    await self._store_result(progress)

    async def _compare(self, channel: FeedChannel, comparison: FeedComparison) -> None:
        self.open_polls.add(comparison.poll)
        try:
            await comparison.compare_all()
            await comparison.handle_missing()
        finally:
            # The planner waits until now, because it must count the people of the whole run.
            self.open_polls.discard(comparison.poll)
            self.runtime.wake("plan")
        if comparison.progress.noted_out and not self.dry_run:
            self.runtime.emit(_opt_outs_not_sent(channel, comparison.progress.noted_out))

    def _report(self, channel: FeedChannel, progress: Progress) -> None:
        """Log the result. Only `connector status` shows why it failed, because that quotes the CRM."""
        if progress.why:
            level, message = Level.WARNING, "comparing all records failed"
        else:
            level, message = Level.INFO, "compared all records of the CRM with the stored ones"
        details = {name: str(value) for name, value in progress.as_json().items() if name != "why" and value}
        self.runtime.emit(Lifecycle(message=message, level=level, details=details))
        if self.dry_run:
            return
        if progress.why:
            self._raise_alarm(channel, f"{progress.feed}: comparing all records of the CRM failed")
        else:
            channel.alarms.clear(run_name(progress.feed), self.runtime.emit)

    async def _store_result(self, progress: Progress) -> None:
        ended = self.runtime.now().isoformat()
        succeeded = last_run(self.store, progress.feed).get("succeeded") if progress.why else ended
        result = {"ended": ended, "succeeded": succeeded, **progress.as_json()}
        await self.store.following.set_cursor(run_name(progress.feed), orjson.dumps(result).decode())

    def _raise_alarm(self, channel: FeedChannel, message: str) -> None:
        cure = "`connector status` says why; fix that, then run `connector reconcile`"
        alarm = Alarm(kind=FAILED, about=channel.feed.name, message=message, cure=cure)
        channel.alarms.start(alarm, run_name(channel.feed.name), self.runtime.emit)


def run_name(feed: str) -> str:
    """The name of a feed's last run in `cursors`, and of the holder of its alarm."""
    return f"{feed} (reconcile)"


def last_run(store: Store, feed: str) -> dict[str, Any]:
    """The result of a feed's last comparison that was no dry run; empty if there was none."""
    text = store.following.cursor(run_name(feed))
    result: dict[str, Any] = orjson.loads(text) if text else {}
    return result


def _opt_outs_not_sent(channel: FeedChannel, records: int) -> Alarm:
    return Alarm(
        kind="opt_outs_not_sent",
        about=channel.feed.name,
        lasts=False,
        message=f"{records} new records of {channel.feed.name} are already opted out; nothing was sent for them",
        cure="`connector consents baseline` shows what would be sent; with --send it sends it",
    )
