"""What a person decides about charges: each decision holds once, and its gift reaches the CRM once."""

import asyncio
import shutil
from datetime import date
from types import SimpleNamespace

import orjson
import pytest
from charging.scene import DAY, DONOR, HOUR, NAME, OTHER, a_scene, rules
from scripted_http import ScriptedHttp

from connector.admin.charges import charges_approve, charges_list, charges_preview, charges_resolve
from connector.model.errors import ConnectorError
from connector.model.http import HttpReply
from connector.store.restore import restore
from connector.store.store import Store

pytestmark = pytest.mark.slow


def context(scene):
    """What the commands need of a daemon."""
    return SimpleNamespace(
        store=scene.store, now=scene.clock.now, providers={NAME: SimpleNamespace(charger=scene.runner._charger)}
    )


async def resolve(scene, decision, *ids, **more):
    ids = list(ids) or [charge.id for charge in scene.charges() if charge.state == "in_doubt"]
    document = await charges_resolve(context(scene), {"ids": ids, "decision": decision} | more)
    await scene.plan_charges()
    return document


async def backed_up(scene):
    """A copy of the database as it is now."""
    await scene.store.close()
    copy = scene.path.with_name("backup.db")
    shutil.copy(scene.path, copy)
    scene.store = Store.open(scene.path)
    scene.start()
    return copy


async def restored(scene, copy):
    """The database is replaced with the copy, an hour later."""
    await scene.store.close()
    scene.clock.go(HOUR)
    restore(copy, scene.path, now=scene.clock.now())
    scene.store = Store.open(scene.path)
    scene.start()
    await scene.run()
    await scene.approve()
    await scene.run()


async def in_doubt(scene, *phones, lost="after"):
    """Donors whose charges for February are in doubt."""
    for phone in phones or (DONOR,):
        await scene.join(phone)
    await scene.until(date(2026, 2, 1))
    scene.script(lost=lost, times=len(phones) or 1)
    await scene.approve()
    await scene.run()
    assert {charge.state for charge in scene.charges()} == {"in_doubt"}
    return [charge.id for charge in scene.charges()]


async def test_a_gift_of_before_a_restore_is_reported_with_its_amount(scene):
    await scene.join(amount=150)
    await scene.until(date(2026, 1, 31))
    copy = await backed_up(scene)
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    scene.reported.clear()
    await restored(scene, copy)
    assert scene.states() == [("2026-02", "in_doubt")]
    await resolve(scene, "taken", transaction="t-9")
    (event,) = scene.reported
    assert (event.price, event.transaction_id, event.result) == (150, "t-9", "ok")


async def test_a_gift_is_reported_although_the_same_attempt_was_reported_as_failed(scene):
    await scene.join()
    await scene.until(date(2026, 2, 1))
    scene.script(status="NO_CREDIT")
    await scene.approve()
    await scene.run()
    copy = await backed_up(scene)  # the charge is to be tried again on the 4th
    await scene.until(date(2026, 2, 4))
    assert scene.states() == [("2026-02", "taken")]
    await scene.until(date(2026, 2, 5))
    scene.reported.clear()
    await restored(scene, copy)
    await resolve(scene, "taken")
    assert [event.result for event in scene.reported] == ["ok"]


async def test_two_people_who_decide_at_once_do_not_both_decide(scene):
    (charge,) = await in_doubt(scene, lost="before")
    answers = await asyncio.gather(
        resolve(scene, "again", charge), resolve(scene, "taken", charge), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, ConnectorError)]
    assert len(refused) == 1
    assert "meanwhile" in str(refused[0])
    await scene.run()
    assert len(scene.sends) <= 2


async def test_an_id_that_is_named_twice_is_decided_once(scene):
    (charge,) = await in_doubt(scene, lost="before")
    assert (await resolve(scene, "again", charge, charge))["resolved"] == [charge]
    assert [entry.state for entry in scene.store.charges.log(charge)].count("due") == 2  # when planned, and now


async def test_a_decision_about_several_charges_applies_to_all_or_none(scene):
    first, second = await in_doubt(scene, DONOR, OTHER)
    await resolve(scene, "taken", first)
    with pytest.raises(ConnectorError, match="nothing is to be decided"):
        await resolve(scene, "not-taken", second, first)
    assert [charge.state for charge in scene.charges()] == ["taken", "in_doubt"]


