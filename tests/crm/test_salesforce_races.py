"""Two writers of one record, and children that arrive before their parents."""

from crm.salesforce_writes import contact, deliver, event, reasons
from msgspec.structs import replace

from connector.model.outcome import Delivered, Reason, Rejected


async def test_a_key_that_somebody_else_creates_meanwhile_is_updated_at_the_next_try(org):
    await org.fault("overtaken", records=["k"], times=1)
    write = contact("k", MobilePhone="+4790000001")
    assert reasons(await deliver(org, write, contact("other"))) == [Reason.RACE, None]
    (outcome,) = await deliver(org, write)
    assert isinstance(outcome, Delivered)
    assert not outcome.created
    rows = [row for row in await org.records("Contact") if row["SMS_Key__c"] == "k"]
    assert [row["MobilePhone"] for row in rows] == ["+4790000001"]


async def test_another_unique_value_is_refused_for_good_and_its_owner_named(org):
    (owner,) = await org.load("Contact", [{"LastName": "Owner", "SMS_Key__c": "taken"}])
    write = contact("x@example.org", SMS_Key__c="taken")
    (outcome,) = await deliver(org, replace(write, key_field="Email"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.DUPLICATE_RECORD
    assert owner in outcome.detail


async def test_a_child_finds_the_parent_that_another_writer_has_made_since(org):
    child = event("e", "k")
    assert reasons(await deliver(org, child)) == [Reason.PARENT_MISSING]
    (parent,) = await org.load("Contact", [{"LastName": "Made", "SMS_Key__c": "k"}])
    assert reasons(await deliver(org, child)) == [None]
    (row,) = await org.records("SMS_Event__c")
    assert row["Contact__c"] == parent
