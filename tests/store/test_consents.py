from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from connector.model.consent import Decision, Phase, Scope, Subscription
from connector.model.event import Verdict
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.states import EventState, UnitState
from connector.store.units import Confirmation, NewUnit, Planned, SideAnswer

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT = "+4790000001", "+4790000002"
CRM = "salesforce"


def decision(word=Verdict.OPT_OUT, phone=ANNA):
    return Decision(
        phone=Phone(phone),
        word=word,
        scope=Scope.SUBSCRIPTION,
        subscription=Subscription(provider="strex", short_number="2002", keyword="KATT"),
        origin="strex",
        occurred_at=None,
    )


def phases(scene, phone=ANNA):
    return [(entry.event_key, entry.phase, entry.sink) for entry in scene.store.consents.of(phone)]


def concerns_consent(scene, **about):
    return [
        (open_.event_key, open_.sink, open_.failed) for open_ in scene.store.consents.open_opt_outs(scene.now, **about)
    ]


async def test_a_decision_is_stored_unchanged_in_the_ledger(scene):
    await scene.unit("a", decisions=(decision(),))
    (entry,) = scene.store.consents.of(ANNA)
    assert (entry.event_id, entry.event_key, entry.phase, entry.decision) == (1, "a", Phase.DECIDED, decision())
    assert (entry.recorded_at, entry.sink, entry.of) == (NOW, None, None)


async def test_a_confirmation_is_added_for_each_decision_of_the_event(scene):
    await scene.unit("a", decisions=(decision(), decision(phone=BERIT)))
    (unit,) = await scene.claim()
    await scene.settle(unit, confirmations=(Confirmation(phase=Phase.CONFIRMED, detail="was not active"),))
    assert phases(scene) == [("a", Phase.DECIDED, None), ("a", Phase.CONFIRMED, CRM)]
    decided, confirmed = scene.store.consents.of(BERIT)
    assert (confirmed.of, confirmed.detail, confirmed.decision) == (decided.id, "was not active", decided.decision)


async def test_the_ledger_is_ordered_by_event_and_not_by_time_of_planning(scene):
    older = await scene.keep("older")
    await scene.unit("newer", decisions=(decision(),))
    await scene.plan(older, decisions=(decision(Verdict.OPT_IN),))
    assert [entry.event_key for entry in scene.store.consents.of(ANNA)] == ["older", "newer"]


async def test_many_ledgers_are_read_at_once(scene):
    await scene.unit("a", decisions=(decision(),))
    await scene.unit("b", decisions=(decision(phone=BERIT),), lane=BERIT)
    ledgers = scene.store.consents.of_many([ANNA, BERIT, "+4790000009"])
    assert {number: len(entries) for number, entries in ledgers.items()} == {ANNA: 1, BERIT: 1, "+4790000009": 0}
    assert ledgers[ANNA] == scene.store.consents.of(ANNA)
    assert scene.store.consents.opted_out(list(ledgers)) == [ANNA, BERIT]


async def test_an_opt_out_is_open_for_each_sink_until_it_confirms(scene):
    await scene.unit("a", sinks=(CRM, "strex"), decisions=(decision(),), urgent=True)
    assert sorted(concerns_consent(scene)) == [("a", CRM, None), ("a", "strex", None)]
    (unit,) = await scene.claim()
    await scene.settle(unit, confirmations=(Confirmation(phase=Phase.CONFIRMED),))
    assert concerns_consent(scene) == [("a", "strex", None)]


async def test_an_opt_in_is_never_an_open_opt_out(scene):
    await scene.unit("a", decisions=(decision(Verdict.OPT_IN),))
    assert concerns_consent(scene) == []


async def test_a_failed_opt_out_stays_open_until_a_retry_goes_through(scene):
    await scene.unit("a", decisions=(decision(),), urgent=True)
    (unit,) = await scene.claim()
    failed = Confirmation(phase=Phase.FAILED, detail="no such field")
    await scene.settle(unit, UnitState.DEAD, reason=Reason.CONFIGURATION, confirmations=(failed,))
    assert concerns_consent(scene) == [("a", CRM, "no such field")]
    await scene.store.dead_letters.retry([1], now=scene.now)
    (unit,) = await scene.claim()
    await scene.settle(unit, confirmations=(Confirmation(phase=Phase.CONFIRMED),))
    assert concerns_consent(scene) == []
    assert [phase for _, phase, _ in phases(scene)] == [Phase.DECIDED, Phase.FAILED, Phase.CONFIRMED]


