"""An org with NPSP: Strex's reports become recurring donations, opportunities and payments, once each; and the way back."""

import pytest
from flow.sets import DONOR, NO_EFFECT, SUBSCRIPTION, a_world_of, emitted, look, only, report, subscribed, told_at_once

RD, GIFT, PAYMENT = "npe03__Recurring_Donation__c", "Opportunity", "npe01__OppPayment__c"
LOST = {"npe01__Paid__c": False, "npe01__Written_Off__c": True, "npe01__Payment_Amount__c": 200}
WON = {"npe01__Paid__c": True, "npe01__Written_Off__c": False, "npe01__Payment_Amount__c": 200}


@pytest.fixture
async def world(tmp_path, secrets):
    async with a_world_of("npsp", tmp_path) as made:
        yield made


async def test_a_monthly_gift_is_one_opportunity_with_one_payment_under_one_recurring_donation(world):
    await emitted(
        world, report("Subscribe", transaction="t-0"), report("Recurring"), report("Recurring", transaction="t-2")
    )
    contact = only(await world.records(), SMS_Key__c=DONOR, SMS_Opt_Out__c=False)
    only(await world.records("Account"), Id=contact["AccountId"], Name="Unknown Household")
    donation = only(
        await world.records(RD),
        npe03__Contact__c=contact["Id"],
        npe03__Amount__c=200,
        npsp__Status__c="Active",
        SMS_Phone__c=DONOR,
        SMS_Keyword__c="MYKEYWORD",
    )
    gifts = await world.records(GIFT)
    assert {one["SMS_Transaction__c"]: one["StageName"] for one in gifts} == {"t-1": "Closed Won", "t-2": "Closed Won"}
    for gift in gifts:
        assert gift["npsp__Primary_Contact__c"] == contact["Id"]
        assert gift["AccountId"] == contact["AccountId"]
        assert gift["npe03__Recurring_Donation__c"] == donation["Id"]
    paid = await world.records(PAYMENT)
    assert {one["npe01__Opportunity__c"] for one in paid} == {one["Id"] for one in gifts}
    assert [one.items() >= WON.items() for one in paid] == [True, True]


@pytest.mark.parametrize("emit", [emitted, told_at_once], ids=["one by one", "in one batch"])
@pytest.mark.parametrize("order", [("Ok", "Reversed"), ("Reversed", "Ok")], ids="-".join)
async def test_a_reversed_gift_stays_lost_in_any_order_of_reports(world, emit, order):
    bodies = {"Ok": report("Recurring"), "Reversed": report("Recurring", transaction="-t-1", price=None)}
    await emit(world, *(bodies[each] for each in order))
    gift = only(await world.records(GIFT), StageName="Closed Lost", Amount=200, SMS_Transaction__c="t-1")
    assert gift["npsp__Primary_Contact__c"] == only(await world.records())["Id"]
    only(await world.records(PAYMENT), npe01__Opportunity__c=gift["Id"], **LOST)


@pytest.mark.parametrize("emit", [emitted, told_at_once], ids=["one by one", "in one batch"])
async def test_a_late_gift_does_not_restart_an_ended_recurring_donation(world, emit):
    await emit(world, report("Unsubscribe", transaction="t-0", price=None), report("Recurring"))
    donation = only(await world.records(RD), npsp__Status__c="Closed")
    assert donation["npsp__EndDate__c"] is not None
    only(await world.records(GIFT), npe03__Recurring_Donation__c=donation["Id"], StageName="Closed Won")
    only(await world.records(), SMS_Opt_Out__c=True)


async def test_a_donor_who_subscribes_again_gets_a_new_recurring_donation(world):
    await emitted(
        world,
        report("Recurring"),
        report("Unsubscribe", transaction="t-2", price=None),
        report("Subscribe", transaction="t-3", subscription="s-2"),
        report("Recurring", transaction="t-4", subscription="s-2"),
    )
    states = {one["SMS_Subscription__c"]: one["npsp__Status__c"] for one in await world.records(RD)}
    assert states == {SUBSCRIPTION: "Closed", "s-2": "Active"}
    only(await world.records(), SMS_Opt_Out__c=False)


async def test_a_new_amount_by_sms_is_written_to_the_recurring_donation_without_an_echo(world):
    await emitted(world, report("Recurring"), report("AlterPrice", transaction="t-2", price=350))
    only(await world.records(RD), npe03__Amount__c=350)
    await look(world)
    assert await world.orders() == []


async def test_a_payment_that_did_not_succeed_makes_no_gift(world):
    failed = [report("Recurring", transaction=f"t-{status}", status=status) for status in ("Failed", "Sent")]
    nothing = [report(name, transaction=f"t-{name}") for name in NO_EFFECT]
    await emitted(world, *failed, *nothing, report("AlterPrice", transaction="t-9", status="Failed"))
    assert await world.records(GIFT) == await world.records(PAYMENT) == await world.records(RD) == []
    assert len(await world.records("SMS_Event__c")) == len(failed) + len(nothing)


async def test_closing_a_recurring_donation_ends_only_its_own_subscription(world):
    joined = await subscribed(world, "KATT", "MYKEYWORD")
    await emitted(world, report("Recurring", subscription=joined))
    donation = only(await world.records(RD))
    await world.person(RD, Id=donation["Id"], npsp__Status__c="Closed")
    await look(world)
    (order,) = await world.orders()
    assert (order["action"], order["keyword"], order["answer"]) == ("unsubscribe", "MYKEYWORD", 200)
    only(await world.records(), SMS_Opt_Out__c=False)
    only(await world.records(RD), npsp__Status__c="Closed")


async def test_an_amount_that_a_person_changes_is_sent_to_strex(world):
    joined = await subscribed(world, "MYKEYWORD")
    await emitted(world, report("Recurring", subscription=joined))
    donation = only(await world.records(RD))
    await world.person(RD, Id=donation["Id"], npe03__Amount__c=400)
    await look(world)
    (order,) = await world.orders()
    assert (order["action"], order["keyword"], order["price"], order["answer"]) == (
        "changesubscriberprice",
        "MYKEYWORD",
        400,
        200,
    )
    only(await world.records(RD), npe03__Amount__c=400)


async def test_a_recurring_donation_without_a_subscription_sends_no_command(world):
    contact = await world.person(LastName="Ås", MobilePhone=DONOR)
    fields = {
        "npe03__Contact__c": contact,
        "npe03__Amount__c": 100,
        "npe03__Installment_Period__c": "Monthly",
        "npsp__InstallmentFrequency__c": 1,
        "npsp__Day_of_Month__c": "15",
    }
    donation = await world.person(RD, **fields)
    await look(world)
    await world.person(RD, Id=donation, npe03__Amount__c=120)
    await look(world)
    await world.person(RD, Id=donation, npsp__Status__c="Closed")
    await look(world)
    assert await world.orders() == []
    assert world.counts().keys() <= {"ignored"}


@pytest.mark.parametrize("mark", ["npsp__Deceased__c", "npsp__Do_Not_Contact__c"])
async def test_marking_a_contact_as_deceased_or_do_not_contact_ends_its_subscriptions(world, mark):
    await subscribed(world, "KATT", "MYKEYWORD")
    contact = only(await world.records())
    await world.person(Id=contact["Id"], **{mark: True})
    await look(world)
    orders = [(one["action"], one["keyword"], one["answer"]) for one in await world.orders()]
    assert sorted(orders) == [("unsubscribe", "KATT", 200), ("unsubscribe", "MYKEYWORD", 200)]
