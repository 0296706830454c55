"""What the org accepts and rejects, record by record: the rules for collections and for single records."""

import pytest
from sandbox.test_salesforce_signin import V, signed_in

from connector.sandbox.salesforce.identifiers import canonical, lengthen


@pytest.mark.parametrize(
    ("short", "full"), [("003xx000004TmiQ", "003xx000004TmiQAAS"), ("0035f00000abcde", "0035f00000abcdeAAA")]
)
def test_an_id_of_15_characters_means_the_one_of_18(short, full):
    assert lengthen(short) == full
    assert canonical(short) == canonical(full) == canonical(full.lower().replace(short.lower(), short)) == full
    assert canonical(short[:-1]) is canonical(full[:-1] + "z") is None


def refusal(result):
    """The code and text of a failed row, which has no id."""
    assert result["success"] is False
    assert "id" not in result
    return result["errors"][0]["statusCode"], result["errors"][0]["message"]


async def test_an_upsert_creates_and_then_updates_without_regard_to_the_case_of_its_key():
    async with signed_in() as org:
        status, first = await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "Key-1", "LastName": "Ås"})
        _, second = await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "kEY-1", "LastName": "Bø"})
        assert status == 200
        assert first == [{"id": first[0]["id"], "success": True, "errors": [], "created": True}]
        assert second == [{"id": first[0]["id"], "success": True, "errors": [], "created": False}]
        (row,) = await org.rows("Contact")
        assert row["LastName"] == "Bø"
        assert first[0]["id"].startswith("003")
        assert len(first[0]["id"]) == 18


async def test_a_repeated_key_fails_all_its_rows_and_leaves_the_others():
    async with signed_in() as org:
        rows = [{"SMS_Key__c": key, "LastName": "x"} for key in ("k1", "K1", "k2")]
        _, results = await org.upsert("Contact", "SMS_Key__c", *rows)
        assert refusal(results[0]) == ("DUPLICATE_VALUE", "Duplicate external id specified: k1")
        assert refusal(results[1])[0] == "DUPLICATE_VALUE"
        assert results[2]["success"]
        assert [row["SMS_Key__c"] for row in await org.rows("Contact")] == ["k2"]


