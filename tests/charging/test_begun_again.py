"""Donors who join again: the payment at the window counts for its month."""

from datetime import date

import pytest
from charging.scene import DAY, DONOR, HOUR, a_scene, rules

from connector.charging.results import try_again

pytestmark = pytest.mark.slow


async def charged_in_march(scene, status="NO_CREDIT"):
    """A donor who was charged for February, and whose charge for March has this result."""
    await scene.join(amount=100)
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    scene.script(status=status)
    await scene.until(date(2026, 3, 1))
    assert len(scene.taken) == 1


async def test_a_retry_is_not_sent_in_a_month_that_a_new_window_has_paid(scene):
    await charged_in_march(scene)
    scene.clock.go(DAY)
    await scene.join(amount=100)
    await scene.until(date(2026, 3, 31))
    assert len(scene.taken) == 1, "the window was paid in March"
    assert "counts for this period" in scene.charges()[-1].detail
    await scene.until(date(2026, 4, 1))
    assert len(scene.taken) == 2


async def test_a_retry_is_not_sent_after_a_stop_and_a_new_window(scene):
    await charged_in_march(scene)
    scene.clock.go(HOUR)
    await scene.stop()
    scene.clock.go(HOUR)
    await scene.join(amount=100)
    await scene.until(date(2026, 3, 31))
    assert len(scene.taken) == 1


async def test_a_charge_that_waits_for_the_new_window_itself_is_not_sent_after_it(scene):
    await scene.join(amount=100)
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    await scene.until(date(2026, 2, 28))
    event_id, event = await scene.keep("window", DONOR)
    await scene.until(date(2026, 3, 1))
    assert scene.states()[-1] == ("2026-03", "due")
    await scene.plan(event_id, event)
    await scene.join(amount=100)
    scene.clock.go(HOUR)
    await scene.run()
    assert len(scene.taken) == 1


async def test_a_window_shortly_before_the_day_counts_for_the_period(tmp_path):
    async with a_scene(tmp_path, rules(day=10)) as scene:
        await scene.join(amount=100)
        await scene.until(date(2026, 2, 10))
        await scene.approve()
        await scene.run()
        scene.script(status="NO_CREDIT")
        await scene.until(date(2026, 3, 10))
        # Approved and planned; the retry is on the 13th.
        await scene.join(amount=100)
        await scene.until(date(2026, 4, 9))
        assert len(scene.taken) == 1
        await scene.until(date(2026, 4, 10))
        assert len(scene.taken) == 2


async def test_a_charge_of_a_month_that_a_new_window_has_paid_is_not_repeated_and_says_why(scene):
    await charged_in_march(scene, "REJECTED")
    scene.clock.go(DAY)
    await scene.join(amount=100)
    charge = scene.charges()[-1]
    await scene.store.charges.change(charge, try_again(scene.rules, scene.clock.now()), now=scene.clock.now())
    await scene.until(date(2026, 3, 20))
    assert len(scene.taken) == 1
    assert scene.charges()[-1].state == "skipped"


async def test_a_donor_who_stops_and_joins_again_is_charged_once_each_month(scene):
    await scene.join(amount=100)
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    await scene.stop()
    await scene.until(date(2026, 2, 10))
    await scene.join(amount=50)
    await scene.until(date(2026, 4, 1))
    assert [(amount, at.month) for _, amount, at in scene.taken] == [(100, 2), (50, 3), (50, 4)]
