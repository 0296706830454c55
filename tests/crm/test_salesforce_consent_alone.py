"""Writes of only the consent fields: for a new record, only the fields that Salesforce requires are added."""

import pytest
from crm.salesforce_writes import contact, deliver, sink
from msgspec.structs import replace
from scripted_http import AnsweringHttp

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.responses import RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.org_fields import TRIES, OrgFields
from connector.model.http import HttpReply
from connector.model.outcome import Delivered, Reason


def opt_out(**create):
    write = contact("+4790000001", create={"LastName": "Ås", **create}, SMS_Opt_Out__c=True)
    return replace(write, set={"SMS_Opt_Out__c": True}, consent=("SMS_Opt_Out__c",), consent_only=True)


async def contacts(org):
    return (await org.control("GET", "records/Contact"))["records"]


@pytest.mark.parametrize("recreate", [True, False])
async def test_a_consent_only_write_creates_a_record_with_its_required_fields(org, recreate):
    (outcome,) = await deliver(org, opt_out(FirstName="Kari", Email="no address"), by=sink(recreate=recreate))
    assert isinstance(outcome, Delivered)
    assert outcome.created
    assert outcome.left_out == ("FirstName", "Email")
    (one,) = await contacts(org)
    assert (one["LastName"], one["FirstName"], one["Email"], one["SMS_Opt_Out__c"]) == ("Ås", None, None, True)


async def test_an_existing_record_gets_only_the_consent_fields(org):
    await org.control(
        "POST", "records/Contact", json={"records": [{"LastName": "Nord", "SMS_Key__c": "+4790000001"}], "by": "person"}
    )
    (outcome,) = await deliver(org, opt_out(Email="no address"))
    assert (outcome.created, outcome.left_out) == (False, ())
    (one,) = await contacts(org)
    assert (one["LastName"], one["SMS_Opt_Out__c"]) == ("Nord", True)


async def test_a_consent_only_write_includes_a_required_parent(org):
    await org.control("PATCH", "fields/Contact/AccountId", json={"required": True})
    (outcome,) = await deliver(org, opt_out(FirstName="Kari"))
    assert outcome.reason is Reason.FIELD_REQUIRED
    (account,) = (
        await org.control("POST", "records/Account", json={"records": [{"Name": "Household"}], "by": "person"})
    )["ids"]
    (outcome,) = await deliver(org, opt_out(FirstName="Kari", AccountId=account))
    assert outcome.left_out == ("FirstName",)


async def test_the_write_is_retried_if_the_org_does_not_describe_its_fields(org):
    await org.fault("unavailable", only="reads")
    (outcome,) = await deliver(org, opt_out(FirstName="Kari"), by=sink(recreate=False))
    assert outcome.reason is Reason.UNAVAILABLE
    (outcome,) = await deliver(org, opt_out(FirstName="Kari"))
    assert isinstance(outcome, Delivered)


async def test_required_fields_are_never_guessed_from_an_invalid_description():
    page = AnsweringHttp(lambda _: HttpReply(status=200, headers={}, body=b"<html>"))
    rest, fields = RestClient(Api(version="62.0", client="test"), page), OrgFields()
    for _ in range(2 * TRIES):
        await fields.learn(rest, ["Contact"])
        with pytest.raises(RequestFailed) as failed:
            await fields.learn_required(rest, ["Contact"])
        assert failed.value.outcome.reason is Reason.UNEXPECTED_ANSWER
