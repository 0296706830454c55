"""Merged and deleted records: writes for them go to the kept record."""

import pytest
from crm.salesforce_writes import contact, deliver, event, opt_in, reasons, sink
from msgspec.structs import replace

from connector.model.operation import ID_FIELD, Parent
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.ports import Task


async def merged(org, loser, winner, **chosen):
    """Contacts `loser` and `winner`, and the second one left over after a merge."""
    lost, kept = await org.load("Contact", [{"LastName": "Lost", **loser}, {"LastName": "Kept", **winner}])
    await org.control("POST", "merge", json={"object": "Contact", "winner": kept, "loser": lost, **chosen})
    return lost, kept


async def living(org):
    return [row for row in await org.records("Contact") if not row["IsDeleted"]]


def by_id(record_id, **fields):
    return replace(contact(record_id, **fields), key_field=ID_FIELD, may_create=False)


@pytest.mark.parametrize("may_create", [True, False])
async def test_a_write_by_a_merged_key_updates_the_kept_record_which_gets_the_key(org, may_create):
    _, kept = await merged(org, {"SMS_Key__c": "k"}, {})
    write = replace(contact("K", create={"FirstName": "New"}, MobilePhone="+4790000001"), may_create=may_create)
    (outcome,) = await deliver(org, write)
    assert outcome == Delivered(record_id=kept)
    (row,) = await living(org)
    assert (row["SMS_Key__c"], row["MobilePhone"], row["FirstName"]) == ("K", "+4790000001", None)
    (again,) = await deliver(org, write)
    assert again.record_id == kept
    assert len(await living(org)) == 1


async def test_a_kept_record_keeps_its_own_key(org):
    _, kept = await merged(org, {"SMS_Key__c": "k"}, {"SMS_Key__c": "own"})
    (outcome,) = await deliver(org, contact("k", create={"FirstName": "New"}, MobilePhone="+4790000001"))
    assert outcome == Delivered(record_id=kept)
    (row,) = await living(org)
    assert (row["SMS_Key__c"], row["MobilePhone"]) == ("own", "+4790000001")


async def test_a_chain_of_merges_is_followed_to_its_end(org):
    _, middle = await merged(org, {"SMS_Key__c": "k"}, {})
    (last,) = await org.load("Contact", [{"LastName": "Last"}])
    await org.control("POST", "merge", json={"object": "Contact", "winner": last, "loser": middle})
    assert await deliver(org, contact("k", create={"FirstName": "x"})) == [Delivered(record_id=last)]


async def test_writes_by_two_merged_keys_of_one_record_are_sent_in_order(org):
    lost = await org.load("Contact", [{"LastName": "A", "SMS_Key__c": "a"}, {"LastName": "B", "SMS_Key__c": "b"}])
    (kept,) = await org.load("Contact", [{"LastName": "Kept", "SMS_Key__c": "c"}])
    for loser in lost:
        await org.control("POST", "merge", json={"object": "Contact", "winner": kept, "loser": loser})
    writes = [contact(key, create={"FirstName": "x"}, Phone=key) for key in ("b", "a")]
    assert await deliver(org, *writes) == [Delivered(record_id=kept)] * 2
    (row,) = await living(org)
    assert row["Phone"] == "a"


async def test_an_event_finds_the_kept_contact_in_the_same_batch(org):
    _, kept = await merged(org, {"SMS_Key__c": "k"}, {})
    outcomes = await deliver(org, contact("k", create={"FirstName": "x"}), event("e", "k"))
    assert reasons(outcomes) == [None, None]
    (emitted,) = await org.records("SMS_Event__c")
    assert emitted["Contact__c"] == kept


async def test_an_event_alone_finds_the_kept_contact(org):
    _, kept = await merged(org, {"SMS_Key__c": "k"}, {"SMS_Key__c": "own"})
    outcomes = await deliver(org, event("e", "k"), event("e2", "nobody"))
    assert reasons(outcomes) == [None, Reason.PARENT_MISSING]
    (emitted,) = await org.records("SMS_Event__c")
    assert emitted["Contact__c"] == kept