@pytest.mark.parametrize(
    ("record", "code", "message"),
    [
        ({}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"),
        ({"LastName": ""}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"),
        (
            {"LastName": "x", "FirstName": "y" * 41},
            "STRING_TOO_LONG",
            f"First Name: data value too large: {'y' * 41} (max length=40)",
        ),
        (
            {"LastName": "x", "Gift_Interest__c": "Cats"},
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Gift Interest: bad value for restricted picklist field: Cats",
        ),
        ({"LastName": "x", "Email": "nobody"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: nobody"),
        (
            {"LastName": "x", "AccountId": "0035f0000000001AAA"},
            "MALFORMED_ID",
            "Account ID: id value of incorrect type: 0035f0000000001AAA",
        ),
        (
            {"LastName": "x", "AccountId": "0015f0000000001AAA"},
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
        ),
        (
            {"LastName": "x", "CreatedDate": "2026-11-22T04:00:00Z"},
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            (
                "Unable to create/update fields: CreatedDate. Please check the security settings of this field and verify that "
                "it is read/write for your profile or permission set."
            ),
        ),
        (
            {"LastName": "x", "SMS_Monthly_Amount__c": 1e17},
            "NUMBER_OUTSIDE_VALID_RANGE",
            "SMS Monthly Amount: value outside of valid range on numeric field: 1e+17",
        ),
    ],
)
async def test_a_bad_record_fails_alone(record, code, message):
    async with signed_in() as org:
        good = {"SMS_Key__c": "good", "LastName": "Good"}
        status, results = await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "bad", **record}, good)
        assert status == 200
        assert refusal(results[0]) == (code, message)
        assert results[1]["success"]
        assert [row["SMS_Key__c"] for row in await org.rows("Contact")] == ["good"]


@pytest.mark.parametrize(
    ("record", "code", "message"),
    [
        ({"Nonsense__c": 1}, "INVALID_FIELD", "No such column 'Nonsense__c' on sobject of type Contact"),
        (
            {"SMS_Opt_Out_At__c": "2026-11-22 04:00:00"},
            "JSON_PARSER_ERROR",
            (
                "Cannot deserialize instance of datetime from VALUE_STRING value 2026-11-22 04:00:00 or request may be missing a "
                "required field at [line:1, column:1]"
            ),
        ),
        ({"SMS_Opt_Out__c": "perhaps"}, "JSON_PARSER_ERROR", None),
        ({"SMS_Opt_Out__c": None}, "JSON_PARSER_ERROR", None),
        ({"FirstName": 47}, "JSON_PARSER_ERROR", None),
        ({"SMS_Monthly_Amount__c": "ten"}, "JSON_PARSER_ERROR", None),
        ({"Birthdate": "yesterday"}, "JSON_PARSER_ERROR", None),
        ({"Account": None}, "JSON_PARSER_ERROR", None),
    ],
)
async def test_a_value_of_the_wrong_type_rejects_the_whole_request(record, code, message):
    async with signed_in() as org:
        good = {"SMS_Key__c": "good", "LastName": "Good"}
        status, body = await org.upsert("Contact", "SMS_Key__c", good, {"SMS_Key__c": "bad", "LastName": "x", **record})
        assert status == 400
        assert body[0]["errorCode"] == code
        assert message is None or body[0]["message"] == message
        assert await org.rows("Contact") == []


async def test_values_come_back_as_salesforce_keeps_them():
    async with signed_in() as org:
        record = {
            "SMS_Key__c": "k1",
            "LastName": "  Ås ",
            "FirstName": "",
            "SMS_Opt_Out_At__c": "2026-11-22T05:00:00.987+01:00",
            "SMS_Monthly_Amount__c": "100.456",
            "gift_interest__C": "climate",
        }
        await org.upsert("Contact", "SMS_Key__c", record)
        (row,) = await org.rows("Contact")
        assert row["LastName"] == row["Name"] == "Ås"
        assert row["FirstName"] is None
        assert row["SMS_Opt_Out_At__c"] == "2026-11-22T04:00:00.000+0000"
        assert row["SMS_Monthly_Amount__c"] == 100.46
        assert row["Gift_Interest__c"] == "Climate"
        assert row["SMS_Opt_Out__c"] is False


async def test_a_parent_is_found_by_its_external_id_or_the_row_says_what_is_missing():
    async with signed_in() as org:
        (contact,) = await org.load("Contact", {"LastName": "Ås", "SMS_Key__c": "k1"})
        _, results = await org.upsert(
            "SMS_Event__c",
            "Event_Key__c",
            {"Event_Key__c": "e1", "Contact__r": {"SMS_Key__c": "K1"}},
            {"Event_Key__c": "e2", "Contact__r": {"SMS_Key__c": "k9"}},
            {"Event_Key__c": "e3", "Contact__r": {"SMS_Key__c": "k1"}, "Contact__c": contact},
        )
        assert refusal(results[1]) == (
            "INVALID_FIELD",
            "Foreign key external ID: k9 not found for field SMS_Key__c in entity Contact",
        )
        assert refusal(results[2])[0] == "INVALID_FIELD"
        (row,) = await org.rows("SMS_Event__c")
        assert row["Contact__c"] == contact
        assert row["Name"] == "SE-000001"


async def test_a_parent_key_of_several_records_is_ambiguous():
    async with signed_in() as org:
        twice = {"LastName": "Ås", "Email": "a@b.example"}
        first, second = await org.load("Contact", twice, twice)
        event = {"Event_Key__c": "e1", "Contact__r": {"Email": "a@b.example"}}
        _, results = await org.upsert("SMS_Event__c", "Event_Key__c", event)
        assert refusal(results[0]) == (
            "DUPLICATE_EXTERNAL_ID",
            f"More than one record found for external id field: [{first}, {second}]",
        )


async def test_a_deleted_record_cannot_be_referenced():
    async with signed_in() as org:
        (gone,) = await org.load("Account", {"Name": "Household"})
        await org.call("DELETE", f"/sobjects/Account/{gone}")
        record = {"SMS_Key__c": "k1", "LastName": "Ås", "AccountId": gone}
        _, results = await org.upsert("Contact", "SMS_Key__c", record)
        assert refusal(results[0]) == ("ENTITY_IS_DELETED", "entity is deleted")


async def test_a_polymorphic_parent_needs_its_type():
    async with signed_in() as org:
        (contact,) = await org.load("Contact", {"LastName": "Ås", "SMS_Key__c": "k1"})
        who = {"attributes": {"type": "Contact"}, "SMS_Key__c": "k1"}
        _, results = await org.upsert("Task", "SMS_Key__c", {"SMS_Key__c": "t1", "Who": who})
        assert results[0]["success"]
        (task,) = await org.rows("Task")
        assert task["WhoId"] == contact
        assert (task["Status"], task["Priority"]) == ("Not Started", "Normal")
        status, body = await org.upsert("Task", "SMS_Key__c", {"SMS_Key__c": "t2", "Who": {"SMS_Key__c": "k1"}})
        assert (status, body[0]["errorCode"]) == (400, "INVALID_FIELD")


async def test_rows_of_one_request_do_not_see_each_other():
    async with signed_in() as org:
        records = [
            {"attributes": {"type": "Contact"}, "SMS_Key__c": "k1", "LastName": "Ås"},
            {"attributes": {"type": "Contact"}, "SMS_Key__c": "k1", "LastName": "Bø"},
        ]
        _, results = await org.call("POST", "/composite/sobjects", {"records": records})
        assert results[0]["success"]
        assert refusal(results[1]) == (
            "DUPLICATE_VALUE",
            "duplicate value found: <unknown> duplicates value on record with id: <unknown>",
        )


async def test_a_unique_value_is_refused_with_the_owner_s_id():
    async with signed_in() as org:
        (first,) = await org.load("Contact", {"LastName": "Ås", "SMS_Key__c": "k1"})
        status, body = await org.call("POST", "/sobjects/Contact", {"LastName": "Bø", "SMS_Key__c": "k1"})
        assert (status, body[0]["errorCode"]) == (400, "DUPLICATE_VALUE")
        assert body[0]["message"] == f"duplicate value found: SMS_Key__c duplicates value on record with id: {first}"


async def test_a_key_that_is_not_unique_and_matches_several_is_ambiguous():
    async with signed_in() as org:
        twice = {"LastName": "Ås", "Email": "a@b.example"}
        first, second = await org.load("Contact", twice, twice)
        _, results = await org.upsert("Contact", "Email", {"Email": "A@b.example", "LastName": "Bø"})
        assert refusal(results[0])[0] == "DUPLICATE_EXTERNAL_ID"
        status, urls = await org.call("PATCH", "/sobjects/Contact/Email/a%40b.example", {"LastName": "Bø"})
        assert (status, urls) == (300, [f"{V}/sobjects/Contact/{first}", f"{V}/sobjects/Contact/{second}"])


async def test_all_or_none_rolls_back_the_valid_records_too():
    async with signed_in() as org:
        _, results = await org.upsert(
            "Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "x"}, {"SMS_Key__c": "k2"}, allOrNone=True
        )
        assert refusal(results[0])[0] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
        assert refusal(results[1])[0] == "REQUIRED_FIELD_MISSING"
        assert await org.rows("Contact") == []


async def test_a_collection_holds_at_most_200_records_and_10_runs_of_types():
    async with signed_in() as org:
        status, body = await org.upsert(
            "Contact", "SMS_Key__c", *({"SMS_Key__c": f"k{number}"} for number in range(201))
        )
        assert (status, body[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")
        mixed = [{"attributes": {"type": name}, "LastName": "x", "Name": "x"} for name in ("Contact", "Account")] * 6
        status, body = await org.call("POST", "/composite/sobjects", {"records": mixed})
        assert (status, body[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")


async def test_unknown_objects_and_keys_are_not_found():
    async with signed_in() as org:
        status, body = await org.upsert("Contact", "LastName", {"LastName": "x"})
        assert (status, body[0]["errorCode"]) == (404, "NOT_FOUND")
        assert body[0]["message"] == "Provided external ID field does not exist or is not accessible: LastName"
        assert (await org.upsert("Nothing__c", "Key__c", {"Key__c": "x"}))[0] == 404


async def test_updates_by_id_tell_wrong_missing_and_deleted_ids_apart():
    async with signed_in() as org:
        living, gone = await org.load("Contact", {"LastName": "Ås"}, {"LastName": "Bø"})
        assert (await org.call("DELETE", f"/sobjects/Contact/{gone}"))[0] == 204
        ids = [living[:15], gone, "0035f0000000zzzAAA", "0015f0000000001AAA"]
        records = [{"attributes": {"type": "Contact"}, "id": given, "LastName": "New"} for given in ids]
        _, results = await org.call("PATCH", "/composite/sobjects", {"records": records})
        assert results[0] == {"id": living, "success": True, "errors": []}
        assert refusal(results[1]) == ("ENTITY_IS_DELETED", "entity is deleted")
        assert refusal(results[2]) == ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        assert refusal(results[3]) == ("MALFORMED_ID", "Contact ID: id value of incorrect type: 0015f0000000001AAA")


async def test_a_deleted_record_frees_its_key_and_answers_404():
    async with signed_in() as org:
        (old,) = await org.load("Contact", {"LastName": "Ås", "SMS_Key__c": "k1"})
        assert (await org.call("DELETE", f"/composite/sobjects?ids={old}"))[1] == [
            {"id": old, "success": True, "errors": []}
        ]
        status, body = await org.call("GET", f"/sobjects/Contact/{old}")
        assert (status, body[0]["errorCode"]) == (404, "ENTITY_IS_DELETED")
        _, results = await org.upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "Bø"})
        assert results[0]["created"]
        assert results[0]["id"] != old


async def test_a_single_upsert_answers_201_then_200_and_the_key_may_hold_a_slash():
    async with signed_in() as org:
        path = "/sobjects/Contact/SMS_Key__c/a%2Fb%20%2B47"
        status, body = await org.call("PATCH", path, {"LastName": "Ås"})
        assert (status, body["created"]) == (201, True)
        status, body = await org.call("PATCH", path, {"LastName": "Bø"})
        assert (status, body["created"]) == (200, False)
        assert (await org.call("GET", path))[1]["SMS_Key__c"] == "a/b +47"
        status, body = await org.call("PATCH", path, {"LastName": "x", "SMS_Key__c": "a/b +47"})
        assert (status, body[0]["errorCode"]) == (400, "INVALID_FIELD")
        assert (await org.call("PATCH", "/sobjects/Contact/SMS_Key__c/new?updateOnly=true", {"LastName": "x"}))[
            0
        ] == 404


async def test_records_are_read_back_in_the_order_asked():
    async with signed_in() as org:
        first, second = await org.load("Contact", {"LastName": "Ås"}, {"LastName": "Bø"})
        body = {"ids": [second, "0035f0000000009AAA", first], "fields": ["LastName"]}
        status, rows = await org.call("POST", "/composite/sobjects/Contact", body)
        assert status == 200, rows
        assert [row and row["LastName"] for row in rows] == ["Bø", None, "Ås"]


async def test_a_campaign_member_needs_a_person_and_exists_once():
    async with signed_in() as org:
        contact, second = await org.load("Contact", {"LastName": "Ås"}, {"LastName": "Bø"})
        (campaign,) = await org.load("Campaign", {"Name": "Spring"})
        member = {"CampaignId": campaign, "ContactId": contact, "Status": "Responded"}
        assert (await org.call("POST", "/sobjects/CampaignMember", member))[0] == 201
        status, body = await org.call("POST", "/sobjects/CampaignMember", member)
        assert (status, body[0]["message"]) == (400, "Already a campaign member.")
        assert (await org.call("POST", "/sobjects/CampaignMember", {"CampaignId": campaign}))[0] == 400
        other = {"attributes": {"type": "CampaignMember"}, "CampaignId": campaign, "ContactId": second}
        _, results = await org.call("POST", "/composite/sobjects", {"records": [other, other]})
        assert [result["success"] for result in results] == [True, False]
        row = (await org.rows("CampaignMember"))[0]
        assert row["HasResponded"] is True


async def test_a_describe_has_the_properties_of_fields_and_may_answer_304():
    async with signed_in() as org:
        _, body = await org.call("GET", "/sobjects/Contact/describe")
        fields = {field["name"]: field for field in body["fields"]}
        key = fields["SMS_Key__c"]
        assert (key["externalId"], key["unique"], key["length"], key["type"]) == (True, True, 80, "string")
        assert fields["LastName"]["nillable"] is False
        assert fields["Name"]["createable"] is False
        assert [value["value"] for value in fields["Gift_Interest__c"]["picklistValues"]] == [
            "Children",
            "Climate",
            "Other",
        ]
        assert fields["AccountId"]["referenceTo"] == ["Account"]
        later = "Fri, 31 Dec 2100 00:00:00 GMT"
        assert (await org.call("GET", "/sobjects/Contact/describe", If_Modified_Since=later))[0] == 304
