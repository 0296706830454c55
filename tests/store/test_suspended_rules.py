"""Suspended rules in the store, the units that wait because of them, and dead letters by cause."""

from datetime import timedelta

from msgspec.structs import replace
from store.conftest import ANNA, BERIT, CARL, CRM

from connector.delivery.suspended_rules import Suspension, SuspensionChanges
from connector.model.consent import Phase
from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.store.suspended_units import Replacement
from connector.store.units import Confirmation

HOUR = timedelta(hours=1)


def stop(scene, rule="log.yaml: all", field="Missing__c"):
    return Suspension(
        sink=CRM,
        rule=rule,
        object="Contact",
        field=field,
        detail="No such column",
        since=scene.now,
        probe_at=scene.now + HOUR,
    )


async def rest(scene, key, lane, reason=Reason.CONFIGURATION):
    await scene.unit(key, lane=lane)
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.RESTING, reason=reason, delay=HOUR, counts_attempt=False)


async def test_a_suspension_is_stored_updated_and_deleted(scene):
    one, two = stop(scene), stop(scene, field="Other__c")
    await scene.store.suspensions.change(SuspensionChanges(began=(one, two)), now=scene.now)
    assert scene.store.suspensions.of(CRM) == [one, two]
    assert scene.store.suspensions.of("other") == []
    await scene.later(minutes=3)
    later = replace(one, probe_at=scene.now + HOUR, detail="still")
    await scene.store.suspensions.change(SuspensionChanges(again=(later,), ended=(two,)), now=scene.now)
    assert scene.store.suspensions.all() == [later]


async def test_the_end_of_a_suspension_makes_only_its_own_units_due(scene):
    await rest(scene, "a", ANNA)
    await rest(scene, "b", BERIT, Reason.PARENT_WAITING)
    await rest(scene, "c", CARL, Reason.ROW_LOCKED)
    assert scene.store.suspensions.held(CRM) == 1
    await scene.store.suspensions.change(SuspensionChanges(ended=(stop(scene),)), now=scene.now)
    assert await scene.claimed() == ["a", "b"]


async def test_units_of_a_suspension_that_is_tried_again_are_due_at_once(scene):
    one = stop(scene)
    await scene.store.suspensions.change(SuspensionChanges(began=(one,)), now=scene.now)
    await rest(scene, "a", ANNA)
    assert await scene.claimed() == []
    await scene.store.suspensions.try_again([one], now=scene.now)
    assert scene.store.suspensions.all()[0].due(scene.now)
    assert await scene.claimed() == ["a"]


async def test_the_end_of_a_suspension_makes_a_unit_behind_an_opt_out_due(scene):
    await rest(scene, "a", ANNA)
    await scene.unit("out", lane=ANNA, urgent=True)
    await scene.store.suspensions.change(SuspensionChanges(ended=(stop(scene),)), now=scene.now)
    assert await scene.claimed() == ["out", "a"]


def planned_by(scene, mapping, limit=10):
    return scene.store.suspended_units.planned_otherwise(mapping, after=0, limit=limit)


async def again(scene, unit, *operations, **about):
    one = Replacement(unit=unit, mapping="v2", operations=operations, **about)
    await scene.store.suspended_units.replace([one], now=scene.now)


async def test_a_new_plan_replaces_only_undelivered_operations_of_a_unit(scene):
    old, new = scene.write("old", A__c=1), scene.write("new", B__c=2)
    await scene.unit("a", operations=(scene.write("done"), old))
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.RESTING, reason=Reason.CONFIGURATION, delay=HOUR, done=(0,))
    (planned,) = planned_by(scene, "v2")
    assert (planned.delivered, planned.left) == ([scene.write("done")], [old])
    await again(scene, planned, new, new)
    assert scene.store.inbox.get(unit.event_id).mapping == "v2"
    assert planned_by(scene, "v2") == []
    # It is due at once.
    (unit,) = await scene.claim()
    assert (unit.operations, unit.indexes) == ((new, new), (1, 2))
    await scene.settle(unit, UnitState.RESTING, reason=Reason.ROW_LOCKED, delay=timedelta(), done=(1,))
    (unit,) = await scene.claim()
    assert (unit.operations, unit.indexes) == ((new,), (2,))


