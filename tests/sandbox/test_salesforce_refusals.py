"""Rejections and redirects chosen by a test, field permissions, conditional requests, converted leads, and addresses."""

from email.utils import formatdate

import pytest
from sandbox.test_salesforce_composite import upsert
from sandbox.test_salesforce_faults import fired, raw, switch
from sandbox.test_salesforce_signin import CLIENT, V, signed_in

from connector.sandbox.salesforce import org as new_org

RECORD = {"SMS_Key__c": "k1", "LastName": "Ås"}
OTHER = {"SMS_Key__c": "k2", "LastName": "Bø"}
FLOW = {"code": "CANNOT_EXECUTE_FLOW_TRIGGER", "message": "the flow failed"}


async def test_a_refuse_fault_answers_with_its_status_and_code():
    async with signed_in() as org:
        await switch(org, "refuse", status=403, code="ORG_LOCKED", message="locked")
        for _ in range(2):
            status, body = await org.upsert("Contact", "SMS_Key__c", RECORD)
            assert (status, body) == (403, [{"message": "locked", "errorCode": "ORG_LOCKED"}])
        assert (await raw(org))[0] == 403
        await org.control("DELETE", "faults?fault=refuse")
        assert (await org.upsert("Contact", "SMS_Key__c", RECORD))[0] == 200


async def test_a_refusal_may_be_of_one_object_and_come_a_few_times():
    async with signed_in() as org:
        await switch(org, "refuse", status=400, code="LIMIT_EXCEEDED", object="SMS_Event__c", times=1)
        assert (await org.upsert("Contact", "SMS_Key__c", RECORD))[0] == 200
        event = {"Event_Key__c": "e1"}
        assert (await org.upsert("SMS_Event__c", "Event_Key__c", event))[0] == 400
        assert (await org.upsert("SMS_Event__c", "Event_Key__c", event))[0] == 200
        assert await fired(org) == {"refuse": 1}


async def test_a_refusal_without_a_code_is_a_page():
    async with signed_in() as org:
        await switch(org, "refuse", status=403)
        assert (await raw(org))[:2] == (403, "text/html")


async def test_without_a_status_records_are_refused_each_alone():
    async with signed_in() as org:
        await switch(org, "refuse", **FLOW, records=["k1"])
        status, results = await org.upsert("Contact", "SMS_Key__c", RECORD, OTHER)
        assert status == 200
        assert results[0]["errors"] == [{"statusCode": FLOW["code"], "message": FLOW["message"], "fields": []}]
        assert results[1]["success"]
        await org.control("DELETE", "faults")
        await switch(org, "refuse", **FLOW, object="SMS_Event__c")
        parts = [upsert("Contact", "SMS_Key__c", RECORD), upsert("SMS_Event__c", "Event_Key__c", {"Event_Key__c": "e"})]
        parts[1]["referenceId"] = "b"
        _, body = await org.call("POST", "/composite", {"compositeRequest": parts})
        assert [part["body"][0]["success"] for part in body["compositeResponse"]] == [True, False]


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"fault": "refuse"}, "code"),
        ({"fault": "refuse", "status": 200}, "status"),
        ({"fault": "refuse", "code": "not a code"}, "code"),
        ({"fault": "redirect"}, "address"),
        ({"fault": "redirect", "to": "http://x", "status": 200}, "status"),
        ({"fault": "redirect", "to": "http://x", "sign_in": "never"}, "sign_in"),
        ({"fault": "slow", "status": 500}, "status"),
    ],
)
async def test_an_invalid_refuse_fault_is_rejected_with_the_reason(wish, word):
    async with signed_in() as org:
        status, body = await org.control("POST", "faults", wish)
        assert status == 400
        assert word in body["error"]


