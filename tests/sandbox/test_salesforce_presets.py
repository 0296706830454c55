"""Orgs with NPSP and with Nonprofit Cloud: their required fields, their rejections, and the records that NPSP creates."""

from datetime import date, timedelta

import pytest
from sandbox.test_salesforce_collections import refusal
from sandbox.test_salesforce_signin import signed_in

RD, PAYMENT = "npe03__Recurring_Donation__c", "npe01__OppPayment__c"
MONTHLY = {
    "npe03__Amount__c": 100,
    "npe03__Installment_Period__c": "Monthly",
    "npsp__InstallmentFrequency__c": 1,
    "npsp__Day_of_Month__c": "1",
    "npsp__DisableFirstInstallment__c": True,
}
WON = {"Name": "Gift", "StageName": "Closed Won", "CloseDate": "2026-01-02", "Amount": 100}
TODAY = date(2026, 1, 2)


@pytest.fixture
async def npsp():
    async with signed_in(preset="npsp") as org:
        yield org


@pytest.fixture
async def cloud():
    async with signed_in(preset="nonprofit-cloud") as org:
        yield org


async def refused(org, name, key, **fields):
    """The words with which the org refuses the record."""
    _, (result,) = await org.upsert(name, key, fields)
    return refusal(result)


async def written(org, name, key, **fields):
    _, (result,) = await org.upsert(name, key, fields)
    assert result["success"], result
    return result["id"]


async def test_a_contact_without_an_account_gets_a_household(npsp):
    contact = await written(npsp, "Contact", "SMS_Key__c", SMS_Key__c="k-1", LastName="Ås")
    await written(npsp, "Contact", "SMS_Key__c", SMS_Key__c="k-1", FirstName="Kari")
    (account,) = await npsp.rows("Account")
    (row,) = await npsp.rows("Contact")
    assert (account["Name"], row["AccountId"], row["Id"]) == ("Ås Household", account["Id"], contact)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"npe03__Amount__c": 0}, "Enter a valid Amount. The Amount cannot be zero, negative, or blank."),
        ({"npe03__Amount__c": None}, "Enter a valid Amount. The Amount cannot be zero, negative, or blank."),
        ({"npe03__Installment_Period__c": "Hourly"}, "Hourly is not a supported value for Installment Period."),
        ({"npsp__InstallmentFrequency__c": 21}, "Installment Frequency is required. Enter a value between 1 and 20."),
        ({"npsp__InstallmentFrequency__c": None}, "Installment Frequency is required."),
        ({"npsp__Day_of_Month__c": None}, "You must enter a value for Day of Month when"),
        ({"npsp__Day_of_Month__c": "31"}, "31 is not a supported value for Day of Month."),
        ({"npe03__Contact__c": None}, "You must select an Account or Contact."),
    ],
)
async def test_a_recurring_donation_is_refused_in_the_words_of_npsp(npsp, change, words):
    (contact,) = await npsp.load("Contact", {"LastName": "Ås"})
    whole = {"SMS_Subscription__c": "s-1", "npe03__Contact__c": contact, **MONTHLY, **change}
    code, message = await refused(npsp, RD, "SMS_Subscription__c", **whole)
    assert code == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert message.startswith(words)


async def test_a_closed_recurring_donation_needs_no_amount_and_an_active_one_does(npsp):
    (contact,) = await npsp.load("Contact", {"LastName": "Ås"})
    whole = {**MONTHLY, "npe03__Amount__c": None, "npe03__Contact__c": contact}
    await written(npsp, RD, "SMS_Subscription__c", SMS_Subscription__c="s-1", npsp__Status__c="Closed", **whole)
    code, _ = await refused(npsp, RD, "SMS_Subscription__c", SMS_Subscription__c="s-1", npsp__Status__c="Active")
    assert code == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    code, _ = await refused(npsp, RD, "SMS_Subscription__c", SMS_Subscription__c="s-1", npsp__Status__c="Ended")
    assert code == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


async def test_the_donor_of_a_recurring_donation_with_gifts_cannot_change(npsp):
    contact, other = await npsp.load("Contact", {"LastName": "Ås"}, {"LastName": "Bø"})
    fields = {"SMS_Subscription__c": "s-1", "npe03__Contact__c": contact, **MONTHLY}
    donation = await written(npsp, RD, "SMS_Subscription__c", **fields)
    await npsp.load("Opportunity", {**WON, "npe03__Recurring_Donation__c": donation})
    _, message = await refused(npsp, RD, "SMS_Subscription__c", SMS_Subscription__c="s-1", npe03__Contact__c=other)
    assert message.startswith("You can't change the Household Account or Contact")


