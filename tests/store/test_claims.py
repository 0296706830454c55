"""A worker's claimed units are settled or released, whatever its step raises."""

import pytest

from connector.delivery.channels import SendAllowance
from connector.model.errors import StoreUnavailable
from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.pipeline.deliver import MAX_GIVEN_UP, DeliveryWorker

LANES = ("+4790000001", "+4790000002", "+4790000003", "+4790000004")


class Bench:
    def __init__(self, scene):
        self.scene, self.outbox = scene, scene.store.outbox
        self.worker, self.facts = DeliveryWorker("start a"), []

    async def step(self, error=None, *, bad=(), after=None):
        """One step: claim, meet the error (where a bad unit is among them), settle."""
        async with self.worker.step(self.outbox, self.facts.append, lambda: self.scene.now):
            size = self.worker.limit(SendAllowance(100)).size
            units = await self.outbox.claim("salesforce", size, self.worker.claim, self.scene.now)
            self.worker.claimed = units
            if error and (not bad or any(unit.event_key in bad for unit in units)):
                raise error
            for unit in units:
                await self.scene.settle(unit)
            if after:
                raise after
        return [unit.event_key for unit in units]


@pytest.fixture
def bench(scene):
    return Bench(scene)


async def test_units_that_could_not_be_settled_return_in_doubt_before_the_next_claim(bench, scene):
    await scene.unit("a", lane=LANES[0])
    with pytest.raises(StoreUnavailable):
        await bench.step(StoreUnavailable("full"))
    assert bench.outbox.claims() == {"start a": 1}
    await scene.unit("b", lane=LANES[0], urgent=True)
    assert await bench.step() == ["b"]
    assert await bench.step() == ["a"]
    assert bench.outbox.claims() == {}


async def test_a_bug_makes_a_dead_letter_only_of_the_unit_that_causes_it(bench, scene):
    for key, lane in zip("abcd", LANES, strict=True):
        await scene.unit(key, lane=lane)
    bug = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        await bench.step(bug, bad="b")
    assert bench.outbox.claims() == {}
    assert await bench.step(bug, bad="b") == ["a"]
    with pytest.raises(ValueError, match="no"):
        await bench.step(bug, bad="b")
    (emitted,) = bench.facts
    assert (emitted.event, emitted.state, emitted.reason) == (2, UnitState.DEAD, Reason.BUG)
    assert await bench.step(bug, bad="b") == ["c"]
    assert await bench.step(bug, bad="b") == ["d"]
    assert scene.unit_states() == {UnitState.DELIVERED: 3, UnitState.DEAD: 1}


async def test_a_bug_in_the_first_of_two_units_of_a_lane_does_not_block_the_second(bench, scene):
    await scene.unit("a", lane=LANES[0])
    await scene.unit("b", lane=LANES[0])
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await bench.step(ValueError("no"), bad="a")
    assert await bench.step(ValueError("no"), bad="a") == ["b"]


async def test_a_bug_that_every_unit_meets_makes_only_a_few_dead_letters(bench, scene):
    for place in range(20):
        await scene.unit(f"u{place}", lane=f"+47900001{place:02}")
    for _ in range(12):
        with pytest.raises(ValueError, match="no"):
            await bench.step(ValueError("no"))
    assert scene.unit_states()[UnitState.DEAD] == MAX_GIVEN_UP
    assert bench.outbox.claims() == {}
    await bench.step()
    assert bench.worker.given_up == 0


async def test_a_bug_after_settling_releases_no_claim(bench, scene):
    await scene.unit("a", lane=LANES[0])
    with pytest.raises(ValueError, match="told"):
        await bench.step(after=ValueError("told"))
    assert scene.unit_states() == {UnitState.DELIVERED: 1}
    assert bench.facts == []


async def test_each_worker_releases_only_its_own_claims(bench, scene):
    await scene.unit("a", lane=LANES[0])
    await scene.claim(start="start b")
    await scene.unit("c", lane=LANES[1])
    with pytest.raises(ValueError, match="no"):
        await bench.step(ValueError("no"), bad="c")
    assert bench.outbox.claims() == {"start b": 1}
    assert await bench.outbox.free_claims("start", scene.now) == 0
    assert await bench.outbox.free_claims("another", scene.now) == 1


async def test_an_unreadable_unit_does_not_stop_the_others(bench, scene):
    for key, lane in zip("abc", LANES, strict=False):
        await scene.unit(key, lane=lane)
    await scene.rows("UPDATE units SET operations = 'torn' WHERE lane = ?", LANES[1])
    done = []
    for _ in range(5):
        try:
            done += await bench.step()
        except ValueError:
            assert bench.outbox.claims() == {}
    assert done == ["a", "c"]
    assert scene.unit_states() == {UnitState.DELIVERED: 2, UnitState.DEAD: 1}