async def test_only_suspended_units_that_are_not_claimed_are_planned_again(scene):
    await rest(scene, "a", ANNA)
    await rest(scene, "b", BERIT, Reason.ROW_LOCKED)
    (planned,) = planned_by(scene, "v2")
    await scene.later(hours=2)
    assert sorted(await scene.claimed()) == ["a", "b"]
    assert planned_by(scene, "v2") == []
    # What was claimed meanwhile goes out as it was planned.
    await again(scene, planned)
    assert scene.store.inbox.get(planned.event_id).mapping != "v2"
    assert scene.store.suspended_units.outdated([planned.event_id], "v2")


async def test_all_units_of_an_event_are_planned_again_together(scene):
    for key, lane in (("a", ANNA), ("b", BERIT), ("c", CARL)):
        await rest(scene, key, lane)
    assert [len(planned_by(scene, "v2", limit=n)) for n in (1, 2, 5)] == [1, 2, 3]
    first, *_ = planned_by(scene, "v2")
    assert len(scene.store.suspended_units.planned_otherwise("v2", after=first.event_id, limit=5)) == 2


async def test_a_new_opt_out_overtakes_the_rest_of_a_confirmed_one(scene):
    await scene.unit("out", urgent=True, operations=(scene.write("flag"), scene.write("log")))
    (unit,) = await scene.claim()
    emitted = (Confirmation(phase=Phase.CONFIRMED),)
    await scene.settle(
        unit, UnitState.RESTING, reason=Reason.CONFIGURATION, delay=HOUR, done=(0,), confirmations=emitted
    )
    await scene.unit("again", urgent=True)
    assert await scene.claimed() == ["again"]


async def dead(scene, key, lane, rule, code, reason=Reason.TOO_LONG):
    event = await scene.unit(key, lane=lane)
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=reason, detail=f"{code}: x", rule=rule, code=code)
    return event


async def test_dead_letters_are_counted_by_their_causes(scene):
    await dead(scene, "a", ANNA, "log.yaml: all", "STRING_TOO_LONG")
    first = await dead(scene, "b", BERIT, "sub.yaml: gift", "STRING_TOO_LONG")
    await dead(scene, "c", CARL, "sub.yaml: gift", "STRING_TOO_LONG")
    await scene.unit("parked", lane=CARL, parked=True)
    found = scene.store.dead_letters.causes()
    assert [(one.rule, one.code, one.count) for one in found] == [
        ("sub.yaml: gift", "STRING_TOO_LONG", 2),
        ("log.yaml: all", "STRING_TOO_LONG", 1),
    ]
    assert found[0].first == first


async def test_dead_letters_of_one_cause_are_retried_together(scene):
    await dead(scene, "a", ANNA, "log.yaml: all", "STRING_TOO_LONG")
    await dead(scene, "b", BERIT, "sub.yaml: gift", "STRING_TOO_LONG")
    await dead(scene, "c", CARL, "sub.yaml: gift", "MALFORMED_ID", Reason.BAD_VALUE)
    letters = scene.store.dead_letters
    assert (await letters.retry(rule="sub.yam", now=scene.now)).count == 0
    assert (await letters.retry(rule="sub.yaml: gift", code="MALFORMED_ID", sink=CRM, now=scene.now)).count == 1
    assert (await letters.retry(rule="sub.yaml", now=scene.now)).count == 1
    assert [one.rule for one in letters.causes()] == ["log.yaml: all"]
    assert sorted(await scene.claimed()) == ["b", "c"]


async def test_a_cause_is_deleted_with_its_unit(scene):
    await dead(scene, "a", ANNA, "log.yaml: all", "STRING_TOO_LONG")
    await scene.rows("DELETE FROM units")
    assert await scene.rows("SELECT * FROM causes") == []