async def test_an_update_by_id_follows_the_merge(org):
    lost, kept = await merged(org, {"SMS_Key__c": "k"}, {})
    assert await deliver(org, by_id(lost, MobilePhone="+4790000001")) == [Delivered(record_id=kept)]
    (row,) = await living(org)
    assert (row["MobilePhone"], row["SMS_Key__c"]) == ("+4790000001", None)


async def test_a_merged_parent_by_id_is_replaced_by_the_kept_record(org):
    lost, kept = await merged(org, {}, {})
    outcomes = await deliver(
        org, event("e", Contact__r=Parent(ID_FIELD, lost)), event("e2", Contact__c=lost), event("e3", Text__c=lost)
    )
    assert reasons(outcomes) == [None, None, None]
    rows = {row["Event_Key__c"]: row for row in await org.records("SMS_Event__c")}
    assert [rows[key]["Contact__c"] for key in ("e", "e2", "e3")] == [kept, kept, None]
    assert rows["e3"]["Text__c"] == lost


async def test_an_update_follows_a_merge_that_happens_before_the_write(org):
    lost, kept = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}, {"LastName": "Other"}])
    org.between = org.control("POST", "merge", json={"object": "Contact", "winner": kept, "loser": lost})
    outcomes = await sink().write(org, [Task(replace(contact("k"), may_create=False))])
    assert outcomes == [Delivered(record_id=kept)]
    assert [row["SMS_Key__c"] for row in await living(org)] == ["k"]


async def test_a_record_that_the_feed_showed_as_deleted_is_looked_up(org):
    lost, kept = await merged(org, {"SMS_Key__c": "k"}, {})
    assert await deliver(org, Task(contact("k"), gone=lost)) == [Delivered(record_id=kept)]
    assert len(await living(org)) == 1


async def test_a_deleted_record_is_created_again_unless_the_policy_asks_a_person(org):
    (lost,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    await org.control("POST", "delete", json={"object": "Contact", "ids": [lost]})
    write = contact("k", create={"FirstName": "New"})
    (parked,) = await deliver(org, write, by=sink(recreate=False))
    assert isinstance(parked, Rejected)
    assert parked.reason is Reason.NEEDS_PERSON
    assert lost in parked.detail
    (made,) = await deliver(org, write)
    assert made.created


async def test_no_policy_for_deleted_records_stops_an_opt_out(org):
    (lost,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    await org.control("POST", "delete", json={"object": "Contact", "ids": [lost]})
    out = replace(contact("k", create={"FirstName": "x"}, SMS_Opt_Out__c=True), consent=("SMS_Opt_Out__c",))
    (outcome,) = await deliver(org, out, by=sink(recreate=False))
    assert outcome.created


async def test_an_opt_in_does_not_clear_the_opt_out_of_the_kept_record(org):
    _, kept = await merged(org, {"SMS_Key__c": "k"}, {"SMS_Opt_Out__c": True})
    write = opt_in("k", MobilePhone="+4790000001")
    (outcome,) = await deliver(org, Task(write, shadow={"SMS_Opt_Out__c": True}))
    assert outcome == Delivered(record_id=kept, left_out=("SMS_Opt_Out__c", "SMS_Opt_Out_At__c"))
    (row,) = await living(org)
    assert (row["SMS_Opt_Out__c"], row["MobilePhone"]) == (True, "+4790000001")


@pytest.mark.parametrize("fault", ["unavailable", "limit_exceeded"])
async def test_a_failed_search_for_merged_records_is_retried_without_doubt(org, fault):
    lost, _ = await merged(org, {}, {})
    await org.fault(fault, after=1)
    (outcome,) = await deliver(org, by_id(lost))
    assert isinstance(outcome, Retry)
    assert not outcome.in_doubt


async def test_forty_merged_people_cost_few_calls(org):
    records = [{"LastName": "x", "SMS_Key__c": f"k{n}"} for n in range(40)]
    lost = await org.load("Contact", records)
    kept = await org.load("Contact", [{"LastName": "Kept"} for _ in records])
    for loser, winner in zip(lost, kept, strict=True):
        await org.control("POST", "merge", json={"object": "Contact", "winner": winner, "loser": loser})
    outcomes = await deliver(org, *[contact(f"k{n}", create={"FirstName": "x"}) for n in range(40)])
    assert [outcome.record_id for outcome in outcomes] == kept
    assert await org.api_calls() == 5  # two of them to learn of the keys
