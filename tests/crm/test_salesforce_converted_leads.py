"""Converted leads are read-only: opt-outs are redirected to the contact; other writes are rejected and name it."""

import pytest
from crm.salesforce_writes import deliver
from msgspec.structs import replace

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.model.consent_fields import ConsentFields
from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Reason, Rejected

KEY = "+4790000001"
LEAD = ConsentFields(object="Lead", flag="SMS_Opt_Out__c", along=("SMS_Opt_Out_At__c",))
CONTACT = ConsentFields(object="Contact", flag="SMS_Opt_Out__c", along=("SMS_Opt_Out_At__c",))
WHEN = "2026-11-22T04:00:00.000Z"


def sink(*consent):
    return SalesforceSink(
        "crm", api=Api(version="62.0", client="tests"), consent_fields={one.object: one for one in consent}
    )


def opt_out(key=KEY, key_field="SMS_Key__c", **fields):
    fields = {"SMS_Opt_Out__c": True, "SMS_Opt_Out_At__c": WHEN, **fields}
    return RecordWrite(
        sink="crm",
        object="Lead",
        key_field=key_field,
        key=key,
        set=fields,
        may_create=False,
        consent=("SMS_Opt_Out__c", "SMS_Opt_Out_At__c"),
    )


@pytest.fixture
async def converted(org):
    """The Ids of a converted lead and of its contact."""
    (lead,) = await org.load("Lead", [{"LastName": "Ås", "Company": "x", "SMS_Key__c": KEY}])
    made = await org.control("POST", "convert", json={"lead": lead})
    return lead, made["contact"]


@pytest.mark.parametrize("by_id", [True, False])
async def test_an_opt_out_of_a_converted_lead_is_written_to_its_contact(org, converted, by_id):
    lead, contact = converted
    write = opt_out(lead, "Id") if by_id else opt_out()
    (outcome,) = await deliver(org, write, by=sink(LEAD, CONTACT))
    assert isinstance(outcome, Delivered)
    assert (outcome.record_id, contact in outcome.detail) == (None, True)  # the lead's key does not name the contact
    (row,) = await org.records("Contact")
    assert (row["Id"], row["SMS_Opt_Out__c"]) == (contact, True)
    assert row["SMS_Opt_Out_At__c"].startswith("2026-11-22T04:00:00")
    (kept,) = await org.records("Lead")
    assert kept["SMS_Opt_Out__c"] is False


async def test_an_opt_out_of_a_converted_lead_uses_the_consent_fields_of_the_contact(org, converted):
    theirs = ConsentFields(object="Contact", flag="Description", opted_out="OUT")
    (outcome,) = await deliver(org, opt_out(), by=sink(LEAD, theirs))
    assert isinstance(outcome, Delivered)
    (row,) = await org.records("Contact")
    assert (row["Description"], row["SMS_Opt_Out__c"], row["SMS_Opt_Out_At__c"]) == ("OUT", False, None)


async def test_an_opt_out_of_a_converted_lead_follows_a_merged_contact(org, converted):
    _, contact = converted
    (other,) = await org.load("Contact", [{"LastName": "Ås"}])
    await org.control("POST", "merge", json={"object": "Contact", "winner": other, "loser": contact})
    (outcome,) = await deliver(org, opt_out(), by=sink(LEAD, CONTACT))
    assert isinstance(outcome, Delivered)
    (row,) = [one for one in await org.records("Contact") if one["Id"] == other]
    assert row["SMS_Opt_Out__c"] is True


async def test_other_fields_for_a_converted_lead_are_refused_and_the_contact_is_named(org, converted):
    _, contact = converted
    whole = opt_out(FirstName="Kari")
    (outcome,) = await deliver(org, whole, by=sink(LEAD, CONTACT))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.code) == (Reason.VALIDATION, "CANNOT_UPDATE_CONVERTED_LEAD")
    assert contact in outcome.detail
    (row,) = await org.records("Contact")
    assert row["SMS_Opt_Out__c"] is False
    # Its consent fields alone, which are sent next, reach the contact.
    (outcome,) = await deliver(org, whole.narrowed(), by=sink(LEAD, CONTACT))
    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize("declared", [(LEAD,), (LEAD, CONTACT)])
async def test_an_opt_in_or_an_undeclared_opt_out_of_a_converted_lead_is_refused(org, converted, declared):
    write = opt_out()
    if CONTACT in declared:
        write = replace(write, set={"SMS_Opt_Out__c": False}, consent=("SMS_Opt_Out__c",), clears_flag=True)
    (outcome,) = await deliver(org, write, by=sink(*declared))
    assert isinstance(outcome, Rejected)
    assert converted[1] in outcome.detail
    (row,) = await org.records("Contact")
    assert row["SMS_Opt_Out__c"] is False


async def test_an_opt_out_of_a_converted_lead_is_refused_if_the_org_hides_its_contact(org, converted):
    await org.control("PATCH", "fields/Lead/ConvertedContactId", json={"hidden": True})
    (outcome,) = await deliver(org, opt_out(), by=sink(LEAD, CONTACT))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "CANNOT_UPDATE_CONVERTED_LEAD"
