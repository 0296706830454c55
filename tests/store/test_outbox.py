from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from connector.model.operation import Parent, ServiceCommand, SinkCall
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.states import EventState, UnitState
from connector.store.units import NewUnit, Planned, Settlement, Written

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT, CARL = "+4790000001", "+4790000002", "+4790000003"
CRM = "salesforce"
WAITING, READY, RESTING, CLAIMED = UnitState.WAITING, UnitState.READY, UnitState.RESTING, UnitState.CLAIMED


async def test_the_first_unit_of_a_lane_is_ready_and_the_others_wait(scene):
    await scene.unit("a")
    await scene.unit("b")
    await scene.unit("c", lane=BERIT)
    assert scene.unit_states() == {READY: 2, WAITING: 1}
    assert scene.state("a") is EventState.DELIVERING


async def test_a_lane_that_gets_several_units_at_once_has_one_head(scene):
    ids = [await scene.keep(key) for key in "abc"]
    plans = [
        Planned(
            event_id=event_id,
            state=EventState.DELIVERING,
            units=(NewUnit(sink=CRM, lane=ANNA, operations=(scene.write(ANNA),)),),
        )
        for event_id in reversed(ids)
    ]
    await scene.store.plans.commit(plans, now=scene.now)
    assert scene.unit_states() == {READY: 1, WAITING: 2}
    assert await scene.claimed(1) == ["a"]


async def test_a_claim_takes_the_oldest_heads_first_and_then_the_units_right_behind_them(scene):
    for key, lane in (("a", ANNA), ("b", ANNA), ("c", BERIT), ("d", ANNA)):
        await scene.unit(key, lane=lane)
    assert await scene.claimed(2) == ["a", "c"]
    assert await scene.claimed(9) == []


async def test_a_claim_with_room_also_takes_the_next_units_of_a_lane(scene):
    for key, lane in (("a", ANNA), ("b", ANNA), ("c", BERIT), ("d", ANNA)):
        await scene.unit(key, lane=lane)
    assert await scene.claimed(3) == ["a", "b", "c"]


async def test_a_claim_counts_operations_and_takes_an_outsized_unit_alone(scene):
    await scene.unit("a", operations=tuple(scene.write(ANNA, **{f"F{n}": n}) for n in range(5)))
    await scene.unit("b", lane=BERIT)
    assert await scene.claimed(3) == ["a"]
    assert await scene.claimed(3) == ["b"]


async def test_a_claim_does_not_skip_a_unit_that_does_not_fit(scene):
    await scene.unit("a")
    await scene.unit("b", operations=(scene.write(ANNA), scene.write(ANNA)))
    await scene.unit("c")
    assert await scene.claimed(2) == ["a"]


async def test_a_claim_takes_a_lane_in_event_order_when_an_older_event_is_planned_later(scene):
    for key in ("a1", "a2", "a3"):
        await scene.unit(key)
    await scene.unit("b1", lane=BERIT)
    older = await scene.keep("b2")
    await scene.unit("b3", lane=BERIT)
    await scene.plan(older, lane=BERIT)
    assert await scene.claimed(5) == ["a1", "a2", "a3", "b1", "b2"]


async def test_sinks_do_not_delay_each_other(scene):
    await scene.unit("a", sinks=(CRM, "strex"))
    assert await scene.claimed(9, sink="strex") == ["a"]
    assert await scene.claimed(9) == ["a"]


async def test_the_next_unit_of_a_lane_is_ready_when_the_one_before_is_delivered(scene):
    await scene.unit("a")
    await scene.unit("b")
    (unit,) = await scene.claim(1)
    assert scene.unit_states() == {CLAIMED: 1, WAITING: 1}
    await scene.settle(unit)
    assert scene.state("a") is EventState.DELIVERED
    assert await scene.claimed(1) == ["b"]


async def test_after_a_dead_letter_the_lane_continues(scene):
    await scene.unit("a")
    await scene.unit("b")
    (unit,) = await scene.claim(1)
    await scene.settle(unit, UnitState.DEAD, reason=Reason.VALIDATION, detail="no such thing")
    stored = scene.store.inbox.get("a")
    assert (stored.state, stored.reason, stored.detail) == (EventState.DEAD, "validation", "no such thing")
    assert await scene.claimed(1) == ["b"]


async def test_a_resting_unit_delays_only_its_own_lane(scene):
    for key, lane in (("a", ANNA), ("b", ANNA), ("c", BERIT)):
        await scene.unit(key, lane=lane)
    unit = (await scene.claim(1))[0]
    await scene.settle(unit, RESTING, reason=Reason.ROW_LOCKED, delay=timedelta(minutes=1))
    assert scene.store.outbox.next_due(CRM, scene.now) == timedelta(0)
    assert await scene.claimed() == ["c"]
    assert await scene.claimed() == []
    assert scene.store.outbox.next_due(CRM, scene.now) == timedelta(minutes=1)
    await scene.later(seconds=59)
    assert await scene.claimed() == []
    await scene.later(seconds=1)
    assert await scene.claimed() == ["a", "b"]
    assert scene.store.outbox.next_due(CRM, scene.now) is None