async def test_a_new_recurring_donation_brings_an_installment_unless_it_says_no(npsp):
    (contact,) = await npsp.load("Contact", {"LastName": "Ås"})
    first = {"npe03__Contact__c": contact, **MONTHLY}
    await npsp.load(RD, first)
    assert await npsp.rows("Opportunity") == []
    await npsp.load(RD, {**first, "npsp__DisableFirstInstallment__c": False})
    (pledged,) = await npsp.rows("Opportunity")
    (scheduled,) = await npsp.rows(PAYMENT)
    assert (pledged["StageName"], pledged["npsp__Primary_Contact__c"]) == ("Pledged", contact)
    assert (scheduled["npe01__Opportunity__c"], scheduled["npe01__Paid__c"]) == (pledged["Id"], False)


async def test_a_gift_gets_its_payment_and_the_account_of_its_contact(npsp):
    (contact,) = await npsp.load("Contact", {"LastName": "Ås"})
    await npsp.load("Opportunity", {**WON, "npsp__Primary_Contact__c": contact})
    (gift,) = await npsp.rows("Opportunity")
    (account,) = await npsp.rows("Account")
    (paid,) = await npsp.rows(PAYMENT)
    assert gift["AccountId"] == account["Id"]
    assert (paid["npe01__Paid__c"], paid["npe01__Payment_Amount__c"]) == (True, 100)
    await npsp.load("Opportunity", {**WON, "npe01__Do_Not_Automatically_Create_Payment__c": True})
    assert len(await npsp.rows(PAYMENT)) == 1


async def test_a_lost_gift_writes_off_what_is_unpaid(npsp):
    (gift,) = await npsp.load("Opportunity", {**WON, "StageName": "Pledged"})
    await npsp.load("Opportunity", {"Id": gift, "StageName": "Closed Lost"})
    (payment,) = await npsp.rows(PAYMENT)
    assert (payment["npe01__Paid__c"], payment["npe01__Written_Off__c"]) == (False, True)


async def test_a_payment_is_never_both_paid_and_written_off_and_keeps_its_gift(npsp):
    gift, other = await npsp.load("Opportunity", *[{**WON, "npe01__Do_Not_Automatically_Create_Payment__c": True}] * 2)
    fields = {"SMS_Transaction__c": "t-1", "npe01__Opportunity__c": gift, "npe01__Paid__c": True}
    await written(npsp, PAYMENT, "SMS_Transaction__c", **fields)
    code, message = await refused(
        npsp, PAYMENT, "SMS_Transaction__c", SMS_Transaction__c="t-1", npe01__Written_Off__c=True
    )
    assert (code, message[:46]) == (
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "A Payment can't be both paid and written off. Y"[:46],
    )
    code, _ = await refused(npsp, PAYMENT, "SMS_Transaction__c", SMS_Transaction__c="t-1", npe01__Opportunity__c=other)
    assert code == "INVALID_FIELD_FOR_INSERT_UPDATE"
    _, known = await npsp.call("GET", f"/sobjects/{PAYMENT}/describe")
    (master,) = (one for one in known["fields"] if one["name"] == "npe01__Opportunity__c")
    assert (master["createable"], master["updateable"], master["nillable"]) == (True, False, False)


async def a_donor(org):
    return await written(org, "Account", "SMS_Key__c", SMS_Key__c="k-1", FirstName="Kari", LastName="Ås")


def a_gift(donor, **more):
    return {
        "SMS_Transaction__c": "t-1",
        "Name": "Gift",
        "DonorId": donor,
        "OriginalAmount": 100,
        "PaymentMethod": "Unknown",
        "Status": "Paid",
        "TransactionDate": f"{TODAY}",
        "TransactionDueDate": f"{TODAY}",
        **more,
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"TransactionDate": None}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"OriginalAmount": -1}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"TransactionDueDate": None}, "REQUIRED_FIELD_MISSING"),
        ({"PaymentMethod": "SMS"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"CurrentAmount": 100}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ],
)
async def test_a_gift_transaction_is_refused(cloud, change, code):
    whole = a_gift(await a_donor(cloud), **change)
    assert (await refused(cloud, "GiftTransaction", "SMS_Transaction__c", **whole))[0] == code


@pytest.mark.parametrize(
    "change",
    [{"OriginalAmount": 200}, {"TransactionDate": "2026-02-02"}, {"DonorId": None}, {"Status": "Canceled"}],
)
async def test_a_paid_gift_transaction_keeps_what_it_says(cloud, change):
    donor = await a_donor(cloud)
    await written(cloud, "GiftTransaction", "SMS_Transaction__c", **a_gift(donor))
    if "DonorId" in change:
        change = {"DonorId": (await cloud.load("Account", {"LastName": "Bø"}))[0]}
    code, _ = await refused(cloud, "GiftTransaction", "SMS_Transaction__c", SMS_Transaction__c="t-1", **change)
    assert code == "FIELD_INTEGRITY_EXCEPTION"


