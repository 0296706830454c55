"""Runs one step repeatedly: at once while there is work, otherwise after a wake-up or the idle time.

After a bug it pauses and continues. While nothing can be stored it retries soon. A stop lets the current step
finish. The worker does not know what its step does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from connector.model.errors import StoreUnavailable
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Emit, WorkerFailed

FIRST_PAUSE = 1.0  # seconds after a bug; doubled each time up to the longest
MAX_PAUSE = 60.0  # seconds: the longest pause, so that a fault that clears by itself does not delay work for longer
# Seconds after a step that could not store anything. The store itself reports why, and recovers by itself.
FIRST_STORE_PAUSE, LONGEST_STORE_PAUSE = 0.05, 5.0

Step = Callable[[], Awaitable[int]]
Wait = Callable[[asyncio.Event, float], Awaitable[None]]


class Worker:
    """Runs `step` until it is stopped. The step returns how many items it processed."""

    def __init__(
        self,
        name: str,
        step: Step,
        *,
        idle: timedelta,
        emit: Emit,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Wait | None = None,
    ) -> None:
        self.name = name
        self._step = step
        self._idle = idle.total_seconds()
        self._emit = emit
        self._monotonic = monotonic
        self._wait = wait or wait_for
        self._awake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopping = False
        self._pause = 0.0
        self._waits_until: float | None = None
        self.ticked = monotonic()  # when a step last began or ended
        self.bug: str | None = None  # type and place of the bug in the last step
        self.bugs_since: float | None = None  # since when every step has failed, in monotonic seconds

    def wake(self) -> None:
        """Signal new work: do not wait for the idle time. A wake-up during a step takes effect after it."""
        self._awake.set()

    @property
    def resting(self) -> bool:
        """Whether no step is running: the next one begins after this moment."""
        return self._waits_until is not None

    def stop(self) -> None:
        """Finish the current step, and begin no other."""
        self._stopping = True
        self._stopped.set()
        self._awake.set()

    def fails(self, duration: timedelta) -> bool:
        """Whether every step has failed with a bug for this long."""
        return self.bugs_since is not None and self._monotonic() - self.bugs_since > duration.total_seconds()

    def alive(self, within: timedelta) -> bool:
        """Whether a step began or ended recently, or the worker is waiting as it should."""
        now = self._monotonic()
        return now - max(self.ticked, self._waits_until or self.ticked) <= within.total_seconds()

    async def run(self) -> None:
        """Run steps until stop(). A step that raises is reported, and retried after a pause; only cancellation is raised."""
        while not self._stopping:
            self.ticked = self._monotonic()
            # Cleared before the step: the step may not see work that arrives while it runs.
            self._awake.clear()
            try:
                processed = await self._step()
            except StoreUnavailable:
                self._pause = min(max(FIRST_STORE_PAUSE, self._pause * 2), LONGEST_STORE_PAUSE)
                await self._rest(self._pause)
                continue
            except Exception as error:  # noqa: BLE001 - a bug in one step must not end the worker.
                self._pause = min(max(FIRST_PAUSE, self._pause * 2), MAX_PAUSE)
                self.bug = place(error)
                self.bugs_since = self.ticked if self.bugs_since is None else self.bugs_since
                self._emit(WorkerFailed(worker=self.name, error=self.bug, seconds=self._pause))
                await self._rest(self._pause)
                continue
            self._pause, self.bug, self.bugs_since = 0.0, None, None
            if processed:
                # Let other tasks run, since the step may not have awaited anything.
                await asyncio.sleep(0)
            else:
                await self._rest(self._idle)
        self.ticked = self._monotonic()

    async def _rest(self, seconds: float) -> None:
        if self._stopping:
            return
        self._waits_until = self._monotonic() + seconds
        # A wake-up does not shorten the pause after a bug; otherwise new events would make the worker spin.
        await self._wait(self._stopped if self._pause else self._awake, seconds)
        self._waits_until = None


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event is set or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
