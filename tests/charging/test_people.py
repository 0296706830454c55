"""Who must not be charged, whatever the reason that stands in the store."""

from datetime import date
from decimal import Decimal

import pytest
from charging.scene import DAY, DONOR, HOUR, NAME, OTHER, SHORT, SUBSCRIPTION, a_scene, rules
from msgspec.structs import replace

from connector.model.consent import Scope
from connector.model.event import Verdict
from connector.model.phone import Phone
from connector.model.states import EventState
from connector.store.agreements import NewAmount, change_amounts
from connector.store.records import ShadowWrite, write_shadows

pytestmark = pytest.mark.slow


async def charged_once(scene):
    await scene.join()
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    await scene.until(date(2026, 2, 27))
    assert len(scene.taken) == 1


async def record(scene, crm="salesforce", phone=DONOR, record_id="003", *, out=True):
    shadow = ShadowWrite(
        crm=crm, object="Contact", record_id=record_id, fields={"SMS_Opt_Out__c": out}, phone=phone, opted_out=out
    )
    await scene.store.writer.run(lambda connection: write_shadows(connection, [shadow], scene.clock.now()))


async def uncharged(scene, state="skipped"):
    await scene.until(date(2026, 3, 3))
    assert len(scene.taken) == 1
    assert scene.states()[-1] == ("2026-03", state), scene.charges()[-1].detail


async def test_the_flag_of_either_crm_counts(scene):
    await charged_once(scene)
    await record(scene, out=False)
    await record(scene, "dynamics", record_id="a1")
    await uncharged(scene)
    assert "dynamics.Contact" in scene.charges()[-1].detail


async def test_one_flagged_contact_of_two_with_the_number_counts(scene):
    await charged_once(scene)
    await record(scene, record_id="1", out=False)
    await record(scene, record_id="2")
    await uncharged(scene)


@pytest.mark.parametrize("state", [EventState.DEAD, EventState.PENDING, EventState.DELIVERING])
@pytest.mark.parametrize("verdict", [Verdict.OPT_OUT, Verdict.MAYBE_STOP])
async def test_an_opt_out_that_waits_for_a_person_or_a_crm_holds_the_charge(scene, state, verdict):
    await charged_once(scene)
    event_id, event = await scene.keep("text", DONOR, verdict=verdict)
    if state is not EventState.PENDING:
        await scene.plan(event_id, event, state=state)
    await uncharged(scene, "due")


async def test_a_stop_through_another_provider_for_everything_ends_the_charges(scene):
    await charged_once(scene)
    await scene.stop(scope="everything")
    await uncharged(scene)


async def test_a_stop_of_another_keyword_stops_nothing(scene):
    await charged_once(scene)
    await scene.stop(subscription=replace(SUBSCRIPTION, keyword="HUND", service_id="s-2"))
    await scene.until(date(2026, 3, 3))
    assert len(scene.taken) == 2


async def test_an_opt_in_of_the_crm_after_a_stop_does_not_start_the_charges_again(scene):
    await charged_once(scene)
    await scene.stop()
    event_id, event = await scene.keep("again", DONOR, verdict=Verdict.OPT_IN)
    await scene.plan(event_id, event, scene.decision(DONOR, Verdict.OPT_IN, Scope.SUBSCRIPTION, SUBSCRIPTION))
    await uncharged(scene)


async def forget(scene):
    """The person is forgotten: asked for, and erased in as many steps as it takes."""
    await scene.store.forgetting.ask(Phone(DONOR), now=scene.clock.now())
    return await scene.store.forgetting.erase(Phone(DONOR), now=scene.clock.now(), recognise=72 * HOUR)


async def test_a_forgotten_donor_is_not_charged_again(scene):
    await charged_once(scene)
    assert not (await forget(scene)).waits
    await scene.until(date(2026, 4, 2))
    assert len(scene.taken) == 1
    assert scene.states() == [("2026-02", "taken")]


async def test_a_retry_of_a_forgotten_donor_is_skipped(scene):
    await scene.join()
    await scene.until(date(2026, 2, 1))
    scene.script(status="NO_CREDIT")
    await scene.approve()
    await scene.run()
    assert not (await forget(scene)).waits
    await scene.until(date(2026, 2, 28))
    assert (scene.taken, scene.states()) == ([], [("2026-02", "skipped")])


