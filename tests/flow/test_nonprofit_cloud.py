"""Nonprofit Cloud: Strex's reports become person accounts, commitments and transactions, once each; and the way back."""

import pytest
from flow.sets import DONOR, NO_EFFECT, SUBSCRIPTION, a_world_of, emitted, look, only, report, subscribed, told_at_once

COMMITMENT, SCHEDULE, GIFT = "GiftCommitment", "GiftCommitmentSchedule", "GiftTransaction"


@pytest.fixture
async def world(tmp_path, secrets):
    async with a_world_of("nonprofit-cloud", tmp_path) as made:
        yield made


async def test_a_monthly_gift_is_one_transaction_under_one_commitment_of_the_person(world):
    await emitted(
        world, report("Subscribe", transaction="t-0"), report("Recurring"), report("Recurring", transaction="t-2")
    )
    donor = only(await world.records("Account"), SMS_Key__c=DONOR, PersonMobilePhone=DONOR, SMS_Opt_Out__c=False)
    commitment = only(
        await world.records(COMMITMENT),
        DonorId=donor["Id"],
        Status="Active",
        RecurrenceType="OpenEnded",
        SMS_Monthly_Amount__c=200,
        SMS_Phone__c=DONOR,
    )
    only(
        await world.records(SCHEDULE),
        GiftCommitmentId=commitment["Id"],
        TransactionAmount=200,
        TransactionPeriod="Monthly",
        TransactionInterval=1,
    )
    gifts = await world.records(GIFT)
    assert {one["SMS_Transaction__c"]: one["Status"] for one in gifts} == {"t-1": "Paid", "t-2": "Paid"}
    for gift in gifts:
        expected = {"DonorId": donor["Id"], "GiftCommitmentId": commitment["Id"], "CurrentAmount": 200}
        assert gift.items() >= expected.items()
    events = await world.records("SMS_Event__c")
    assert {one["Account__c"] for one in events} == {donor["Id"]}
    assert await world.records("Contact") == []


@pytest.mark.parametrize("emit", [emitted, told_at_once], ids=["one by one", "in one batch"])
@pytest.mark.parametrize("order", [("Ok", "Reversed"), ("Reversed", "Ok")], ids="-".join)
async def test_a_reversed_gift_stays_refunded_in_any_order_of_reports(world, emit, order):
    bodies = {"Ok": report("Recurring"), "Reversed": report("Recurring", transaction="-t-1", price=None)}
    await emit(world, *(bodies[each] for each in order))
    donor = only(await world.records("Account"))
    only(await world.records(GIFT), Status="Fully Refunded", OriginalAmount=200, DonorId=donor["Id"])


@pytest.mark.parametrize("emit", [emitted, told_at_once], ids=["one by one", "in one batch"])
async def test_a_late_gift_does_not_restart_an_ended_commitment(world, emit):
    await emit(world, report("Unsubscribe", transaction="t-0", price=None), report("Recurring"))
    commitment = only(await world.records(COMMITMENT), Status="Closed")
    only(await world.records(GIFT), GiftCommitmentId=commitment["Id"], Status="Paid")
    only(await world.records("Account"), SMS_Opt_Out__c=True)


async def test_a_donor_who_subscribes_again_gets_a_new_commitment(world):
    await emitted(
        world,
        report("Recurring"),
        report("Unsubscribe", transaction="t-2", price=None),
        report("Subscribe", transaction="t-3", subscription="s-2"),
        report("Recurring", transaction="t-4", subscription="s-2"),
    )
    states = {one["SMS_Subscription__c"]: one["Status"] for one in await world.records(COMMITMENT)}
    assert states == {SUBSCRIPTION: "Closed", "s-2": "Active"}
    only(await world.records("Account"), SMS_Opt_Out__c=False)


async def test_a_new_amount_by_sms_is_written_to_commitment_and_schedule_without_an_echo(world):
    await emitted(world, report("Recurring"), report("AlterPrice", transaction="t-2", price=350))
    only(await world.records(COMMITMENT), SMS_Monthly_Amount__c=350)
    only(await world.records(SCHEDULE), TransactionAmount=350)
    await look(world)
    assert await world.orders() == []


async def test_a_payment_that_did_not_succeed_makes_no_gift(world):
    failed = [report("Recurring", transaction=f"t-{status}", status=status) for status in ("Failed", "Sent")]
    nothing = [report(name, transaction=f"t-{name}") for name in NO_EFFECT]
    await emitted(world, *failed, *nothing, report("AlterPrice", transaction="t-9", status="Failed"))
    assert await world.records(GIFT) == await world.records(COMMITMENT) == await world.records(SCHEDULE) == []
    assert len(await world.records("SMS_Event__c")) == len(failed) + len(nothing)


async def test_an_opt_out_by_sms_sets_the_flag_of_the_person(world):
    await subscribed(world, "KATT")
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    only(await world.records("Account"), SMS_Opt_Out__c=True)


async def test_an_opt_out_in_salesforce_ends_every_subscription(world):
    await subscribed(world, "KATT", "MYKEYWORD")
    donor = only(await world.records("Account"))
    await world.person("Account", Id=donor["Id"], SMS_Opt_Out__c=True)
    await look(world)
    orders = [(one["action"], one["keyword"], one["answer"]) for one in await world.orders()]
    assert sorted(orders) == [("unsubscribe", "KATT", 200), ("unsubscribe", "MYKEYWORD", 200)]


async def test_closing_a_commitment_ends_only_its_own_subscription(world):
    joined = await subscribed(world, "KATT", "MYKEYWORD")
    await emitted(world, report("Recurring", subscription=joined))
    commitment = only(await world.records(COMMITMENT))
    await world.person(COMMITMENT, Id=commitment["Id"], Status="Closed")
    await look(world)
    (order,) = await world.orders()
    assert (order["action"], order["keyword"], order["answer"]) == ("unsubscribe", "MYKEYWORD", 200)
    only(await world.records("Account"), SMS_Opt_Out__c=False)


async def test_an_amount_that_a_person_changes_is_sent_to_strex_and_to_the_schedule(world):
    joined = await subscribed(world, "MYKEYWORD")
    await emitted(world, report("Recurring", subscription=joined))
    commitment = only(await world.records(COMMITMENT))
    await world.person(COMMITMENT, Id=commitment["Id"], SMS_Monthly_Amount__c=400)
    await look(world)
    (order,) = await world.orders()
    assert (order["action"], order["price"], order["answer"]) == ("changesubscriberprice", 400, 200)
    only(await world.records(SCHEDULE), TransactionAmount=400)