async def test_the_age_of_an_open_opt_out_counts_from_its_arrival(scene):
    event = await scene.keep("a", received_at=NOW - timedelta(minutes=4))
    await scene.plan(event, decisions=(decision(),), urgent=True)
    assert concerns_consent(scene, older_than=timedelta(minutes=5)) == []
    await scene.later(minutes=1)
    (late,) = scene.store.consents.open_opt_outs(scene.now, older_than=timedelta(minutes=5))
    assert late.age == timedelta(minutes=5)


async def test_a_sink_that_needs_no_unit_confirms_with_the_plan(scene):
    await scene.keep("a")
    plan = Planned(
        event_id=1,
        state=EventState.DELIVERING,
        units=(NewUnit(sink=CRM, lane=ANNA, operations=(scene.write(ANNA),), urgent=True),),
        decisions=(decision(),),
        answers=(SideAnswer(sink="strex", phase=Phase.CONFIRMED),),
    )
    await scene.store.plans.commit([plan], now=NOW)
    assert phases(scene) == [("a", Phase.DECIDED, None), ("a", Phase.CONFIRMED, "strex")]
    assert concerns_consent(scene) == [("a", CRM, None)]
    await scene.store.consents.confirm(1, CRM, Phase.CONFIRMED, now=NOW)
    assert concerns_consent(scene) == []


async def test_a_discarded_opt_out_has_failed_and_is_no_longer_open(scene):
    await scene.unit("a", decisions=(decision(),), urgent=True, parked=True)
    assert concerns_consent(scene) == [("a", CRM, None)]
    await scene.store.dead_letters.discard(now=scene.now)
    assert concerns_consent(scene) == []
    assert [phase for _, phase, _ in phases(scene)] == [Phase.DECIDED, Phase.FAILED]


async def not_notified(scene, state=EventState.IGNORED, reason=None, units=()):
    """An opt-out that no rule has told to the CRM."""
    await scene.keep("a", phone=ANNA)
    plan = Planned(event_id=1, state=state, reason=reason, units=units, decisions=(decision(),), not_reached=(CRM,))
    await scene.store.plans.commit([plan], now=scene.now)


async def test_an_opt_out_that_no_rule_sends_is_open_at_once_whatever_its_age(scene):
    await not_notified(scene)
    (one,) = scene.store.consents.open_opt_outs(scene.now, older_than=timedelta(days=1))
    assert (one.event_id, one.sink, one.system, one.without_rule) == (1, f"{CRM} (no rule)", CRM, True)


async def test_a_delivery_without_consent_fields_does_not_close_an_opt_out(scene):
    await not_notified(scene, units=(NewUnit(sink=CRM, lane=ANNA, operations=(scene.write(ANNA),)),))
    (unit,) = await scene.claim()
    await scene.settle(unit, confirmations=(Confirmation(phase=Phase.CONFIRMED),))
    assert concerns_consent(scene) == [("a", f"{CRM} (no rule)", None)]


async def test_a_delivered_event_can_be_replayed_while_no_rule_sends_its_opt_out(scene):
    await not_notified(scene, units=(NewUnit(sink=CRM, lane=ANNA, operations=(scene.write(ANNA),)),))
    with pytest.raises(ValueError, match="event 1 is still being delivered"):
        await scene.store.inbox.replay(1, None)
    (unit,) = await scene.claim()
    await scene.settle(unit)
    await scene.store.inbox.replay(1, None)
    # The opt-out stays open until the new plan says to whom it goes.
    assert (scene.state("a"), concerns_consent(scene)) == (EventState.PENDING, [("a", f"{CRM} (no rule)", None)])
    with_flag = replace(scene.write(ANNA, A__c=1, Out__c=True), consent=("Out__c",))
    await scene.plan(1, decisions=(decision(),), urgent=True, operations=(with_flag,))
    assert concerns_consent(scene) == [("a", CRM, None)]
    (unit,) = await scene.claim()
    assert [dict(one.set) for one in unit.operations] == [{"Out__c": True}]
    await scene.settle(unit, confirmations=(Confirmation(phase=Phase.CONFIRMED),))
    assert concerns_consent(scene) == []
    # The ledger holds the decision once.
    assert [phase for _, phase, _ in phases(scene)] == [Phase.DECIDED, Phase.CONFIRMED]


async def test_an_opt_out_of_a_replanned_dead_letter_is_open_only_if_the_new_plan_says_so(scene):
    await not_notified(scene, EventState.DEAD, Reason.BAD_VALUE)
    assert (await scene.store.dead_letters.retry([1], now=scene.now)).planned_again == 1
    assert concerns_consent(scene) == []


async def test_a_parked_event_that_is_discarded_has_no_open_opt_out(scene):
    await not_notified(scene, EventState.DEAD, Reason.NEEDS_PERSON)
    assert await scene.store.dead_letters.discard([1], now=scene.now) == 1
    assert concerns_consent(scene) == []
