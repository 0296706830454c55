"""Calendar jobs, which run at a time of day. Work that must never stall runs in workers on the monotonic clock instead.

APScheduler does nothing for as long as the clock is set back (measured: a jump of an hour stops it for an hour). So
every job also runs when it has not run for `MAX_GAP` by the monotonic clock.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from connector.config.time_of_day import hour_and_minute
from connector.model.errors import StoreUnavailable
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Emit, WorkerFailed

MAX_GAP = timedelta(hours=26)  # a day, with room for daylight saving time
GRACE = 3600  # seconds that a job may start late, such as after a suspend


@dataclass(slots=True, kw_only=True)
class Job:
    """One job and the time of day at which it runs."""

    name: str
    at: str  # as in the config, such as 03:15
    work: Callable[[], Awaitable[None]]
    ran_at: float = field(default=0.0)  # monotonic seconds


class Scheduler:
    """Runs the jobs. Made inside the event loop, and stopped before the components that the jobs use."""

    def __init__(self, jobs: list[Job], *, timezone: str, monotonic: Callable[[], float], emit: Emit) -> None:
        self._jobs = jobs
        self._monotonic = monotonic
        self._emit = emit
        self._scheduler = AsyncIOScheduler(timezone=ZoneInfo(timezone))
        for job in jobs:
            job.ran_at = monotonic()
            hour, minute = hour_and_minute(job.at)
            trigger = CronTrigger(hour=hour, minute=minute, timezone=ZoneInfo(timezone))
            self._scheduler.add_job(
                self.run, trigger, args=[job], coalesce=True, max_instances=1, misfire_grace_time=GRACE
            )

    def start(self) -> None:
        """Start waiting for the times of day."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start no more jobs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def run_missed(self) -> int:
        """Run the jobs that the calendar has missed; returns how many."""
        now = self._monotonic()
        late = [job for job in self._jobs if now - job.ran_at > MAX_GAP.total_seconds()]
        for job in late:
            await self.run(job)
        return len(late)

    async def run(self, job: Job) -> None:
        """Run one job now. A bug in it is reported and stops nothing else."""
        job.ran_at = self._monotonic()
        try:
            await job.work()
        except StoreUnavailable:
            job.ran_at = -math.inf  # the store has reported why; run_missed() runs the job again
        except Exception as error:  # noqa: BLE001 - the scheduler would only log it.
            self._emit(WorkerFailed(worker=job.name, error=place(error), seconds=0.0))
