"""The org's changes during a save: fields set by automation, rounded numbers, and the named user."""

import pytest
from sandbox.test_salesforce_signin import signed_in

from connector.sandbox.salesforce.org import INTEGRATION_USER, PERSON_USER


async def saved(org, **fields):
    await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "Ås", **fields})
    (row,) = await org.rows("Contact")
    return row


async def automate(org, **wish):
    status, body = await org.control("POST", "automation", wish)
    assert status == 200, body


async def test_a_field_is_rewritten_in_the_save_that_writes_a_certain_value():
    async with signed_in() as org:
        await automate(org, rewrite={"Contact": {"SMS_Opt_Out__c": False}}, when={"SMS_Opt_Out__c": True})
        assert (await saved(org, FirstName="Kari"))["SMS_Opt_Out__c"] is False
        row = await saved(org, SMS_Opt_Out__c=True, FirstName="Eva")
        assert (row["SMS_Opt_Out__c"], row["FirstName"], row["LastModifiedById"]) == (False, "Eva", INTEGRATION_USER)


async def test_automation_leaves_the_saves_of_people_alone_unless_of_is_any():
    async with signed_in() as org:
        await automate(org, rewrite={"Contact": {"SMS_Opt_Out__c": False}})
        await org.load("Contact", {"LastName": "x", "SMS_Opt_Out__c": True})
        assert [row["SMS_Opt_Out__c"] for row in await org.rows("Contact")] == [True]
        await automate(org, rewrite={"Contact": {"SMS_Opt_Out__c": False}}, of="any", by="integration")
        await org.load("Contact", {"LastName": "y", "SMS_Opt_Out__c": True})
        row = (await org.rows("Contact"))[1]
        assert (row["SMS_Opt_Out__c"], row["CreatedById"], row["LastModifiedById"]) == (
            False,
            PERSON_USER,
            INTEGRATION_USER,
        )


async def test_automation_reformats_a_number_of_the_right_length_and_nothing_else():
    async with signed_in() as org:
        await automate(org, rewrite={"Contact": {"MobilePhone": {"digits": "+## ### ## ###"}}})
        assert (await saved(org, MobilePhone="+4790000001"))["MobilePhone"] == "+47 900 00 001"
        assert (await saved(org, MobilePhone="112"))["MobilePhone"] == "112"
        assert (await saved(org, FirstName="x"))["MobilePhone"] == "112"


async def test_a_rewritten_key_is_found_by_its_new_value():
    async with signed_in() as org:
        await automate(org, rewrite={"Contact": {"SMS_Key__c": "K2"}}, when={"FirstName": "x"})
        await saved(org, FirstName="x")
        status, row = await org.call("GET", "/sobjects/Contact/SMS_Key__c/k2")
        assert (status, row["SMS_Key__c"]) == (200, "K2")


async def test_automation_is_listed_and_switched_off():
    async with signed_in() as org:
        await automate(org, rewrite={"Contact": {"FirstName": "x"}})
        listed = (await org.control("GET", "automation"))[1]["automation"]
        assert listed == [{"rewrite": {"Contact": {"FirstName": "x"}}, "when": {}, "of": "integration", "by": None}]
        await org.control("DELETE", "automation")
        assert (await saved(org))["FirstName"] is None


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"rewrite": {}},
        {"rewrite": {"Nothing": {"FirstName": "x"}}},
        {"rewrite": {"Contact": {"Nothing": "x"}}},
        {"rewrite": {"Contact": {"FirstName": "x"}}, "when": {"Nothing": 1}},
        {"rewrite": {"Contact": {"FirstName": "x"}}, "of": "nobody"},
        {"rewrite": {"Contact": {"FirstName": "x"}}, "else": 1},
    ],
)
async def test_an_invalid_automation_is_refused(wish):
    async with signed_in() as org:
        assert (await org.control("POST", "automation", wish))[0] == 400
        assert (await org.control("GET", "automation"))[1]["automation"] == []


async def test_a_number_is_rounded_to_the_scale_of_its_field():
    async with signed_in() as org:
        assert (await saved(org, SMS_Monthly_Amount__c=99.995))["SMS_Monthly_Amount__c"] == 100
        assert (await saved(org, SMS_Monthly_Amount__c=99.5))["SMS_Monthly_Amount__c"] == 99.5
        assert (await org.control("PATCH", "fields/Contact/SMS_Monthly_Amount__c", {"scale": 0}))[0] == 200
        assert (await saved(org, SMS_Monthly_Amount__c=99.5))["SMS_Monthly_Amount__c"] == 100
        _, described = await org.call("GET", "/sobjects/Contact/describe")
        assert next(one["scale"] for one in described["fields"] if one["name"] == "SMS_Monthly_Amount__c") == 0


async def test_who_changed_a_record_last_can_be_asked_for():
    async with signed_in() as org:
        await saved(org)
        await org.load("Contact", {"LastName": "by a person"})
        soql = "SELECT+LastName,LastModifiedById+FROM+Contact+WHERE+SMS_Opt_Out__c+=+false+ORDER+BY+LastName"
        _, body = await org.call("GET", f"/query?q={soql}")
        assert [row["LastModifiedById"] for row in body["records"]] == [PERSON_USER, INTEGRATION_USER]
