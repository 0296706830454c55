"""An opt-out flag is cleared only if nobody has set it since our last read."""

import pytest
from crm.salesforce_writes import CONSENT, contact, deliver, opt_in, reasons
from msgspec.structs import replace

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.model.outcome import Delivered, Reason
from connector.ports import Task


@pytest.mark.parametrize("shadow", [None, {}, {"SMS_Opt_Out__c": False}])
async def test_a_flag_that_a_person_set_meanwhile_is_not_cleared(org, shadow):
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k", "SMS_Opt_Out__c": True}])
    (outcome,) = await deliver(org, Task(opt_in(MobilePhone="+4790000001"), shadow))
    assert outcome == Delivered(record_id=known, left_out=("SMS_Opt_Out__c", "SMS_Opt_Out_At__c"))
    (row,) = await org.records("Contact")
    assert row["SMS_Opt_Out__c"] is True
    assert row["MobilePhone"] == "+4790000001"


async def test_nothing_is_written_if_only_the_flag_was_to_be_cleared(org):
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k", "SMS_Opt_Out__c": True}])
    (outcome,) = await deliver(org, Task(opt_in(), record_id=known))
    assert outcome == Delivered(record_id=known, left_out=("SMS_Opt_Out__c", "SMS_Opt_Out_At__c"))
    assert await org.api_calls() == 1


async def test_a_flag_in_the_shadow_is_cleared(org):
    await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k", "SMS_Opt_Out__c": True}])
    (outcome,) = await deliver(org, Task(opt_in(), {"SMS_Opt_Out__c": True}))
    assert outcome.left_out == ()
    assert [row["SMS_Opt_Out__c"] for row in await org.records("Contact")] == [False]


async def test_an_opt_in_is_written_completely_if_the_flag_is_not_set(org):
    await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k", "SMS_Opt_Out_At__c": "2026-11-22T04:00:00Z"}])
    (outcome,) = await deliver(org, Task(opt_in()))
    assert outcome.left_out == ()
    assert [row["SMS_Opt_Out_At__c"] for row in await org.records("Contact")] == [None]


async def test_a_flag_is_read_before_an_update_by_id(org):
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Opt_Out__c": True}])
    (outcome,) = await deliver(org, Task(replace(opt_in(known), key_field="Id")))
    assert outcome.left_out
    assert [row["SMS_Opt_Out__c"] for row in await org.records("Contact")] == [True]


async def test_an_opt_in_of_a_new_record_is_written_completely(org):
    (outcome,) = await deliver(org, Task(opt_in()))
    assert outcome.created
    assert outcome.left_out == ()


async def test_a_missing_flag_field_stops_only_writes_that_clear_it(org):
    wrong = {"Contact": replace(CONSENT, flag="Nonsense__c")}
    salesforce = SalesforceSink("crm", api=Api(version="62.0", client="tests"), consent_fields=wrong)
    known = Task(opt_in("a"), record_id="003000000000001AAA")
    outcomes = await deliver(org, known, contact("b", create={"FirstName": "x"}), by=salesforce)
    assert reasons(outcomes) == [Reason.CONFIGURATION, None]