async def test_a_clock_set_back_before_the_start_of_a_delay_ends_it(scene):
    await scene.unit("a")
    (unit,) = await scene.claim()
    await scene.settle(unit, RESTING, reason=Reason.TIMEOUT, delay=timedelta(hours=1))
    await scene.later(hours=-2)
    assert scene.store.outbox.next_due(CRM, scene.now) == timedelta(0)
    assert await scene.claimed() == ["a"]


async def test_attempts_are_counted_only_if_the_settlement_says_so(scene):
    await scene.unit("a")
    (unit,) = await scene.claim()
    assert (unit.attempts, unit.first_try_at) == (0, scene.now)
    await scene.settle(unit, READY, reason=Reason.QUOTA_EXHAUSTED, counts_attempt=False)
    await scene.later(minutes=1)
    (unit,) = await scene.claim()
    await scene.settle(unit, READY, reason=Reason.TIMEOUT)
    (unit,) = await scene.claim()
    assert (unit.attempts, unit.first_try_at) == (1, NOW)


async def test_delivered_operations_are_not_claimed_again(scene):
    operations = tuple(scene.write(ANNA, **{f"F{n}": n}) for n in range(3))
    await scene.unit("a", operations=operations)
    (unit,) = await scene.claim()
    assert (unit.operations, unit.indexes) == (operations, (0, 1, 2))
    await scene.settle(unit, RESTING, delay=timedelta(0), reason=Reason.ROW_LOCKED, done=(1,))
    (unit,) = await scene.claim()
    assert (unit.operations, unit.indexes) == ((operations[0], operations[2]), (0, 2))
    await scene.settle(unit, RESTING, delay=timedelta(0), reason=Reason.ROW_LOCKED, done=(2,))
    (unit,) = await scene.claim()
    assert unit.indexes == (0,)


async def test_only_undelivered_operations_count_towards_the_size_of_a_claim(scene):
    await scene.unit("a", operations=tuple(scene.write(ANNA, **{f"F{n}": n}) for n in range(3)))
    await scene.unit("b", lane=BERIT)
    (unit,) = await scene.claim(3)
    await scene.settle(unit, RESTING, delay=timedelta(0), reason=Reason.ROW_LOCKED, done=(0, 2))
    assert await scene.claimed(2) == ["a", "b"]


async def test_an_event_has_the_state_of_its_worst_unit(scene):
    await scene.unit("a", sinks=(CRM, "strex"))
    (mine,), (theirs,) = await scene.claim(), await scene.claim(sink="strex")
    await scene.settle(mine)
    assert scene.state("a") is EventState.DELIVERING
    await scene.settle(theirs, UnitState.DEAD, reason=Reason.BAD_COMMAND, detail="why")
    assert (scene.state("a"), scene.store.inbox.get("a").reason) == (EventState.DEAD, "bad_command")


async def test_an_opt_out_is_claimed_first_in_its_lane_and_its_sink(scene):
    for key, lane in (("a", BERIT), ("b", ANNA), ("c", ANNA)):
        await scene.unit(key, lane=lane)
    await scene.unit("out", urgent=True)
    units = await scene.claim(1)
    assert [(unit.event_key, unit.urgent, unit.overtaken_by) for unit in units] == [("out", True, None)]
    await scene.settle(units[0])
    assert [(unit.event_key, unit.overtaken_by) for unit in await scene.claim()] == [("a", None), ("b", 4), ("c", 4)]


async def test_an_opt_out_overtakes_a_resting_unit_whose_delay_stays(scene):
    await scene.unit("a")
    (unit,) = await scene.claim()
    await scene.settle(unit, RESTING, reason=Reason.ROW_LOCKED, delay=timedelta(minutes=5))
    await scene.unit("out", urgent=True)
    (unit,) = await scene.claim()
    assert unit.event_key == "out"
    await scene.settle(unit)
    assert await scene.claimed() == []
    await scene.later(minutes=5)
    assert await scene.claimed() == ["a"]


async def test_an_opt_out_is_claimed_after_a_claimed_unit_and_overtakes_its_retry(scene):
    await scene.unit("a")
    await scene.unit("b")
    (held,) = await scene.claim(1)
    await scene.unit("out", urgent=True)
    assert await scene.claimed() == []
    await scene.settle(held, RESTING, reason=Reason.TIMEOUT, delay=timedelta(0))
    (out,) = await scene.claim(1)
    assert out.event_key == "out"
    await scene.settle(out)
    assert [(unit.event_key, unit.overtaken_by) for unit in await scene.claim()] == [("a", 3), ("b", 3)]


