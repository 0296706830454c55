"""A large org created from patterns."""

import time

import pytest
from sandbox.test_salesforce_signin import signed_in


async def test_patterns_become_records_with_digits_of_their_number():
    async with signed_in() as org:
        wish = {
            "count": 3,
            "first": 41,
            "fields": {
                "LastName": "Donor ####",
                "MobilePhone": ["+47 9## ## ###", None],
                "SMS_Key__c": "K#",
                "SMS_Opt_Out__c": True,
            },
        }
        status, body = await org.control("POST", "seed/Contact", wish)
        assert status == 200, body
        rows = await org.rows("Contact")
        assert [row["LastName"] for row in rows] == ["Donor 0041", "Donor 0042", "Donor 0043"]
        assert [row["MobilePhone"] for row in rows] == [None, "+47 900 00 042", None]
        assert all(row["SMS_Opt_Out__c"] for row in rows)
        assert (body["first"], body["last"]) == (rows[0]["Id"], rows[2]["Id"])
        _, found = await org.call("GET", "/sobjects/Contact/SMS_Key__c/k2?fields=LastName")
        assert found["LastName"] == "Donor 0042"
        (next_one,) = await org.load("Contact", {"LastName": "after"})
        assert next_one not in {row["Id"] for row in rows}


async def test_a_hundred_thousand_contacts_take_seconds():
    async with signed_in() as org:
        fields = {"LastName": "D######", "MobilePhone": ["+47 9#######", "9## ## ###"], "HomePhone": [None, "22######"]}
        began = time.monotonic()
        assert (await org.control("POST", "seed/Contact", {"count": 100_000, "fields": fields}))[0] == 200
        assert time.monotonic() - began < 10  # about one second on an idle machine
        assert (await org.control("GET", "stats"))[1]["records"]["Contact"] == 100_000
        _, body = await org.soql("SELECT COUNT() FROM Contact WHERE MobilePhone = '+47 90000042'")
        assert body["totalSize"] == 1


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"count": 0, "fields": {}}, "count must be"),
        ({"count": 1}, "fields must be"),
        ({"count": 1, "fields": {"MobilePhone": "1"}}, "REQUIRED_FIELD_MISSING"),
        ({"count": 1, "fields": {"LastName": "x", "Odd": 1}}, "No such column 'Odd'"),
        ({"count": 1, "fields": {"LastName": "x", "Id": "1"}}, "INVALID_FIELD"),
        ({"count": 1, "fields": {"LastName": "x" * 81}}, "STRING_TOO_LONG"),
        ({"count": 2, "fields": {"LastName": "x", "SMS_Key__c": "same"}}, "twice"),
    ],
)
async def test_an_invalid_seeding_request_creates_nothing(wish, words):
    async with signed_in() as org:
        status, body = await org.control("POST", "seed/Contact", wish)
        assert (status, words in body["error"]) == (400, True), body
        assert await org.rows("Contact") == []
