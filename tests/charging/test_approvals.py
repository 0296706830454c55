"""What a person's approval covers, and what goes on waiting without one."""

from datetime import date, timedelta

import pytest
from charging.scene import DONOR, HOUR, NAME, OTHER, a_scene, rules

from connector.model.charge import Run, RunState

pytestmark = pytest.mark.slow
MANY = [f"+47900000{number}" for number in range(10, 18)]


def run(scene, day):
    return scene.store.charge_runs.get(NAME, day)


async def first_run(scene, donors=MANY):
    for phone in donors:
        await scene.join(phone)
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    assert len(scene.taken) == len(donors)


async def test_a_stopped_run_goes_on_only_after_an_approval_however_many_days_pass(scene):
    await first_run(scene)
    scene.script(status="FAILED", times=3)
    await scene.until(date(2026, 3, 1))
    assert run(scene, date(2026, 3, 1)).state == "stopped"
    taken = len(scene.taken)
    await scene.until(date(2026, 3, 6))
    assert len(scene.taken) == taken
    assert [run(scene, date(2026, 3, day)).state for day in (2, 3, 4, 5, 6)] == ["waiting"] * 5
    await scene.approve()
    await scene.run()
    assert len(scene.taken) > taken


async def test_a_doubt_about_the_clock_does_not_pass_with_the_days(scene):
    await first_run(scene)
    scene.clock.go(timedelta(days=26))  # the connector is down until 27 February
    await scene.run()
    assert run(scene, date(2026, 2, 27)).state == "waiting"
    await scene.until(date(2026, 3, 3))
    assert len(scene.taken) == len(MANY), "nobody has approved a run"
    await scene.approve()
    await scene.run()
    assert len(scene.taken) == 2 * len(MANY)


async def test_an_approval_in_advance_does_not_let_an_earlier_run_begin(tmp_path):
    async with a_scene(tmp_path, rules(day=None)) as scene:
        await scene.join(DONOR)
        await scene.until(date(2026, 2, 10))
        await scene.join(OTHER)
        await scene.until(date(2026, 2, 15))
        await scene.approve()
        await scene.run()
        await scene.until(date(2026, 3, 9))
        scene.clock.jump(2 * HOUR)
        await scene.run()
        assert scene.store.charge_runs.control(NAME).hold
        later = Run(provider=NAME, day=date(2026, 3, 15), size=1, state=RunState.WAITING)
        await scene.store.charge_runs.approve(later, today=date(2026, 3, 9))
        await scene.until(date(2026, 3, 10))
        assert len(scene.taken) == 1, "the doubt about the clock was not looked at"