@pytest.mark.parametrize("decision", ["ask", "taken"])
async def test_the_transaction_of_another_charge_is_refused(scene, decision):
    first, second = await in_doubt(scene, DONOR, OTHER)
    await resolve(scene, "taken", first, transaction="T-1")
    with pytest.raises(ConnectorError, match=f"that of charge {first}"):
        await resolve(scene, decision, second, transaction="t-1")


async def test_the_transaction_of_the_window_is_refused(scene):
    (charge,) = await in_doubt(scene)
    window = scene.charges()[0].agreement.subscription_id
    with pytest.raises(ConnectorError, match="window"):
        await resolve(scene, "ask", charge, transaction=window)


async def test_a_transaction_may_have_blanks_around_it(scene):
    (charge,) = await in_doubt(scene)
    await resolve(scene, "taken", charge, transaction="  t-1 ")
    assert scene.charges()[0].transaction_id == "t-1"


@pytest.mark.parametrize("transaction", ["", " ", "a\nb", "x" * 201])
async def test_an_invalid_transaction_id_is_refused(scene, transaction):
    (charge,) = await in_doubt(scene)
    with pytest.raises(ConnectorError, match="transaction"):
        await resolve(scene, "taken", charge, transaction=transaction)


async def test_a_donor_who_has_opted_out_is_not_charged_again_by_a_decision(scene):
    (charge,) = await in_doubt(scene, lost="before")
    await scene.stop()
    await resolve(scene, "again", charge)
    await scene.run()
    assert scene.taken == []
    assert scene.states() == [("2026-02", "skipped")]


async def test_not_taken_does_not_count_against_the_donor(scene):
    await scene.join()
    for month in (2, 3, 4):
        scene.script(lost="before")
        await scene.until(date(2026, month, 1))
        await scene.approve()
        await scene.run()
        await resolve(scene, "not-taken")
    (agreement,) = scene.store.agreements.of(NAME)
    assert (agreement.failed_periods, agreement.ended_at) == (0, None)


@pytest.mark.parametrize("day", ["9999-12-31", "2028-01-01", "2027-02-30", "2026-3-1", "tomorrow"])
async def test_a_preview_of_a_far_or_invalid_day_is_refused(scene, day):
    await scene.join()
    for command in (charges_preview, charges_approve):
        with pytest.raises(ConnectorError):
            await command(context(scene), {"date": day})


async def test_a_preview_says_that_the_run_waits_after_days_without_one(scene):
    await in_doubt(scene)
    scene.clock.go(10 * DAY)
    assert "the last run was on 2026-02-01" in (await charges_preview(context(scene), {}))["waits"]


async def test_an_approval_in_advance_counts_only_charges(tmp_path):
    async with a_scene(tmp_path, rules(day=1)) as scene:
        await scene.join(DONOR)
        await scene.until(date(2026, 1, 22))
        await scene.join(OTHER)  # its payment counts for February
        document = await charges_approve(context(scene), {"date": "2026-02-01"})
        assert document["size"] == 1


@pytest.mark.parametrize("period", ["2026", "march", "2026-13", "2026-3", "2026-03-01"])
async def test_an_invalid_period_is_refused(scene, period):
    with pytest.raises(ConnectorError, match="2026-03"):
        await charges_list(context(scene), {"period": period})


async def test_an_answer_that_names_an_earlier_transaction_is_in_doubt(scene):
    await scene.join()
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    earlier = scene.charges()[0].transaction_id
    for name, said in ((earlier, "charge 1"), ("WINDOW-1", "the window")):
        await scene.until(date(2026, len(scene.charges()) + 2, 1) - DAY)
        data = {"price": 100, "transactionId": name, "statusCode": "DELIVERED", "recipient": DONOR.lstrip("+")}
        body = orjson.dumps({"status": True, "code": 0, "data": data})
        scene.start(http=ScriptedHttp(HttpReply(status=200, headers={}, body=body)))
        scene.clock.go(DAY)
        await scene.run()
        charge = scene.charges()[-1]
        assert (charge.state, charge.transaction_id) == ("in_doubt", None)
        assert said in charge.detail
