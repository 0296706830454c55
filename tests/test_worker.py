import asyncio
from datetime import timedelta

import pytest

from connector.model.errors import StoreUnavailable
from connector.telemetry.log_events import WorkerFailed
from connector.worker import FIRST_PAUSE, FIRST_STORE_PAUSE, LONGEST_STORE_PAUSE, MAX_PAUSE, Worker, wait_for


class Bench:
    """A loop whose clock stands still but for its waits, each of which ends when it is let."""

    def __init__(self, *results, woken=False, wait=None):
        self.results = list(results)
        self.woken = woken  # during each step
        self.facts = []
        self.waits = []
        self.now = 100.0
        self.steps = 0
        self.worker = Worker(
            "plan",
            self.step,
            idle=timedelta(seconds=5),
            emit=self.facts.append,
            monotonic=lambda: self.now,
            wait=wait or self.wait,
        )

    async def step(self):
        self.steps += 1
        if self.woken:
            self.worker.wake()
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        if not self.results:
            self.worker.stop()
        return result

    async def wait(self, event, seconds):
        self.waits.append((seconds, event.is_set()))
        if not event.is_set():
            self.now += seconds


async def test_a_worker_with_work_does_not_pause():
    bench = Bench(3, 2, 1)
    await bench.worker.run()
    assert (bench.steps, bench.waits) == (3, [])


async def test_a_worker_without_work_waits_the_idle_time():
    bench = Bench(1, 0, 1)
    await bench.worker.run()
    assert bench.waits == [(5.0, False)]
    assert bench.now == 105.0


async def test_a_wake_up_during_a_step_is_not_lost():
    bench = Bench(0, 1, woken=True)
    await bench.worker.run()
    assert bench.waits == [(5.0, True)]


async def test_a_wake_up_ends_the_idle_time():
    rounds = asyncio.Queue()

    async def step():
        rounds.put_nowait(None)
        return 0

    worker = Worker("plan", step, idle=timedelta(hours=1), emit=lambda fact: None)
    task = asyncio.create_task(worker.run())
    await rounds.get()
    worker.wake()
    await rounds.get()
    worker.stop()
    await task


async def test_after_each_bug_a_worker_pauses_longer_and_continues():
    bench = Bench(ValueError("+4790000001"), ValueError(), 1, ValueError(), 1)
    await bench.worker.run()
    assert [seconds for seconds, _ in bench.waits] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE]
    assert bench.steps == 5
    assert all(isinstance(fact, WorkerFailed) and fact.worker == "plan" for fact in bench.facts)
    assert "ValueError" in bench.facts[0].error
    assert "+47" not in bench.facts[0].error


async def test_a_store_outage_is_retried_soon_and_not_reported_by_the_worker():
    bench = Bench(*[StoreUnavailable("full")] * 20, 1)
    await bench.worker.run()
    assert bench.waits[0] == (FIRST_STORE_PAUSE, False)
    assert bench.waits[-1] == (LONGEST_STORE_PAUSE, False)
    assert bench.facts == []
    assert bench.worker.bugs_since is None


async def test_a_worker_fails_only_if_every_step_has_a_bug():
    bench = Bench(*[ValueError()] * 8, 1)
    seen = []
    wait = bench.wait

    async def look(event, seconds):
        seen.append((bench.worker.fails(timedelta(minutes=1)), "ValueError" in bench.worker.bug))
        await wait(event, seconds)

    bench.worker._wait = look
    await bench.worker.run()
    # Pauses of 1, 2, 4, 8, 16 and 32 seconds: after them more than a minute is over.
    assert seen == [(False, True)] * 6 + [(True, True)] * 2
    assert not bench.worker.fails(timedelta(0))
    assert bench.worker.bug is None


async def test_the_pause_after_a_bug_has_an_upper_limit():
    bench = Bench(*[ValueError()] * 20, 1)
    await bench.worker.run()
    assert bench.waits[-1] == (MAX_PAUSE, False)


async def test_a_wake_up_does_not_shorten_the_pause_after_a_bug():
    bench = Bench(ValueError(), 1, woken=True)
    await bench.worker.run()
    assert bench.waits == [(FIRST_PAUSE, False)]


async def test_a_stop_lets_the_current_step_finish_and_begins_no_other():
    inside, gate = asyncio.Event(), asyncio.Event()
    ended = []

    async def step():
        inside.set()
        await gate.wait()
        ended.append(True)
        return 1

    worker = Worker("deliver", step, idle=timedelta(hours=1), emit=lambda fact: None)
    task = asyncio.create_task(worker.run())
    await inside.wait()
    worker.stop()
    gate.set()
    await task
    assert ended == [True]


@pytest.mark.parametrize("result", [0, ValueError()])
async def test_a_stop_ends_every_pause(result):
    stepped = asyncio.Event()

    async def step():
        stepped.set()
        if isinstance(result, Exception):
            raise result
        return result

    worker = Worker("deliver", step, idle=timedelta(hours=1), emit=lambda fact: None)
    task = asyncio.create_task(worker.run())
    await stepped.wait()
    await asyncio.sleep(0)
    worker.stop()
    async with asyncio.timeout(0.9):  # less than the pause after a bug.
        await task


async def test_a_stopped_worker_begins_no_step():
    bench = Bench(1)
    bench.worker.stop()
    await bench.worker.run()
    assert bench.steps == 0


async def test_a_stuck_step_is_not_alive_but_a_long_wait_is():
    seen = []

    async def wait(event, seconds):
        bench.now += 4
        seen.append(bench.worker.alive(timedelta(seconds=1)))
        bench.now += 3
        seen.append(bench.worker.alive(timedelta(seconds=1)))

    bench = Bench(0, 1, wait=wait)
    await bench.worker.run()
    assert seen == [True, False]
    bench.now += 10
    assert not bench.worker.alive(timedelta(seconds=1))


async def test_wait_for_ends_at_the_event_or_the_timeout():
    event = asyncio.Event()
    await wait_for(event, 0)
    event.set()
    await wait_for(event, 1e9)


async def test_a_worker_rests_only_between_two_steps():
    seen = []

    async def step():
        seen.append(worker.resting)
        return 0

    async def wait(_event, _seconds):
        seen.append(worker.resting)
        if len(seen) > 2:
            worker.stop()

    worker = Worker(
        "plan", step, idle=timedelta(seconds=5), emit=lambda _fact: None, monotonic=lambda: 100.0, wait=wait
    )
    await worker.run()
    assert seen == [False, True, False, True]