async def test_an_older_unit_that_is_planned_after_an_opt_out_is_overtaken_by_it(scene):
    older = await scene.keep("older")
    await scene.unit("out", urgent=True, operations=(scene.write(ANNA, Out__c=True),))
    await scene.settle((await scene.claim())[0])
    await scene.plan(older, operations=(scene.write(ANNA.lower(), Out__c=False, Name="x"),))
    (unit,) = await scene.claim()
    assert (unit.overtaken_by, unit.late) == (2, True)
    assert unit.newer == (Written(object="Contact", key_field="SMS_Key__c", key=ANNA, field="Out__c"),)


async def test_a_late_unit_is_claimed_with_the_fields_that_newer_units_delivered(scene):
    older = await scene.keep("older")
    await scene.unit("new", operations=(scene.write("K", A__c=1), scene.write("K", B__c=1)))
    (unit,) = await scene.claim()
    await scene.settle(unit, RESTING, reason=Reason.ROW_LOCKED, delay=timedelta(minutes=1), done=(1,))
    await scene.plan(older)
    (unit,) = await scene.claim()
    assert unit.event_key == "older"
    assert [written.field for written in unit.newer] == ["B__c"]


async def test_a_unit_that_is_not_late_is_claimed_without_newer_fields(scene):
    await scene.unit("a")
    await scene.settle((await scene.claim())[0])
    await scene.unit("b")
    (unit,) = await scene.claim()
    assert (unit.late, unit.newer, unit.overtaken_by) == (False, (), None)


async def test_claims_of_an_earlier_start_are_released_in_doubt(scene):
    await scene.unit("a")
    await scene.unit("b")
    await scene.unit("c", lane=BERIT)
    await scene.claim(start="first")
    assert await scene.store.outbox.free_claims("first", scene.now) == 0
    assert await scene.store.outbox.free_claims("second", scene.now) == 3
    assert [(unit.event_key, unit.in_doubt) for unit in await scene.claim(start="second")] == [
        ("a", True),
        ("b", True),
        ("c", True),
    ]


async def test_a_claim_of_an_earlier_start_that_must_not_be_sent_twice_is_parked(scene):
    event = SinkCall(sink=CRM, action="event", target="E", key="a", values={"text": '"once":true'}, once=True)
    post = SinkCall(sink=CRM, action="post", target="p", key="b", values={"text": '"once":true'})
    await scene.unit("a", operations=(event,))
    await scene.unit("b", lane=BERIT, operations=(post,))
    await scene.claim(start="first")
    assert await scene.store.outbox.free_claims("second", scene.now) == 2
    assert await scene.claimed(start="second") == ["b"]
    (letter,) = scene.store.dead_letters.listing(parked=True)
    assert (letter.operations, letter.reason) == ((event,), Reason.NEEDS_PERSON)
    await scene.books_balance()


async def test_units_that_are_given_back_are_claimed_again_unchanged(scene):
    for key in ("a", "b"):
        await scene.unit(key)
    await scene.unit("c", lane=BERIT)
    units = await scene.claim()
    await scene.store.outbox.give_back(units, scene.now)
    again = await scene.claim()
    assert again == units
    assert [(unit.event_key, unit.attempts, unit.in_doubt) for unit in again] == [
        ("a", 0, False),
        ("b", 0, False),
        ("c", 0, False),
    ]


async def test_only_claimed_units_are_given_back(scene):
    await scene.unit("a")
    (unit,) = await scene.claim()
    await scene.settle(unit)
    await scene.store.outbox.give_back([unit], scene.now)
    assert await scene.claim() == []


async def test_a_unit_stays_in_doubt_until_its_outcome_is_certain(scene):
    await scene.unit("a")
    (unit,) = await scene.claim()
    await scene.settle(unit, RESTING, reason=Reason.TIMEOUT, delay=timedelta(0), in_doubt=True)
    (unit,) = await scene.claim()
    assert unit.in_doubt
    await scene.settle(unit, RESTING, reason=Reason.UNAVAILABLE, delay=timedelta(0))
    (unit,) = await scene.claim()
    assert unit.in_doubt
    await scene.settle(unit)
    assert in_doubt(scene) == []


async def test_units_in_doubt_that_were_sent_together_are_claimed_together(scene):
    for key in ("a", "b", "c"):
        await scene.unit(key)
    for minutes, unit in zip((1, 2, 3), await scene.claim(3), strict=True):
        delay = timedelta(minutes=minutes)
        await scene.settle(unit, RESTING, reason=Reason.CONNECTION_LOST, delay=delay, in_doubt=True)
    await scene.unit("d")
    await scene.unit("e", lane=BERIT)
    await scene.later(minutes=1)
    # Nothing of it may go before the rest of it, though it rests longer, nor be parted for want of room.
    assert await scene.claimed(2) == ["a", "b", "c"]
    assert await scene.claimed(2) == ["e"]


