import re
from datetime import timedelta

from connector.model.errors import StoreUnavailable
from connector.scheduler import MAX_GAP, Job, Scheduler
from connector.telemetry.log_events import WorkerFailed


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def scheduler(works, emitted, clock):
    jobs = [Job(name=f"job{place}", at="03:00", work=work) for place, work in enumerate(works)]
    return Scheduler(jobs, timezone="Europe/Oslo", monotonic=clock, emit=emitted.append), jobs


async def test_a_job_that_the_calendar_missed_runs_by_the_monotonic_clock():
    ran, emitted, clock = [], [], Clock()

    async def work():
        ran.append(clock.now)

    jobs, _ = scheduler([work], emitted, clock)
    assert await jobs.run_missed() == 0
    clock.now = MAX_GAP.total_seconds() + 1
    assert await jobs.run_missed() == 1
    assert await jobs.run_missed() == 0
    assert ran == [clock.now]


async def test_a_bug_in_one_job_is_reported_with_its_place_and_stops_nothing():
    ran, emitted, clock = [], [], Clock()

    async def broken():
        raise KeyError("+4790000001")

    async def fine():
        ran.append(1)

    jobs, _ = scheduler([broken, fine], emitted, clock)
    clock.now = timedelta(days=2).total_seconds()
    assert await jobs.run_missed() == 2
    assert ran == [1]
    (failed,) = emitted
    assert (type(failed), failed.worker, failed.seconds) == (WorkerFailed, "job0", 0.0)
    assert re.fullmatch(r"KeyError in \w+ \(\w+\.py:\d+\)", failed.error), "the place, and never the message"


async def test_a_job_that_could_not_store_anything_runs_again_at_the_next_check():
    ran, emitted, clock = [], [], Clock()

    async def work():
        ran.append(1)
        if len(ran) == 1:
            raise StoreUnavailable("full")

    jobs, (job,) = scheduler([work], emitted, clock)
    await jobs.run(job)
    assert await jobs.run_missed() == 1
    assert await jobs.run_missed() == 0
    assert (ran, emitted) == ([1, 1], [])


async def test_a_job_starts_at_its_time_of_day_until_the_scheduler_stops():
    async def work():
        """Never due in this test."""

    emitted = []
    jobs, _ = scheduler([work], emitted, Clock())
    jobs.start()
    (planned,) = jobs._scheduler.get_jobs()
    assert (planned.next_run_time.hour, planned.next_run_time.utcoffset() is not None) == (3, True)
    jobs.stop()
    jobs.stop()