async def test_a_paid_gift_transaction_can_be_refunded_and_not_paid_again(cloud):
    await written(cloud, "GiftTransaction", "SMS_Transaction__c", **a_gift(await a_donor(cloud)))
    await written(
        cloud,
        "GiftTransaction",
        "SMS_Transaction__c",
        SMS_Transaction__c="t-1",
        Status="Fully Refunded",
        OriginalAmount=100,
    )
    code, _ = await refused(cloud, "GiftTransaction", "SMS_Transaction__c", SMS_Transaction__c="t-1", Status="Paid")
    assert code == "FIELD_INTEGRITY_EXCEPTION"


async def test_schedules_of_one_commitment_do_not_overlap_and_need_their_day(cloud):
    commitment = await written(
        cloud,
        "GiftCommitment",
        "SMS_Subscription__c",
        SMS_Subscription__c="s-1",
        Name="SMS",
        DonorId=await a_donor(cloud),
        ScheduleType="Recurring",
    )
    whole = {
        "SMS_Subscription__c": "s-1",
        "GiftCommitmentId": commitment,
        "StartDate": f"{TODAY}",
        "TransactionPeriod": "Monthly",
        "TransactionInterval": 1,
        "TransactionDay": "1",
        "TransactionAmount": 100,
    }
    for change in ({"TransactionDay": None}, {"TransactionInterval": 0}, {"TransactionPeriod": "Custom"}):
        code, _ = await refused(cloud, "GiftCommitmentSchedule", "SMS_Subscription__c", **{**whole, **change})
        assert code == "FIELD_INTEGRITY_EXCEPTION"
    await written(cloud, "GiftCommitmentSchedule", "SMS_Subscription__c", **whole)
    later = {**whole, "SMS_Subscription__c": "s-2", "StartDate": f"{TODAY + timedelta(days=40)}"}
    code, message = await refused(cloud, "GiftCommitmentSchedule", "SMS_Subscription__c", **later)
    assert message.startswith("You can create the gift commitment schedule only when it doesn't overlap")
    await written(
        cloud,
        "GiftCommitmentSchedule",
        "SMS_Subscription__c",
        SMS_Subscription__c="s-1",
        EndDate=f"{TODAY + timedelta(days=30)}",
    )
    await written(cloud, "GiftCommitmentSchedule", "SMS_Subscription__c", **later)


async def test_a_closed_commitment_with_gifts_can_only_become_active_again(cloud):
    donor = await a_donor(cloud)
    fields = {"SMS_Subscription__c": "s-1", "Name": "SMS", "DonorId": donor, "Status": "Closed"}
    commitment = await written(cloud, "GiftCommitment", "SMS_Subscription__c", **fields)
    await written(cloud, "GiftTransaction", "SMS_Transaction__c", **a_gift(donor, GiftCommitmentId=commitment))
    code, _ = await refused(cloud, "GiftCommitment", "SMS_Subscription__c", SMS_Subscription__c="s-1", Status="Paused")
    assert code == "FIELD_INTEGRITY_EXCEPTION"
    await written(cloud, "GiftCommitment", "SMS_Subscription__c", SMS_Subscription__c="s-1", Status="Active")


async def test_a_plain_org_has_no_objects_of_the_presets():
    async with signed_in() as org:
        assert (await org.call("GET", f"/sobjects/{RD}/describe"))[0] == 404
        await written(org, "Contact", "SMS_Key__c", SMS_Key__c="k-1", LastName="Ås")
        assert await org.rows("Account") == []


async def test_in_an_org_with_several_currencies_a_record_has_one_of_them_and_where_none_is_given_the_users_own():
    async with signed_in(currencies=("NOK", "DKK")) as org:
        contact = {"LastName": "Ås"}
        await written(org, "Contact", "SMS_Key__c", SMS_Key__c="k-1", **contact)
        await written(org, "Contact", "SMS_Key__c", SMS_Key__c="k-2", CurrencyIsoCode="DKK", **contact)
        assert [one["CurrencyIsoCode"] for one in await org.rows("Contact")] == ["NOK", "DKK"]
        refusal = await refused(org, "Contact", "SMS_Key__c", SMS_Key__c="k-3", CurrencyIsoCode="SEK", **contact)
        assert refusal[0] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
        _, got = await org.call("GET", "/sobjects/Opportunity/describe")
        (field,) = [one for one in got["fields"] if one["name"] == "CurrencyIsoCode"]
        assert (field["type"], field["createable"], field["nillable"], field["defaultedOnCreate"]) == (
            "picklist",
            True,
            False,
            True,
        )
        assert [one["value"] for one in field["picklistValues"]] == ["NOK", "DKK"]


async def test_a_plain_org_has_events_and_no_currencies():
    async with signed_in() as org:
        _, got = await org.call("GET", "/sobjects/Event/describe")
        assert {"Subject", "StartDateTime", "Description", "WhoId"} <= {one["name"] for one in got["fields"]}
        assert "CurrencyIsoCode" not in {one["name"] for one in got["fields"]}
        assert got["keyPrefix"] == "00U"
