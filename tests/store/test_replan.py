"""Events that are planned again: what was delivered stays, what failed is replaced, and every opt-out stays owed."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from connector.model.consent import Decision, Phase, Scope, Subscription
from connector.model.event import Verdict
from connector.model.operation import ServiceCommand
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.states import EventState, UnitState
from connector.store.consents import TAKEN_BACK
from connector.store.units import NewUnit, Planned, Settlement
from tests.store.conftest import ANNA, CRM, NOW, write

OLD, NEW = "mappings-1", "mappings-2"


def flag(**fields):
    return replace(write(ANNA, Out__c=True, **fields), consent=("Out__c",))


def decision(word=Verdict.OPT_OUT):
    return Decision(
        phone=Phone(ANNA),
        word=word,
        scope=Scope.PROVIDER,
        subscription=Subscription(provider="strex"),
        origin="strex",
        occurred_at=NOW,
    )


def price(amount):
    return ServiceCommand(
        sink="strex",
        action="changesubscriberprice",
        phone=Phone(ANNA),
        short_number="2002",
        keyword="KATT",
        price=amount,
    )


async def plan(scene, event_id, units, *, mapping=NEW, state=EventState.DELIVERING, **about):
    """Plan an event; `units`: sink → operations."""
    made = tuple(NewUnit(sink=sink, lane=ANNA, operations=tuple(operations)) for sink, operations in units.items())
    planned = Planned(event_id=event_id, state=state, units=made, mapping=mapping, **about)
    await scene.store.plans.commit([planned], now=scene.now)


async def dead(scene, operations, *, key="a", done=(), in_doubt=False, **about):
    event_id = await scene.keep(key)
    await plan(scene, event_id, {CRM: operations}, mapping=OLD, **about)
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.TOO_LONG, done=done, in_doubt=in_doubt, rule="x.yaml: rule")
    return event_id


async def retry(scene, **about):
    return await scene.store.dead_letters.retry(mapping=NEW, now=scene.now, **about)


async def sent(scene, sink=CRM):
    """What goes out of the sink's units now."""
    units = await scene.claim(sink=sink)
    return [one for unit in units for one in unit.operations]


def owed(scene):
    return [one.sink for one in scene.store.consents.open_opt_outs(scene.now)]


async def test_a_retried_dead_letter_of_other_mappings_is_planned_again(scene):
    event_id = await dead(scene, [write(ANNA, Text__c="x" * 90)])
    assert (await retry(scene)).planned_again == 1
    assert scene.state(event_id) is EventState.PENDING
    assert scene.store.dead_letters.listing() == []
    assert scene.store.dead_letters.counts_by_reason() == {}
    await plan(scene, event_id, {CRM: [write(ANNA, Text__c="x" * 80)]})
    assert await sent(scene) == [write(ANNA, Text__c="x" * 80)]
    assert scene.state(event_id) is EventState.DELIVERING


async def test_a_retried_dead_letter_of_the_current_mappings_is_sent_as_planned(scene):
    await dead(scene, [write(ANNA)])
    done = await scene.store.dead_letters.retry(mapping=OLD, now=scene.now)
    assert (done.as_planned, done.planned_again) == (1, 0)
    assert await sent(scene) == [write(ANNA)]


async def test_a_retry_without_mappings_sends_the_old_plan(scene):
    await dead(scene, [write(ANNA)])
    assert (await scene.store.dead_letters.retry(now=scene.now)).as_planned == 1
    assert await sent(scene) == [write(ANNA)]


async def test_delivered_operations_of_a_dead_letter_are_not_sent_again(scene):
    gift, contact = write("g-1", Amount=100), write(ANNA, LastName="x" * 90)
    event_id = await dead(scene, [gift, contact], done=(0,))
    await retry(scene)
    await plan(scene, event_id, {CRM: [gift, write(ANNA, LastName="x" * 80)]})
    assert await sent(scene) == [write(ANNA, LastName="x" * 80)]


