"""An org's description of its objects, and what it lacks for a backfill."""

import pytest

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.responses import RequestFailed, read_failure
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read.describe import Describer
from connector.crm.salesforce.read.fields import fields_of
from connector.crm.salesforce.setup.backfill import lacking
from connector.model.outcome import Reason

API = Api(version="62.0", client="tests")


async def test_fields_are_described_with_what_matters_for_writing(org):
    fields = await fields_of(RestClient(API, org), "Contact")
    key = fields["SMS_Key__c"]
    assert (key.external_id, key.unique, key.length, key.createable, key.type) == (True, True, 80, True, "string")
    assert fields["LastName"].required
    assert fields["Gift_Interest__c"].picklist == ("Children", "Climate", "Other")
    assert fields["Gift_Interest__c"].restricted


async def contacts(org):
    return (await Describer(API).describe(org, ["Contact"]))["Contact"]


async def test_complete_contacts_lack_nothing_for_a_backfill(org):
    assert lacking(await contacts(org), "SMS_Key__c", ("MobilePhone", "HomePhone")) == []
    assert await org.api_calls() == 1


async def test_missing_fields_for_a_backfill_are_reported_with_the_cure(org):
    found = lacking(await contacts(org), "Name", ("MobilePhone", "Nonsense__c"))
    assert [one.partition(":")[0] for one in found] == [
        "Contact.Nonsense__c does not exist, or field-level security hides it",
        "`Contact.Name` is not an external ID",
        "`Contact.Name` is not unique, so that a repeat could create a second record",
        "Contact.Name is read-only",
    ]
    assert "Contact.Nonsense__c does not exist" in lacking(await contacts(org), "Nonsense__c", ())[0]
    assert "cannot be described (it does not exist, or is hidden)" in lacking(None, "SMS_Key__c", ())[0]
    await org.fault("unavailable")
    assert "cannot be described (unavailable" in lacking(await contacts(org), "SMS_Key__c", ())[0]


async def test_a_formula_is_described_as_calculated(org):
    described = (await Describer(API).describe(org, ["CampaignMember"]))["CampaignMember"]
    assert {name: described.field(name).calculated for name in ("HasResponded", "Status")} == {
        "HasResponded": True,
        "Status": False,
    }


async def test_an_unavailable_org_is_not_reported_as_lacking_fields(org):
    await org.fault("unavailable")
    with pytest.raises(RequestFailed) as failed:
        await fields_of(RestClient(API, org), "Contact")
    assert read_failure(failed.value).reason is Reason.UNAVAILABLE
