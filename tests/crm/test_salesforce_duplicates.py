"""Duplicate rules: new records that look like others are allowed, matched or parked, as configured."""

import orjson
import pytest
from crm.salesforce_writes import contact, deliver, event, opt_in, reasons, sink
from msgspec.structs import replace

from connector.crm.salesforce.write.duplicates import Matches, Policy, matches
from connector.model.outcome import Delivered, Reason, Rejected
from connector.ports import Task

PERSON = {"LastName": "Ås", "MobilePhone": "+4790000001"}


def by(policy):
    return sink(duplicates={"contact": policy})


def new(key="k", **fields):
    return contact(key, **PERSON, **fields)


@pytest.fixture
async def twin(org):
    """An org with a rule, and a contact that the one of `new` looks like."""
    await org.control("POST", "duplicate_rules", json={"object": "Contact", "fields": ["LastName", "MobilePhone"]})
    (record_id,) = await org.load("Contact", [PERSON])
    return record_id


async def block(org):
    rule = {"object": "Contact", "fields": ["LastName"], "action": "block", "rule": "Strict"}
    await org.control("POST", "duplicate_rules", json=rule)


@pytest.mark.parametrize("with_event", [True, False])
async def test_a_duplicate_rule_that_warns_is_passed_by_default(org, twin, with_event):
    outcomes = await deliver(org, new(), *([event("e", "k")] if with_event else []))
    assert outcomes[0].created
    assert outcomes[0].record_id != twin
    assert await org.api_calls() == 1


async def test_a_duplicate_rule_that_blocks_makes_a_dead_letter(org):
    await block(org)
    await org.load("Contact", [{"LastName": "Other"}])
    assert reasons(await deliver(org, contact("k", LastName="Other"), contact("k2"))) == [Reason.DUPLICATE_RECORD, None]


async def test_a_single_duplicate_is_updated_and_gets_the_key(org, twin):
    outcomes = await deliver(org, new(FirstName="Kari"), event("e", "k"), by=by(Policy.MATCH))
    assert outcomes[0] == Delivered(record_id=twin)
    assert reasons(outcomes) == [None, None]
    (row,) = await org.records("Contact")
    assert (row["SMS_Key__c"], row["FirstName"]) == ("k", "Kari")
    (emitted,) = await org.records("SMS_Event__c")
    assert emitted["Contact__c"] == twin
    (again,) = await deliver(org, new(FirstName="Kari"), by=by(Policy.MATCH))
    assert again == Delivered(record_id=twin)


async def test_create_fields_are_not_written_to_the_duplicate(org, twin):
    await deliver(org, replace(new(), create={"FirstName": "New"}), by=by(Policy.MATCH))
    (row,) = await org.records("Contact")
    assert (row["Id"], row["FirstName"]) == (twin, None)


async def test_a_duplicate_does_not_stop_the_other_writes_of_the_batch(org, twin):
    writes = [contact(f"k{n}") for n in range(30)] + [new()]
    outcomes = await deliver(org, *writes, by=by(Policy.PARK))
    assert reasons(outcomes) == [None] * 30 + [Reason.NEEDS_PERSON]
    assert twin in outcomes[-1].detail
    assert "Standard_Contact_Duplicate_Rule" in outcomes[-1].detail
    assert isinstance(outcomes[-1], Rejected)
    assert len(await org.records("Contact")) == 31


async def test_several_duplicates_wait_for_a_person(org, twin):
    (other,) = await org.load("Contact", [PERSON])
    (outcome,) = await deliver(org, new(), by=by(Policy.MATCH))
    assert outcome.reason is Reason.NEEDS_PERSON
    assert twin in outcome.detail
    assert other in outcome.detail


async def test_a_duplicate_with_another_key_waits_for_a_person(org, twin):
    await org.load("Contact", [{"Id": twin, "SMS_Key__c": "another"}])
    (outcome,) = await deliver(org, new(), by=by(Policy.MATCH))
    assert outcome.reason is Reason.NEEDS_PERSON
    assert [row["SMS_Key__c"] for row in await org.records("Contact")] == ["another"]