async def test_a_donor_is_forgotten_when_the_charge_that_is_asked_about_is_final(scene):
    await scene.join()
    await scene.until(date(2026, 2, 1))
    scene.script(status="ACKNOWLEDGED", then="DELIVERED", asks=3)
    await scene.approve()
    await scene.runner.step()
    assert (await forget(scene)).waits.charges == (1,)
    for _ in range(5):
        scene.clock.go(HOUR)
        await scene.run()
    assert scene.states() == [("2026-02", "taken")]
    assert [event.result for event in scene.reported] == ["ok"]
    assert not (await forget(scene)).waits


async def test_a_forgotten_donor_who_joins_again_in_the_month_of_a_charge_is_charged_from_the_next(scene):
    await charged_once(scene)
    await forget(scene)
    await scene.join(amount=60)
    await scene.until(date(2026, 4, 2))
    assert [(amount, at.month) for _, amount, at in scene.taken] == [(100, 2), (60, 4)]  # on 1 March: 2 days after


async def test_an_offer_without_recurring_charges_nobody_and_says_why(scene):
    await charged_once(scene)
    scene.rules = rules(offers={})
    scene.start()
    await scene.until(date(2026, 3, 3))
    assert len(scene.taken) == 1


async def test_a_planned_charge_of_an_offer_that_was_removed_is_skipped(scene):
    await scene.join()
    await scene.until(date(2026, 2, 1))
    scene.script(status="NO_CREDIT")
    await scene.approve()
    await scene.run()
    scene.rules = rules(offers={})
    scene.start()
    await scene.until(date(2026, 2, 10))
    assert scene.states() == [("2026-02", "skipped")]
    assert "no offer" in scene.charges()[-1].detail


async def test_an_offer_that_comes_back_charges_only_the_newest_month(scene):
    await charged_once(scene)
    scene.rules = rules(offers={})
    scene.start()
    await scene.until(date(2026, 4, 20))
    scene.rules = rules()
    scene.start()
    await scene.until(date(2026, 5, 1))
    await scene.approve()
    await scene.run()
    assert scene.states() == [
        ("2026-02", "taken"),
        ("2026-03", "skipped"),
        ("2026-04", "skipped"),
        ("2026-05", "taken"),
    ]


@pytest.mark.parametrize(("before", "after"), [(1, 28), (28, 1), (15, None), (None, 15)])
async def test_another_day_in_the_config_charges_no_month_twice(tmp_path, before, after):
    async with a_scene(tmp_path, rules(day=before)) as scene:
        await scene.join()
        await scene.until(date(2026, 2, 28))
        await scene.approve()
        await scene.run()
        await scene.until(date(2026, 3, 10))
        await scene.approve()
        scene.rules = rules(day=after)
        scene.start()
        for _ in range(100):
            scene.clock.go(DAY)
            await scene.run()
            await scene.approve()
            await scene.run()
        months = [at.month for _, _, at in scene.taken]
        assert len(months) == len(set(months)), months


async def test_another_amount_in_the_config_is_charged_from_then_on(scene):
    await charged_once(scene)
    scene.rules = rules(amount=Decimal(70))
    scene.start()
    await scene.until(date(2026, 3, 1))
    assert [amount for _, amount, _ in scene.taken] == [100, 70]


async def test_two_numbers_or_two_keywords_are_charged_separately(scene):
    await scene.join(DONOR, 100)
    await scene.join(OTHER, 50)
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    assert sorted((phone, amount) for phone, amount, _ in scene.taken) == [(DONOR, 100), (OTHER, 50)]


@pytest.mark.parametrize("written", ["KÅL", "kål", "Ka\u030al", "KAL"])
async def test_a_new_amount_reaches_a_keyword_however_it_is_written(scene, written):
    await scene.join(keyword="KÅL")
    new = NewAmount(provider=NAME, msisdn=DONOR, short_number=SHORT, keyword=written, amount=Decimal(70), event_id=1000)
    await scene.store.writer.run(lambda connection: change_amounts(connection, [new]))
    (agreement,) = scene.store.agreements.of(NAME)
    assert agreement.amount == (100 if written == "KAL" else 70)


async def test_an_older_amount_does_not_replace_a_newer_one(scene):
    await scene.join()
    for event_id, amount in ((1000, 70), (999, 50)):
        new = NewAmount(
            provider=NAME, msisdn=DONOR, short_number=SHORT, keyword="katt", amount=Decimal(amount), event_id=event_id
        )
        await scene.store.writer.run(lambda connection, new=new: change_amounts(connection, [new]))
    (agreement,) = scene.store.agreements.of(NAME)
    assert agreement.amount == 70