def in_doubt(scene, name="Contact"):
    return [write for _, write in scene.store.following.seen(CRM, name, []).in_doubt]


async def test_claimed_writes_and_writes_in_doubt_are_listed(scene):
    first, second = scene.write(ANNA, A__c=1), scene.write(BERIT, B__c=1)
    await scene.unit("a", operations=(first, first))
    await scene.unit("b", lane=BERIT, operations=(second,))
    assert in_doubt(scene) == []
    (unit,) = await scene.claim(2)
    assert in_doubt(scene) == [first, first]
    assert in_doubt(scene, "Lead") == []
    await scene.settle(unit, RESTING, reason=Reason.TIMEOUT, delay=timedelta(1), in_doubt=True, done=(0,))
    assert in_doubt(scene) == [first]


async def test_a_parent_that_is_sent_again_is_listed_as_it_is_sent(scene):
    parent = scene.write(ANNA, A__c=1)
    child = replace(parent, object="SMS_Event__c", key="e", set={"Contact__r": Parent(parent.key_field, parent.key)})
    await scene.unit("a", operations=(parent, child))
    (unit,) = await scene.claim()
    await scene.settle(unit, RESTING, reason=Reason.TIMEOUT, delay=timedelta(0), in_doubt=True, done=(0,))
    (unit,) = await scene.claim()
    assert in_doubt(scene) == [unit.operations[0]]
    assert unit.operations[0].create == {**parent.create, "A__c": 1}


async def test_a_command_is_claimed_as_it_was_stored(scene):
    command = ServiceCommand(sink="strex", action="stop", phone=Phone(ANNA), short_number="2002", keyword="KATT")
    await scene.unit("a", sinks=("strex",), operations=(command,))
    (unit,) = await scene.claim(sink="strex")
    assert unit.operations == (command,)


async def test_only_claimed_units_can_be_settled(scene):
    await scene.unit("a")
    with pytest.raises(ValueError, match="not claimed"):
        await scene.store.outbox.settle([Settlement(unit_id=1, state=UnitState.DELIVERED)], now=NOW)
    (unit,) = await scene.claim()
    await scene.settle(unit)
    with pytest.raises(ValueError, match="not claimed"):
        await scene.settle(unit)


@pytest.mark.parametrize(
    ("state", "match"), [(UnitState.WAITING, "never settled as waiting"), (UnitState.RESTING, "needs a delay")]
)
async def test_an_invalid_settlement_changes_nothing(scene, state, match):
    await scene.unit("a")
    (unit,) = await scene.claim()
    with pytest.raises(ValueError, match=match):
        await scene.settle(unit, state)
    assert scene.unit_states() == {CLAIMED: 1}


async def test_settling_is_all_or_nothing(scene):
    await scene.unit("a")
    await scene.unit("b", lane=BERIT)
    one, two = await scene.claim()
    settlements = [
        Settlement(unit_id=one.id, state=UnitState.DELIVERED),
        Settlement(unit_id=two.id + 99, state=UnitState.DELIVERED),
    ]
    with pytest.raises(ValueError, match="not claimed"):
        await scene.store.outbox.settle(settlements, now=NOW)
    assert scene.unit_states() == {CLAIMED: 2}


async def test_only_pending_events_can_be_planned(scene):
    await scene.unit("a")
    with pytest.raises(ValueError, match=r"not pending.*\[1\]"):
        await scene.plan(1)
    await scene.keep("b")
    plan = Planned(event_id=2, state=EventState.IGNORED)
    with pytest.raises(ValueError, match="planned twice"):
        await scene.store.plans.commit([plan, plan], now=NOW)


async def test_a_plan_without_units_leaves_the_event_in_the_state_that_it_says(scene):
    await scene.keep("a")
    plan = Planned(event_id=1, state=EventState.DEAD, reason=Reason.MISSING_KEY, detail="msisdn", mapping="v1")
    await scene.store.plans.commit([plan], now=NOW)
    stored = scene.store.inbox.get(1)
    assert (stored.state, stored.reason, stored.detail, stored.mapping) == (
        EventState.DEAD,
        "missing_key",
        "msisdn",
        "v1",
    )


async def test_the_age_of_the_oldest_open_unit_counts_from_its_event(scene):
    assert scene.store.outbox.oldest(CRM) is None
    await scene.plan(await scene.keep("a", received_at=NOW - timedelta(hours=1)))
    await scene.unit("b", lane=BERIT)
    assert scene.store.outbox.oldest(CRM) == NOW - timedelta(hours=1)
    await scene.settle((await scene.claim(1))[0])
    assert scene.store.outbox.oldest(CRM) == NOW