async def ask_for_token(org):
    async with org.http.post(f"{org.url}/services/oauth2/token", data=CLIENT, allow_redirects=False) as answer:
        return answer.status, await answer.json() if answer.status == 200 else answer.headers["Location"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_an_org_that_has_moved_names_its_new_address(status):
    async with signed_in() as org:
        await switch(org, "redirect", status=status, to="http://127.0.0.1:9")
        headers = {"Authorization": f"Bearer {org.token}"}
        async with org.http.get(f"{org.url}{V}/limits", headers=headers, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (status, f"http://127.0.0.1:9{V}/limits")
        _, token = await ask_for_token(org)
        assert token["instance_url"] == "http://127.0.0.1:9"


async def test_the_sign_in_of_an_org_that_has_moved_may_know_nothing_of_it_or_have_moved_too():
    async with signed_in() as org:
        await switch(org, "redirect", to="http://127.0.0.1:9", sign_in="old")
        assert (await ask_for_token(org))[1]["instance_url"] == org.url
        await org.control("DELETE", "faults")
        await switch(org, "redirect", to="http://127.0.0.1:9", sign_in="moved")
        assert await ask_for_token(org) == (301, "http://127.0.0.1:9/services/oauth2/token")


async def test_the_new_address_of_an_org_that_has_moved_answers():
    async with signed_in() as org:
        await switch(org, "redirect", to=org.url)
        assert (await org.call("GET", "/limits"))[0] == 200


async def test_a_hidden_field_is_neither_read_nor_written_and_keeps_its_values():
    async with signed_in() as org:
        await org.load("Contact", {"LastName": "x", "SMS_Opt_Out__c": True})
        await org.control("PATCH", "fields/Contact/SMS_Opt_Out__c", {"hidden": True})
        status, body = await org.soql("SELECT SMS_Opt_Out__c FROM Contact")
        assert (status, body[0]["errorCode"]) == (400, "INVALID_FIELD")
        status, _ = await org.upsert("Contact", "SMS_Key__c", {**RECORD, "SMS_Opt_Out__c": True})
        assert status == 400
        assert (await org.control("PATCH", "fields/Contact/SMS_Opt_Out__c", {"hidden": False}))[0] == 200
        _, body = await org.soql("SELECT SMS_Opt_Out__c FROM Contact")
        assert [row["SMS_Opt_Out__c"] for row in body["records"]] == [True]
        assert (await org.control("PATCH", "fields/Contact/SMS_Opt_Out__c", {"hidden": False}))[0] == 400


async def test_if_unmodified_since_refuses_a_change_after_another_change():
    async with signed_in() as org:
        (record,) = await org.load("Contact", RECORD)
        then = formatdate(org.clock.now, usegmt=True)
        path = f"/sobjects/Contact/{record}"
        assert (await org.call("PATCH", path, {"FirstName": "A"}, If_Unmodified_Since=then))[0] == 204
        org.clock.now += 2
        await org.load("Contact", {"Id": record, "FirstName": "B"})
        assert await org.call("PATCH", path, {"FirstName": "C"}, If_Unmodified_Since=then) == (412, None)
        assert (await org.rows("Contact"))[0]["FirstName"] == "B"
        assert (await org.call("PATCH", path, {"FirstName": "C"}, If_Unmodified_Since="yesterday"))[0] == 400
        assert (await org.call("PATCH", path, {"FirstName": "C"}))[0] == 204


async def test_a_converted_lead_becomes_a_contact_and_is_read_only():
    async with signed_in() as org:
        (lead,) = await org.load("Lead", {"LastName": "Ås", "Company": "x", "MobilePhone": "+4790000001"})
        status, made = await org.control("POST", "convert", {"lead": lead})
        assert status == 200
        assert [row["Id"] for row in await org.rows("Contact")] == [made["contact"]]
        _, body = await org.soql("SELECT IsConverted, ConvertedContactId FROM Lead")
        assert (body["records"][0]["IsConverted"], body["records"][0]["ConvertedContactId"]) == (True, made["contact"])
        status, body = await org.call("PATCH", f"/sobjects/Lead/{lead}", {"FirstName": "A"})
        assert (status, body[0]["errorCode"]) == (400, "CANNOT_UPDATE_CONVERTED_LEAD")
        assert (await org.control("POST", "convert", {"lead": lead}))[0] == 400


async def test_a_permanently_deleted_record_is_not_in_the_recycle_bin():
    async with signed_in() as org:
        first, second, third = await org.load("Contact", {"LastName": "A"}, {"LastName": "B"}, {"LastName": "C"})
        await org.control("POST", "delete", {"object": "Contact", "ids": [first]})
        assert await org.control("POST", "erase", {"object": "Contact", "ids": [first, second]}) == (
            200,
            {"ids": [first, second]},
        )
        _, body = await org.soql("SELECT Id FROM Contact", "queryAll")
        assert [row["Id"] for row in body["records"]] == [third]
        assert (await org.control("POST", "undelete", {"object": "Contact", "ids": [first]}))[0] == 400
        assert (await org.control("POST", "erase", {"object": "Contact", "ids": [first]}))[0] == 400


async def test_all_addresses_in_answers_are_the_sandboxs_own_and_a_token_can_be_ended():
    async with signed_in() as org:
        _, resources = await org.call("GET", "/")
        _, token = await ask_for_token(org)
        assert resources["identity"] == token["id"] == f"{org.url}/id/{new_org.ORGANIZATION}/{new_org.INTEGRATION_USER}"
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        async with org.http.get(token["id"], headers=headers) as answer:
            assert (await answer.json())["organization_id"] == new_org.ORGANIZATION
        revoke = f"{org.url}/services/oauth2/revoke"
        async with org.http.post(revoke, data={"token": token["access_token"]}) as answer:
            assert answer.status == 200
        async with org.http.get(token["id"], headers=headers) as answer:
            assert answer.status == 403
        async with org.http.post(revoke, data={"token": "another"}) as answer:
            assert answer.status == 400