async def test_a_replay_of_a_delivered_event_sends_only_what_differs(scene):
    event_id = await scene.keep("a")
    await plan(scene, event_id, {CRM: [write(ANNA, A__c=1, B__c=2)], "strex": [price(100)]}, mapping=OLD)
    for sink in (CRM, "strex"):
        (unit,) = await scene.claim(sink=sink)
        await scene.settle(unit, done=tuple(range(len(unit.operations))))
    await scene.store.inbox.replay(event_id)
    await plan(scene, event_id, {CRM: [write(ANNA, A__c=1, B__c=3)], "strex": [price(100)]})
    assert await sent(scene) == [write(ANNA, B__c=3)]
    assert await sent(scene, "strex") == []


async def test_a_replay_without_a_difference_sends_nothing(scene):
    event_id = await scene.unit("a")
    (unit,) = await scene.claim()
    await scene.settle(unit, done=(0,))
    await scene.store.inbox.replay(event_id)
    await plan(scene, event_id, {CRM: [write(ANNA)]})
    assert scene.state(event_id) is EventState.DELIVERED
    assert await sent(scene) == []


@pytest.mark.parametrize(("done", "state"), [((), EventState.UNMATCHED), ((0,), EventState.DELIVERED)])
async def test_a_dead_letter_without_operations_in_the_new_plan_is_finished(scene, done, state):
    event_id = await dead(scene, [write("g-1"), write(ANNA)], done=done)
    await retry(scene)
    await plan(scene, event_id, {}, state=EventState.UNMATCHED)
    assert scene.state(event_id) is state
    assert await sent(scene) == []


async def test_a_sink_that_the_corrected_mappings_add_gets_its_unit(scene):
    event_id = await dead(scene, [write(ANNA)])
    await retry(scene)
    await plan(scene, event_id, {CRM: [write(ANNA, A__c=2)], "strex": [price(50)]})
    (crm,) = await scene.claim()
    await scene.settle(crm)
    assert scene.state(event_id) is EventState.DELIVERING
    (command,) = await scene.claim(sink="strex")
    await scene.settle(command)
    assert scene.state(event_id) is EventState.DELIVERED


async def test_a_unit_that_is_being_delivered_is_not_changed(scene):
    """It may be settled while the event waits for its plan: the event stays pending, and is planned."""
    event_id = await scene.keep("a")
    await plan(scene, event_id, {CRM: [write(ANNA)], "strex": [price(100)]}, mapping=OLD)
    (crm,) = await scene.claim()
    (command,) = await scene.claim(sink="strex")
    await scene.settle(crm, UnitState.DEAD, reason=Reason.TOO_LONG)
    await retry(scene)
    await scene.settle(command)
    assert scene.state(event_id) is EventState.PENDING
    await plan(scene, event_id, {CRM: [write(ANNA, A__c=2)], "strex": [price(200)]})
    assert await sent(scene) == [write(ANNA, A__c=2)]
    assert await sent(scene, "strex") == []


async def test_a_retried_dead_letter_does_not_overwrite_newer_fields(scene):
    event_id = await dead(scene, [write(ANNA, A__c=1, B__c=1)])
    newer = await scene.keep("b")
    await plan(scene, newer, {CRM: [write(ANNA, A__c=2)]})
    (unit,) = await scene.claim()
    await scene.settle(unit)
    await retry(scene)
    await plan(scene, event_id, {CRM: [write(ANNA, A__c=1, B__c=1)]})
    (late,) = await scene.claim()
    assert late.late
    assert [(one.field, one.key) for one in late.newer] == [("A__c", ANNA)]


async def test_a_late_command_is_claimed_with_the_newer_command(scene):
    event_id = await scene.keep("a")
    await plan(scene, event_id, {"strex": [price(100)]}, mapping=OLD)
    (old,) = await scene.claim(sink="strex")
    await scene.settle(old, UnitState.DEAD, reason=Reason.SERVER_ERROR)
    newer = await scene.keep("b")
    await plan(scene, newer, {"strex": [price(200)]})
    (unit,) = await scene.claim(sink="strex")
    await scene.settle(unit)
    await retry(scene)
    await plan(scene, event_id, {"strex": [price(100)]})
    (late,) = await scene.claim(sink="strex")
    assert [(one.object, one.key_field, one.key) for one in late.newer] == [price(200).record]


