"""Two writers of one record, and children that arrive before their parents."""

import orjson
from crm.salesforce_writes import contact, deliver, event, reasons, sink
from msgspec.structs import replace
from scripted_http import AnsweringHttp

from connector.model.http import HttpReply
from connector.model.outcome import Delivered, Reason, Rejected
from connector.ports import Task


async def test_a_record_that_another_writer_creates_meanwhile_is_updated_at_the_next_try(org):
    await org.fault("overtaken", records=["k"], times=1)
    write = contact("k", MobilePhone="+4790000001")
    assert reasons(await deliver(org, write, contact("other"))) == [Reason.RACE, None]
    (outcome,) = await deliver(org, write)
    assert isinstance(outcome, Delivered)
    assert not outcome.created
    rows = [row for row in await org.records("Contact") if row["SMS_Key__c"] == "k"]
    assert [row["MobilePhone"] for row in rows] == ["+4790000001"]


async def test_a_duplicate_of_another_unique_field_is_rejected_and_its_owner_named(org):
    (owner,) = await org.load("Contact", [{"LastName": "Owner", "SMS_Key__c": "taken"}])
    write = contact("x@example.org", SMS_Key__c="taken")
    (outcome,) = await deliver(org, replace(write, key_field="Email"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.DUPLICATE_RECORD
    assert owner in outcome.detail


async def test_a_child_finds_the_parent_that_another_writer_created_since(org):
    child = event("e", "k")
    assert reasons(await deliver(org, child)) == [Reason.PARENT_MISSING]
    (parent,) = await org.load("Contact", [{"LastName": "Made", "SMS_Key__c": "k"}])
    assert reasons(await deliver(org, child)) == [None]
    (row,) = await org.records("SMS_Event__c")
    assert row["Contact__c"] == parent


def reply(body, status=200):
    return HttpReply(status=status, headers={}, body=orjson.dumps(body))


def refused(code, message):
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}


class ChangingOrg(AnsweringHttp):
    """Another program creates the parent while we write; the refusal of our insert does not say which record it is.

    The child is rejected at first because its parent is missing, and then for a reason of its own.
    """

    def __init__(self):
        super().__init__(self.answered)
        self.children = 0  # times that the child was sent

    def answered(self, call):
        if call.method == "GET" and "describe" in call.path:
            fields = [{"name": name, "type": "string", "unique": True} for name in ("Id", "SMS_Key__c", "Event_Key__c")]
            return reply({"fields": fields})
        if call.method == "GET":
            return reply({"records": [], "done": True, "totalSize": 0})
        body = orjson.loads(call.body)
        parts = [(part["method"], part["url"], part.get("body")) for part in body.get("compositeRequest", ())]
        if not parts:
            return reply(self.results(call.method, call.path, body))
        return reply(
            {
                "compositeResponse": [
                    {"referenceId": f"r{place}", "httpStatusCode": 200, "body": self.results(*part)}
                    for place, part in enumerate(parts)
                ]
            }
        )

    def results(self, method, url, body):
        if method == "GET":
            found = (
                [{"Id": "0035f0000000001AAA", "SMS_Key__c": "k", "IsDeleted": False}] if "FROM%20Contact" in url else []
            )
            return {"records": found, "done": True, "totalSize": len(found)}
        if body["records"][0]["attributes"]["type"] == "Contact":
            if method == "POST":
                return [refused("DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record")]
            return [{"id": "0035f0000000001AAA", "success": True, "errors": [], "created": False}]
        self.children += 1
        if self.children == 1:
            return [
                refused("INVALID_FIELD", "Foreign key external ID: k not found for field SMS_Key__c in entity Contact")
            ]
        return [refused("REQUIRED_FIELD_MISSING", "Required fields are missing: [Action__c]")]


async def test_a_child_whose_assumption_fails_after_its_parent_has_an_outcome():
    http = ChangingOrg()
    child = replace(event("e", "k"), create={"Status__c": "new"})
    outcomes = await sink().write(http, [Task(contact("k", create={"FirstName": "Kari"})), Task(child)])
    assert outcomes[0] == Delivered(record_id="0035f0000000001AAA")
    assert (type(outcomes[1]), outcomes[1].reason) == (Rejected, Reason.FIELD_REQUIRED)
    assert http.children == 3
