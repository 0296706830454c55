"""Duplicate rules of the sandbox org, and a second writer who is slightly faster."""

import pytest
from sandbox.test_salesforce_composite import upsert
from sandbox.test_salesforce_signin import signed_in

TWIN = {"LastName": "Ås", "MobilePhone": "+4790000001"}
ALLOW = {"Sforce-Duplicate-Rule-Header": "includeRecordDetails=true; allowSave=true"}


async def rule(org, **more):
    wish = {"object": "Contact", "fields": ["LastName", "MobilePhone"], **more}
    status, body = await org.control("POST", "duplicate_rules", wish)
    assert status == 200, body


async def twin(org):
    _, body = await org.control("POST", "records/Contact", {"records": [TWIN]})
    return body["ids"][0]


async def collection(org, **headers):
    body = {"records": [{"attributes": {"type": "Contact"}, "SMS_Key__c": "k", **TWIN}]}
    return await org.call("PATCH", "/composite/sobjects/Contact/SMS_Key__c", body, **headers)


async def test_a_collection_tells_only_that_there_are_duplicates():
    async with signed_in() as org:
        await rule(org)
        await twin(org)
        status, body = await collection(org)
        error = {"statusCode": "DUPLICATES_DETECTED", "message": "Use one of these records?", "fields": []}
        assert (status, body) == (200, [{"success": False, "errors": [error]}])


async def test_a_record_by_itself_is_told_its_matches():
    async with signed_in() as org:
        await rule(org)
        known = await twin(org)
        status, body = await org.call("PATCH", "/sobjects/Contact/SMS_Key__c/k", TWIN)
        assert status == 400
        assert body[0]["errorCode"] == "DUPLICATES_DETECTED"
        (result,) = body[0]["duplicateResult"]["matchResults"]
        assert [match["record"]["Id"] for match in result["matchRecords"]] == [known]


@pytest.mark.parametrize(("action", "saved"), [("alert", True), ("block", False)])
async def test_the_header_bypasses_an_alert_rule_and_no_block_rule(action, saved):
    async with signed_in() as org:
        await rule(org, action=action)
        await twin(org)
        _, body = await collection(org, **ALLOW)
        assert body[0]["success"] is saved


async def test_a_subrequest_has_its_own_header():
    async with signed_in() as org:
        await rule(org)
        await twin(org)
        parts = [upsert("Contact", "SMS_Key__c", {"SMS_Key__c": key, **TWIN}, ref=key) for key in ("a", "b")]
        parts[1]["httpHeaders"] = ALLOW
        _, body = await org.call("POST", "/composite", {"compositeRequest": parts})
        assert [part["body"][0]["success"] for part in body["compositeResponse"]] == [False, True]


@pytest.mark.parametrize("on_edit", [True, False])
async def test_an_edit_is_checked_only_by_rules_for_edits(on_edit):
    async with signed_in() as org:
        await rule(org, on_edit=on_edit)
        await twin(org)
        await org.control("POST", "records/Contact", {"records": [{"LastName": "x", "SMS_Key__c": "k"}]})
        _, body = await collection(org)
        assert body[0]["success"] is not on_edit


@pytest.mark.parametrize(
    "wish", [{"fields": []}, {"fields": ["Nonsense"]}, {"action": "scold"}, {"object": "Nonsense"}]
)
async def test_an_invalid_duplicate_rule_is_refused(wish):
    async with signed_in() as org:
        status, _ = await org.control("POST", "duplicate_rules", {"object": "Contact", "fields": ["LastName"], **wish})
        assert status == 400


async def test_the_fault_overtaken_lets_another_writer_create_the_record_first():
    async with signed_in() as org:
        await org.control("POST", "faults", {"fault": "overtaken", "records": ["k"], "times": 1})
        _, body = await collection(org)
        assert body[0]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
        assert "SMS_Key__c duplicates value on record with id: 003" in body[0]["errors"][0]["message"]
        _, body = await collection(org)
        assert body[0]["created"] is False