async def test_an_opt_out_is_open_until_the_new_plan_is_delivered(scene):
    event_id = await dead(scene, [flag(Text__c="x" * 90)], decisions=(decision(),))
    await retry(scene)
    assert owed(scene) == [CRM]
    await plan(scene, event_id, {CRM: [flag(Text__c="x" * 80)]}, decisions=(decision(),))
    assert owed(scene) == [CRM]
    (unit,) = await scene.claim()
    await scene.settle(unit)
    assert owed(scene) == []


async def test_an_opt_out_that_the_new_plan_does_not_send_is_open_without_a_rule(scene):
    event_id = await dead(scene, [flag()], decisions=(decision(),))
    await retry(scene)
    await plan(scene, event_id, {}, state=EventState.UNMATCHED, decisions=(decision(),), not_reached=(CRM,))
    assert owed(scene) == [f"{CRM} (no rule)"]


async def test_a_superseded_opt_out_is_no_longer_open(scene):
    event_id = await dead(scene, [flag()], decisions=(decision(),))
    await retry(scene)
    await plan(scene, event_id, {}, state=EventState.SUPERSEDED)
    assert (owed(scene), scene.state(event_id)) == ([], EventState.SUPERSEDED)


async def test_a_replay_does_not_close_an_opt_out_that_automation_reverted(scene):
    event_id = await scene.keep("a")
    await plan(scene, event_id, {CRM: [flag()]}, decisions=(decision(),))
    (unit,) = await scene.claim()
    await scene.settle(unit, done=(0,))
    await scene.rows("UPDATE obligations SET closed_at = NULL, failed = ?", f"{TAKEN_BACK}: 003")
    await scene.store.inbox.replay(event_id)
    await plan(scene, event_id, {CRM: [flag()]}, decisions=(decision(),))
    assert owed(scene) == [CRM]


async def test_a_replanned_decision_is_in_the_ledger_once_and_new_ones_are_added(scene):
    event_id = await dead(scene, [flag()], decisions=(decision(),))
    await retry(scene)
    await plan(scene, event_id, {CRM: [flag(B__c=1)]}, decisions=(decision(),))
    words = [(one.phase, one.decision.word) for one in scene.store.consents.of(ANNA)]
    assert words == [(Phase.DECIDED, Verdict.OPT_OUT)]
    (unit,) = await scene.claim()
    await scene.settle(unit)
    other = await scene.unit("b")
    (unit,) = await scene.claim()
    await scene.settle(unit)
    await scene.store.inbox.replay(other)
    await plan(scene, other, {CRM: [flag()]}, decisions=(decision(),))
    assert [one.event_id for one in scene.store.consents.of(ANNA)] == [event_id, other]
    assert owed(scene) == [CRM]


@pytest.mark.parametrize("how", ["open", "parked", "discarded", "pending"])
async def test_an_event_that_is_not_finished_is_not_replayed(scene, how):
    event_id = await scene.keep("a")
    if how != "pending":
        await scene.plan(event_id, parked=how in {"parked", "discarded"})
    if how == "discarded":
        await scene.store.dead_letters.discard([event_id], now=scene.now)
    before = scene.state(event_id)
    with pytest.raises(ValueError, match=f"event {event_id}"):
        await scene.store.inbox.replay(event_id)
    assert scene.state(event_id) is before


async def test_a_new_plan_restarts_attempts_and_their_time(scene):
    event_id = await dead(scene, [write(ANNA)])
    await scene.later(days=3)
    await retry(scene)
    await plan(scene, event_id, {CRM: [write(ANNA, A__c=2)]})
    (unit,) = await scene.claim()
    assert (unit.attempts, unit.first_try_at) == (0, scene.now)
    await scene.store.outbox.settle(
        [Settlement(unit_id=unit.id, state=UnitState.RESTING, delay=timedelta(seconds=5))], now=scene.now
    )
    assert scene.state(event_id) is EventState.DELIVERING