async def test_an_opt_in_does_not_clear_the_opt_out_of_the_duplicate(org, twin):
    await org.load("Contact", [{"Id": twin, "SMS_Opt_Out__c": True}])
    (outcome,) = await deliver(org, Task(opt_in("k", **PERSON)), by=by(Policy.MATCH))
    assert outcome == Delivered(record_id=twin, left_out=("SMS_Opt_Out__c", "SMS_Opt_Out_At__c"))
    (row,) = await org.records("Contact")
    assert row["SMS_Opt_Out__c"]


@pytest.mark.parametrize("policy", [Policy.MATCH, Policy.PARK])
@pytest.mark.parametrize("asks", [True, False])
async def test_an_existing_record_is_updated_despite_a_duplicate_rule(org, policy, asks):
    rule = {"object": "Contact", "fields": ["LastName"], "on_edit": True}
    await org.control("POST", "duplicate_rules", json=rule)
    _, mine = await org.load("Contact", [{"LastName": "Ås"}, {"LastName": "Ås", "SMS_Key__c": "k"}])
    write = contact("k", FirstName="Kari", create={"Email": "kari@example.org"} if asks else None)
    assert await deliver(org, write, by=by(policy)) == [Delivered(record_id=mine)]


async def test_duplicates_of_a_hundred_records_are_searched_together(org):
    people = [{"LastName": f"Name{n}", "MobilePhone": "+4790000001"} for n in range(100)]
    await org.control("POST", "duplicate_rules", json={"object": "Contact", "fields": ["LastName"]})
    ids = await org.load("Contact", people)
    outcomes = await deliver(org, *[contact(f"k{n}", **one) for n, one in enumerate(people)], by=by(Policy.MATCH))
    assert [outcome.record_id for outcome in outcomes] == ids
    assert await org.api_calls() <= 1 + 1 + 4 + 1 + 1
    assert not any("k7" in call.path for call in org.sent)


async def test_a_duplicate_of_a_write_outside_of_composites_waits_for_a_person(org, twin):
    (outcome,) = await deliver(org, new(Description="@{x}"), by=by(Policy.MATCH))
    assert outcome.reason is Reason.NEEDS_PERSON
    assert len(await org.records("Contact")) == 1


async def test_a_failed_search_for_duplicates_is_retried(org, twin):
    await org.fault("unavailable", after=2)
    (outcome,) = await deliver(org, new(), by=by(Policy.MATCH))
    assert outcome.reason is Reason.UNAVAILABLE
    assert await deliver(org, new(), by=by(Policy.MATCH)) == [Delivered(record_id=twin)]


@pytest.mark.parametrize("name", ["duplicateResult", "duplicateResut"])
def test_both_spellings_of_the_duplicate_result_are_read(name):
    error = {
        "errorCode": "DUPLICATES_DETECTED",
        name: {
            "duplicateRule": "R",
            "matchResults": [
                {"entityType": "Contact", "matchRecords": [{"record": {"Id": "003a"}}, {"record": {"Id": "003b"}}]},
                {"entityType": "Contact", "matchRecords": [{"record": {"Id": "003a"}}, {}]},
                {"entityType": "Lead", "matchRecords": [{"record": {"Id": "00Qa"}}]},
            ],
        },
    }
    assert matches(error, "contact") == Matches(rule="R", record_ids=("003a", "003b"))


@pytest.mark.parametrize(
    "emitted", [None, [], "x", {"matchResults": 3}, {"matchResults": [None, {"matchRecords": {}}]}]
)
def test_a_reply_without_duplicates_has_none(emitted):
    error = orjson.loads(orjson.dumps({"duplicateResult": emitted}))
    assert matches(error, "Contact").record_ids == ()
