"""An administrator's changes in the org: visible in describe responses, effective in writes."""

import pytest
from sandbox.test_salesforce_signin import signed_in


async def field(org, name, object_name="Contact"):
    _, body = await org.call("GET", f"/sobjects/{object_name}/describe")
    return next((one for one in body["fields"] if one["name"] == name), None)


async def upsert(org, **fields):
    record = {"attributes": {"type": "Contact"}, "SMS_Key__c": "k1", "LastName": "x", **fields}
    return await org.call("PATCH", "/composite/sobjects/Contact/SMS_Key__c", {"records": [record]})


async def test_a_field_gets_another_name_and_keeps_its_values():
    async with signed_in() as org:
        await org.load("Contact", {"LastName": "x", "SMS_Key__c": "K1", "FirstName": "Kari"})
        await org.control("PATCH", "fields/Contact/FirstName", {"name": "Given__c"})
        await org.control("PATCH", "fields/Contact/SMS_Key__c", {"name": "Key__c"})
        (row,) = await org.rows("Contact")
        assert (row["Given__c"], row["Key__c"], "FirstName" in row) == ("Kari", "K1", False)
        assert (await upsert(org))[0] == 404
        record = {"attributes": {"type": "Contact"}, "Key__c": "k1", "LastName": "y"}
        _, results = await org.call("PATCH", "/composite/sobjects/Contact/Key__c", {"records": [record]})
        assert results[0]["created"] is False


async def test_a_request_that_names_a_removed_field_is_rejected():
    async with signed_in() as org:
        await org.control("DELETE", "fields/Contact/FirstName")
        assert await field(org, "FirstName") is None
        status, body = await upsert(org, FirstName="Kari")
        assert (status, body[0]["errorCode"]) == (400, "INVALID_FIELD")


async def test_a_field_can_be_made_shorter_read_only_and_required():
    async with signed_in() as org:
        await org.control("PATCH", "fields/Contact/FirstName", {"length": 3})
        assert (await field(org, "FirstName"))["length"] == 3
        _, results = await upsert(org, FirstName="Kari")
        assert results[0]["errors"][0]["statusCode"] == "STRING_TOO_LONG"
        await org.control("PATCH", "fields/Contact/FirstName", {"read_only": True})
        assert (await field(org, "FirstName"))["updateable"] is False
        await org.control("PATCH", "fields/Contact/MobilePhone", {"required": True})
        assert (await field(org, "MobilePhone"))["nillable"] is False
        _, results = await upsert(org)
        assert results[0]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"


async def test_a_picklist_loses_a_value_and_becomes_restricted():
    async with signed_in() as org:
        await org.control("PATCH", "fields/Contact/Salutation", {"values": ["Mr."], "restricted": True})
        assert [one["value"] for one in (await field(org, "Salutation"))["picklistValues"]] == ["Mr."]
        _, results = await upsert(org, Salutation="Ms.")
        assert results[0]["errors"][0]["statusCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


async def test_a_key_can_stop_being_unique():
    async with signed_in() as org:
        await org.control("PATCH", "fields/Contact/SMS_Key__c", {"unique": False})
        assert (await field(org, "SMS_Key__c"))["unique"] is False
        await org.load("Contact", {"LastName": "x", "SMS_Key__c": "k1"}, {"LastName": "y", "SMS_Key__c": "k1"})
        assert len(await org.rows("Contact")) == 2


async def test_an_object_can_be_hidden():
    async with signed_in() as org:
        await org.control("DELETE", "objects/SMS_Event__c")
        assert (await org.call("GET", "/sobjects/SMS_Event__c/describe"))[0] == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("fields/Nothing/FirstName", {"length": 3}),
        ("fields/Contact/Nothing", {"length": 3}),
        ("fields/Contact/FirstName", {}),
        ("fields/Contact/FirstName", {"lenght": 3}),
        ("fields/Contact/FirstName", {"length": "3"}),
        ("fields/Contact/FirstName", {"required": 1}),
        ("fields/Contact/FirstName", {"values": [1]}),
    ],
)
async def test_an_invalid_change_of_the_schema_is_refused(path, body):
    async with signed_in() as org:
        status, answer = await org.control("PATCH", path, body)
        assert status == 400
        assert answer["error"]


async def test_a_key_may_tell_letter_case_apart_and_then_does_everywhere():
    async with signed_in() as org:
        await upsert(org, SMS_Key__c="Ab")
        assert (await upsert(org, SMS_Key__c="aB"))[1][0]["created"] is False
        assert (await field(org, "SMS_Key__c"))["caseSensitive"] is False
        await org.control("PATCH", "fields/Contact/SMS_Key__c", {"case_sensitive": True})
        assert (await field(org, "SMS_Key__c"))["caseSensitive"] is True
        assert (await upsert(org, SMS_Key__c="Ab"))[1][0]["created"] is True
        assert (await upsert(org, SMS_Key__c="aB"))[1][0]["created"] is False
        for key in ("Ab", "aB"):
            _, body = await org.call("GET", f"/query?q=SELECT+SMS_Key__c+FROM+Contact+WHERE+SMS_Key__c='{key}'")
            assert [row["SMS_Key__c"] for row in body["records"]] == [key]
        records = [
            {"attributes": {"type": "Contact"}, "SMS_Key__c": key, "LastName": "x"} for key in ("Ab", "aB", "AB", "ab")
        ]
        _, results = await org.call("PATCH", "/composite/sobjects/Contact/SMS_Key__c", {"records": records})
        assert [one["success"] for one in results] == [True] * 4


async def test_a_text_is_as_long_as_its_utf16_units():
    async with signed_in() as org:
        assert (await upsert(org, FirstName="😢" * 20))[1][0]["success"]
        _, results = await upsert(org, FirstName="😢" * 21)
        assert results[0]["errors"][0]["statusCode"] == "STRING_TOO_LONG"


async def test_a_validation_rule_refuses_every_value_of_its_field():
    async with signed_in() as org:
        await org.control("PATCH", "fields/Contact/FirstName", {"rule": "Write no first names."})
        assert (await upsert(org))[1][0]["success"]
        _, results = await upsert(org, FirstName="Kari")
        (error,) = results[0]["errors"]
        assert (error["statusCode"], error["message"], error["fields"]) == (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "Write no first names.",
            ["FirstName"],
        )
