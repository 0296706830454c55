"""Records that may be new: fields only for new records overwrite nothing, without asking first."""

import pytest
from crm.salesforce_writes import contact, deliver, event, opt_in, reasons, sink
from msgspec.structs import replace

from connector.model.outcome import Delivered, Reason, Rejected
from connector.ports import Task

NEW = {"FirstName": "New", "LastName": "New"}


def donor(key, **fields):
    return replace(contact(key, create=NEW), set=fields)


async def names(org):
    return {row["SMS_Key__c"]: (row["FirstName"], row["LastName"]) for row in await org.records("Contact")}


async def emitted(org):
    """One donor who is known, so that the org's keys are."""
    salesforce = sink()
    await deliver(org, donor("told", MobilePhone="+4790000009"), by=salesforce)
    org.sent.clear()
    return salesforce


@pytest.mark.parametrize("each", [1, 5])
async def test_a_thousand_events_of_new_people_need_two_calls(org, each):
    salesforce = await emitted(org)
    people = [f"k{n}" for n in range(1000 // each)]
    writes = [donor(key, MobilePhone="+4790000001") for key in people]
    writes += [event(f"e{key}-{n}", key) for n in range(each) for key in people]
    outcomes = await deliver(org, *writes, by=salesforce)
    assert all(isinstance(outcome, Delivered) and outcome.created for outcome in outcomes)
    assert len(org.sent) == 2
    assert len(await org.records("SMS_Event__c")) == 1000


async def test_an_existing_record_does_not_get_the_create_fields(org):
    salesforce = await emitted(org)
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "K-old", "FirstName": "Kept"}])
    outcomes = await deliver(
        org, donor("k-old", MobilePhone="+4790000001"), donor("k-new"), event("e", "k-old"), by=salesforce
    )
    assert [outcome.created for outcome in outcomes] == [False, True, True]
    assert outcomes[0].record_id == known
    assert await names(org) == {"told": ("New", "New"), "k-old": ("Kept", "Old"), "k-new": ("New", "New")}
    assert [row["MobilePhone"] for row in await org.records("Contact") if row["Id"] == known] == ["+4790000001"]
    assert len(org.sent) == 2  # all of it, and once more the one that was there


async def test_an_existing_record_without_changes_is_not_sent_again(org):
    salesforce = await emitted(org)
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    assert await deliver(org, donor("k"), by=salesforce) == [Delivered(record_id=known)]
    assert len(org.sent) == 1


async def test_the_flag_of_an_existing_record_is_read_before_it_is_cleared(org):
    salesforce = await emitted(org)
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k", "SMS_Opt_Out__c": True}])
    outcomes = await deliver(org, opt_in("k", MobilePhone="+4790000001"), opt_in("k2"), by=salesforce)
    assert outcomes[0] == Delivered(record_id=known, left_out=("SMS_Opt_Out__c", "SMS_Opt_Out_At__c"))
    assert outcomes[1].created
    assert {row["SMS_Key__c"]: row["SMS_Opt_Out__c"] for row in await org.records("Contact")}["k"] is True


async def test_records_with_a_key_that_is_not_unique_are_looked_up_first(org):
    await org.load("Contact", [{"LastName": "Old", "Email": "a@example.org"}])
    write = replace(contact("a@example.org", create={"FirstName": "New"}), key_field="Email")
    (outcome,) = await deliver(org, write)
    assert isinstance(outcome, Delivered)
    assert not outcome.created
    assert len(await org.records("Contact")) == 1


async def test_a_known_record_is_neither_looked_up_nor_created(org):
    salesforce = await emitted(org)
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    task = Task(donor("k", MobilePhone="+4790000001"), record_id=known)
    assert await deliver(org, task, by=salesforce) == [Delivered(record_id=known)]
    assert len(org.sent) == 1
    assert (await names(org))["k"] == (None, "Old")


@pytest.mark.parametrize("fields", [{}, {"MobilePhone": "+4790000001"}, {"LastName": "Ås"}])
async def test_a_deleted_known_record_is_created_again_with_its_create_fields(org, fields):
    salesforce = await emitted(org)
    task = Task(donor("k", **fields), record_id="003000000000001AAA")
    outcomes = await deliver(org, task, event("e", "k"), by=salesforce)
    assert all(isinstance(outcome, Delivered) and outcome.created for outcome in outcomes)
    assert (await names(org))["k"] == ("New", fields.get("LastName", "New"))
    (child,) = await org.records("SMS_Event__c")
    assert child["Contact__c"] == outcomes[0].record_id


async def test_an_invalid_new_record_is_refused_with_its_child(org):
    salesforce = await emitted(org)
    outcomes = await deliver(
        org, donor("k", LastName="x" * 81), event("e", "k"), donor("k2"), event("e2", "k2"), by=salesforce
    )
    assert reasons(outcomes) == [Reason.TOO_LONG, Reason.PARENT_FAILED, None, None]
    assert isinstance(outcomes[0], Rejected)


async def test_an_invalid_create_field_does_not_stop_an_update(org):
    salesforce = await emitted(org)
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    write = replace(donor("k", MobilePhone="+4790000001"), create={"LastName": "x" * 81})
    outcomes = await deliver(org, write, event("e", "k"), by=salesforce)
    assert outcomes[0] == Delivered(record_id=known)
    assert isinstance(outcomes[1], Delivered)
    assert (await names(org))["k"] == (None, "Old")


async def test_an_existing_campaign_member_is_updated_by_its_key(org):
    salesforce = await emitted(org)
    (campaign,) = await org.load("Campaign", [{"Name": "Vote"}])
    (person,) = await org.load("Contact", [{"LastName": "Old"}])
    member = replace(
        event("m"),
        object="CampaignMember",
        key_field="SMS_Key__c",
        create={"CampaignId": campaign, "ContactId": person},
        set={"SMS_Reply__c": "A"},
    )
    for reply in ("A", "B"):
        (outcome,) = await deliver(org, replace(member, set={"SMS_Reply__c": reply}), by=salesforce)
        assert isinstance(outcome, Delivered)
    assert [row["SMS_Reply__c"] for row in await org.records("CampaignMember")] == ["B"]


async def test_an_org_that_does_not_describe_an_object_is_asked_three_times(org):
    salesforce = sink()
    write = replace(donor("k"), object="Nonsense__c")
    for _ in range(5):
        assert reasons(await deliver(org, write, by=salesforce)) == [Reason.CONFIGURATION]
    assert sum(call.path.endswith("describe") for call in org.sent) == 3
