"""An org's description of its objects, and what it lacks."""

import pytest

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.responses import RequestFailed, read_failure
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read.preflight import Wanted, fields_of, preflight
from connector.model.outcome import Reason

API = Api(version="62.0", client="tests")


async def test_fields_are_told_with_what_matters_for_writing(org):
    fields = await fields_of(RestClient(API, org), "Contact")
    key = fields["SMS_Key__c"]
    assert (key.external_id, key.unique, key.length, key.createable, key.type) == (True, True, 80, True, "string")
    assert fields["LastName"].required
    assert fields["Gift_Interest__c"].picklist == ("Children", "Climate", "Other")
    assert fields["Gift_Interest__c"].restricted


async def test_an_org_that_has_everything_lacks_nothing(org):
    wanted = [
        Wanted(object="Contact", key_fields=("SMS_Key__c",), written=("LastName",), read=("SMS_Opt_Out__c",)),
        Wanted(object="SMS_Event__c", key_fields=("Event_Key__c",), written=("Contact__r", "Text__c")),
    ]
    assert await preflight(RestClient(API, org), wanted) == []
    assert await org.api_calls() == 2


async def test_what_an_org_lacks_is_said_with_the_cure(org):
    wanted = [
        Wanted(object="Contact", key_fields=("LastName", "Nonsense__c"), written=("Name",), read=("Other__c",)),
        Wanted(object="Nonsense__c"),
    ]
    findings = await preflight(RestClient(API, org), wanted)
    text = "\n".join(findings)
    assert "Contact.LastName is not an external ID: tick External ID" in text
    assert "Contact.LastName is not unique" in text
    assert "Contact.Nonsense__c does not exist" in text
    assert "Contact.Other__c does not exist" in text
    assert "Contact.Name is read-only" in text
    assert "Nonsense__c cannot be described" in text
    assert len(findings) == 6


async def test_a_watched_formula_is_told_because_its_changes_are_not_seen(org):
    (finding,) = await preflight(
        RestClient(API, org), [Wanted(object="CampaignMember", read=("HasResponded", "Status"))]
    )
    assert "CampaignMember.HasResponded is calculated" in finding


async def test_an_org_in_trouble_is_not_taken_for_one_that_lacks_something(org):
    await org.fault("unavailable")
    with pytest.raises(RequestFailed) as failed:
        await fields_of(RestClient(API, org), "Contact")
    assert read_failure(failed.value).reason is Reason.UNAVAILABLE


async def test_nothing_is_asked_for_nothing(org):
    assert await preflight(RestClient(API, org), []) == []
    assert org.sent == []
