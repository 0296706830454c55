from datetime import UTC, datetime, timedelta

import pytest

from connector.model.outcome import Reason
from connector.model.states import EventState, UnitState
from connector.store.units import NewUnit, Planned

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT = "+4790000001", "+4790000002"
CRM = "salesforce"


async def die(scene, key, *, reason=Reason.VALIDATION, lane=ANNA, **about):
    await scene.unit(key, lane=lane, **about)
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=reason, detail="why")
    return unit


@pytest.fixture
def letters(scene):
    return scene.store.dead_letters


async def test_a_dead_letter_says_what_failed_and_why(scene, letters):
    unit = await die(scene, "a")
    (letter,) = letters.listing()
    assert (letter.event_key, letter.unit_id, letter.sink) == ("a", unit.id, CRM)
    assert (letter.reason, letter.detail, letter.attempts) == (Reason.VALIDATION, "why", 1)
    assert (letter.operations, letter.received_at) == (unit.operations, NOW)
    assert letters.of_event("a") == letters.of_event(1) == [letter]
    assert letters.of_event("b") == []


async def test_dead_letters_are_listed_by_age_and_by_reason_and_counted_by_reason(scene, letters):
    await die(scene, "a")
    await scene.keep("b")
    plan = Planned(event_id=2, state=EventState.DEAD, reason=Reason.MISSING_KEY)
    await scene.store.plans.commit([plan], now=NOW)
    await die(scene, "c", reason=Reason.TOO_LONG)
    await scene.unit("d", parked=True)
    assert [letter.event_key for letter in letters.listing()] == ["a", "b", "c"]
    assert [letter.event_key for letter in letters.listing(limit=1)] == ["a"]
    assert [letter.event_key for letter in letters.listing(Reason.MISSING_KEY)] == ["b"]
    assert [letter.event_key for letter in letters.listing(parked=True)] == ["d"]
    assert letters.counts_by_reason() == {
        Reason.VALIDATION: 1, Reason.MISSING_KEY: 1, Reason.TOO_LONG: 1, Reason.NEEDS_PERSON: 1,
    }  # fmt: skip


async def test_a_retried_unit_goes_back_to_its_place_in_its_lane(scene, letters):
    await die(scene, "a")
    await scene.unit("b")
    await scene.unit("c")
    assert (await letters.retry([1], now=scene.now)).count == 1
    assert scene.state("a") is EventState.DELIVERING
    units = await scene.claim()
    assert [(unit.event_key, unit.late, unit.attempts) for unit in units] == [
        ("a", True, 0), ("b", False, 0), ("c", False, 0),
    ]  # fmt: skip


async def test_a_retried_unit_is_claimed_with_the_fields_that_newer_units_wrote(scene, letters):
    await die(scene, "a", operations=(scene.write(ANNA, A__c=1, B__c=1),))
    await scene.unit("b", operations=(scene.write(ANNA, B__c=2),))
    await scene.settle((await scene.claim())[0])
    await letters.retry(now=scene.now)
    (unit,) = await scene.claim()
    assert [written.field for written in unit.newer] == ["B__c"]


async def test_retry_is_by_event_or_reason_or_for_all_and_leaves_parked_units(scene, letters):
    await die(scene, "a")
    await die(scene, "b", reason=Reason.TOO_LONG)
    await die(scene, "c")
    await scene.unit("d", parked=True, lane=BERIT)
    assert (await letters.retry(reason=Reason.TOO_LONG, now=NOW)).count == 1
    assert (await letters.retry([3, 4], now=NOW)).count == 1
    assert (await letters.retry(now=NOW)).count == 1
    assert (await letters.retry(now=NOW)).count == 0
    assert [letter.event_key for letter in letters.listing(parked=True)] == ["d"]


async def test_an_event_that_could_not_be_planned_is_planned_again(scene, letters):
    await scene.keep("a")
    await scene.store.plans.commit([Planned(event_id=1, state=EventState.DEAD, reason=Reason.BUG)], now=NOW)
    assert (await letters.retry(now=NOW)).count == 1
    assert [stored.key for stored in scene.store.inbox.pending(9)] == ["a"]


async def test_a_parked_unit_does_not_delay_its_lane(scene, letters):
    await scene.unit("a", parked=True)
    assert (scene.state("a"), scene.store.inbox.get("a").reason) == (EventState.DEAD, "needs_person")
    await scene.unit("b")
    assert await scene.claimed() == ["b"]


async def test_a_released_unit_is_claimed_in_its_old_place(scene, letters):
    await scene.unit("a", parked=True)
    await scene.unit("b")
    assert await letters.release([2], now=NOW) == 0
    assert await letters.release([1], now=NOW) == 1
    assert await scene.claimed() == ["a", "b"]


async def test_an_event_parked_before_planning_is_planned_when_it_is_released(scene, letters):
    for key, reason in (("asked", Reason.NEEDS_PERSON), ("failed", Reason.MISSING_KEY)):
        await scene.keep(key)
        event_id = scene.store.inbox.get(key).id
        await scene.store.plans.commit([Planned(event_id=event_id, state=EventState.DEAD, reason=reason)], now=NOW)
    assert await letters.release([2], now=NOW) == 0
    assert await letters.release(now=NOW) == 1
    assert (scene.state("asked"), scene.state("failed")) == (EventState.PENDING, EventState.DEAD)


async def test_a_released_opt_out_overtakes_older_units(scene, letters):
    await scene.unit("a")
    await scene.unit("out", parked=True, urgent=True)
    await letters.release(now=NOW)
    assert [(unit.event_key, unit.overtaken_by) for unit in await scene.claim()] == [("out", None), ("a", 2)]


async def test_a_discarded_unit_is_never_claimed(scene, letters):
    await scene.unit("a", parked=True)
    assert await letters.discard([1], now=NOW) == 1
    stored = scene.store.inbox.get("a")
    assert (stored.state, stored.detail) == (EventState.IGNORED, "discarded by a person")
    assert await letters.release(now=NOW) == 0
    assert await scene.claimed() == []


async def test_an_event_is_delivered_when_its_last_open_unit_is_discarded(scene, letters):
    await scene.keep("a")
    units = tuple(
        NewUnit(sink=sink, lane=ANNA, operations=(scene.write(ANNA),), parked=parked)
        for sink, parked in ((CRM, False), ("strex", True))
    )
    await scene.store.plans.commit([Planned(event_id=1, state=EventState.DELIVERING, units=units)], now=NOW)
    (unit,) = await scene.claim()
    await scene.settle(unit)
    assert scene.state("a") is EventState.DEAD
    await letters.discard(now=NOW)
    assert scene.state("a") is EventState.DELIVERED


async def test_a_retry_restarts_the_time_of_the_first_attempt(scene, letters):
    await die(scene, "a")
    await scene.later(days=3)
    await letters.retry(now=scene.now)
    (unit,) = await scene.claim()
    assert unit.first_try_at == NOW + timedelta(days=3)
