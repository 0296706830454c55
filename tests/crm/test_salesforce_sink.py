"""The sink against an org: the written records, each task's outcome, and the cost."""

import orjson
import pytest
from crm.salesforce_writes import contact, deliver, event, reasons, sink
from msgspec.structs import replace

from connector.crm.salesforce.write.send import Composite
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.ports import Task


async def test_a_contact_and_its_event_are_written_in_one_call(org):
    outcomes = await deliver(org, event("e", "k"), contact("k", MobilePhone="+4790000001"))
    assert all(isinstance(outcome, Delivered) and outcome.created for outcome in outcomes)
    (person,) = await org.records("Contact")
    (emitted,) = await org.records("SMS_Event__c")
    assert person["MobilePhone"] == "+4790000001"
    assert emitted["Contact__c"] == person["Id"] == outcomes[1].record_id
    assert await org.api_calls() == 1


async def test_the_same_batch_again_changes_nothing(org):
    batch = [contact("k"), event("e", "k")]
    first = await deliver(org, *batch)
    again = await deliver(org, *batch)
    assert [outcome.record_id for outcome in again] == [outcome.record_id for outcome in first]
    assert not any(outcome.created for outcome in again)


@pytest.mark.parametrize(("create", "calls"), [(None, 2), ({"FirstName": "Kari"}, 4)])
async def test_a_thousand_people_with_an_event_each_need_few_calls(org, create, calls):
    writes = [one for n in range(1000) for one in (contact(f"k{n}", create=create), event(f"e{n}", f"k{n}"))]
    assert len(writes) <= sink().batch
    outcomes = await deliver(org, *writes)
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert await org.api_calls() == calls
    assert len(await org.records("SMS_Event__c")) == 1000


async def test_a_small_batch_of_one_object_needs_no_composite(org):
    await deliver(org, contact("a"), contact("b"))
    assert [call.path for call in org.sent] == ["/services/data/v62.0/composite/sobjects/Contact/SMS_Key__c"]


async def test_create_fields_are_written_only_to_new_records(org):
    await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "K-old", "FirstName": "Kept"}])
    write = replace(
        contact("k-old", create={"FirstName": "New", "LastName": "New"}), set={"MobilePhone": "+4790000001"}
    )
    outcomes = await deliver(org, write, replace(write, key="k-new"))
    assert [outcome.created for outcome in outcomes] == [False, True]
    rows = {row["SMS_Key__c"].lower(): row for row in await org.records("Contact")}
    assert (rows["k-old"]["FirstName"], rows["k-old"]["LastName"]) == ("Kept", "Old")
    assert rows["k-new"]["FirstName"] == "New"
    assert {row["MobilePhone"] for row in rows.values()} == {"+4790000001"}


async def test_nothing_is_sent_for_a_known_record_with_only_create_fields(org):
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    write = replace(contact("k", create={"FirstName": "New"}), set={})
    assert await deliver(org, Task(write, record_id=known)) == [Delivered(record_id=known)]
    assert org.sent == []


async def test_an_update_never_creates(org):
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    outcomes = await deliver(
        org, replace(contact("k", LastName="New"), may_create=False), replace(contact("x"), may_create=False)
    )
    assert outcomes[0] == Delivered(record_id=known)
    assert isinstance(outcomes[1], Rejected)
    assert outcomes[1].reason is Reason.RECORD_MISSING
    assert [row["LastName"] for row in await org.records("Contact")] == ["New"]


async def test_an_update_does_not_create_a_record_that_was_just_deleted(org):
    (known,) = await org.load("Contact", [{"LastName": "Old", "SMS_Key__c": "k"}])
    org.between = org.control("POST", "delete", json={"object": "Contact", "ids": [known]})
    outcomes = await sink().write(org, [Task(replace(contact("k"), may_create=False))])
    assert reasons(outcomes) == [Reason.RECORD_DELETED]
    assert [row["Id"] for row in await org.records("Contact") if not row["IsDeleted"]] == []


async def test_look_ups_of_keys_stay_within_the_limits_of_queries(org):
    writes = [replace(contact(f"k{n}"), may_create=False) for n in range(401)]
    writes += [replace(event("'" * 70 + str(n)), may_create=False) for n in range(200)]
    outcomes = await deliver(org, *writes)
    assert set(reasons(outcomes)) == {Reason.RECORD_MISSING}
    queries = [
        part["url"]
        for call in org.sent
        for part in orjson.loads(call.body).get("compositeRequest", ())
        if part["method"] == "GET"
    ]
    assert sum(url.count("%2C%27k") + url.count("%28%27k") for url in queries) == 401
    assert max(url.count("%2C%27k") + url.count("%28%27k") for url in queries) == 200
    assert max(len(url) for url in queries) < 16_000


async def test_a_record_is_updated_by_its_id(org):
    (known,) = await org.load("Contact", [{"LastName": "Old"}])
    write = replace(contact(known, LastName="New"), key_field="Id")
    assert await deliver(org, write) == [Delivered(record_id=known)]
    assert [row["LastName"] for row in await org.records("Contact")] == ["New"]


async def test_only_the_invalid_record_is_refused(org):
    outcomes = await deliver(org, contact("a"), contact("b", FirstName="x" * 41), contact("c"))
    assert reasons(outcomes) == [None, Reason.TOO_LONG, None]
    assert "FirstName" in outcomes[1].detail or "First Name" in outcomes[1].detail


async def test_a_child_of_a_refused_parent_is_refused(org):
    batch = [contact(f"k{n}") for n in range(1000)]
    batch[7] = contact("k7", FirstName="x" * 41)
    outcomes = await deliver(org, *batch, event("e7", "k7"), event("e8", "k8"))
    assert outcomes[7].reason is Reason.TOO_LONG
    assert isinstance(outcomes[1000], Rejected)
    assert outcomes[1000].reason is Reason.PARENT_FAILED
    assert isinstance(outcomes[1001], Delivered)
    # It was not even sent: its parent's fate was known before.
    assert b'"e7"' not in org.sent[-1].body


async def test_a_child_in_the_request_of_its_refused_parent_is_refused(org):
    outcomes = await deliver(org, contact("k", FirstName="x" * 41), event("e", "k"))
    assert reasons(outcomes) == [Reason.TOO_LONG, Reason.PARENT_FAILED]


async def test_a_child_waits_for_a_parent_with_a_configuration_error(org):
    outcomes = await deliver(org, contact("k", Nonsense__c=1), event("e", "k"))
    assert reasons(outcomes) == [Reason.CONFIGURATION, Reason.PARENT_WAITING]
    assert isinstance(outcomes[1], Retry)
    assert outcomes[0].field == "Nonsense__c"


async def test_a_child_waits_for_a_parent_that_is_to_be_retried(org):
    await org.fault("row_lock", records=["k"])
    outcomes = await deliver(org, contact("k"), event("e", "k"), contact("other"))
    assert reasons(outcomes) == [Reason.ROW_LOCKED, Reason.PARENT_WAITING, None]
    assert isinstance(outcomes[1], Retry)


async def test_a_child_of_an_unknown_parent_is_retried(org):
    outcomes = await deliver(org, event("e", "nobody"))
    assert isinstance(outcomes[0], Retry)
    assert outcomes[0].reason is Reason.PARENT_MISSING


@pytest.mark.parametrize("composite", [Composite.UNTRIED, Composite.REFUSED])
async def test_a_record_that_spoils_a_request_is_found_and_the_others_are_written(org, composite):
    await org.fault("bad_record", records=["k123", "k456"])
    writes = [contact(f"k{n}") for n in range(600)] + [event(f"e{n}", f"k{n}") for n in range(400, 600)]
    outcomes = await deliver(org, *writes, by=sink(composite=composite))
    refused = [index for index, outcome in enumerate(outcomes) if not isinstance(outcome, Delivered)]
    assert refused == [123, 456, 656]
    assert outcomes[123].reason is Reason.BAD_VALUE
    assert outcomes[656].reason is Reason.PARENT_FAILED
    assert len(await org.records("Contact")) == 598
    assert await org.api_calls() < 60


async def test_a_record_with_an_invalid_time_is_found_and_the_others_are_written(org):
    writes = [event(f"e{n}", Occurred_At__c="2026-11-22T04:00:00.000Z") for n in range(300)]
    writes[42] = event("e42", Occurred_At__c="yesterday")
    outcomes = await deliver(org, *writes)
    assert [index for index, outcome in enumerate(outcomes) if not isinstance(outcome, Delivered)] == [42]
    assert outcomes[42].reason is Reason.BAD_VALUE


async def test_a_missing_field_is_refused_at_once_for_all_writes_that_use_it(org):
    writes = [contact(f"k{n}", **({"Nonsense__c": 1} if n % 2 else {})) for n in range(400)]
    outcomes = await deliver(org, *writes)
    assert [isinstance(outcome, Delivered) for outcome in outcomes] == [n % 2 == 0 for n in range(400)]
    assert {outcome.reason for outcome in outcomes[1::2]} == {Reason.CONFIGURATION}
    assert "Nonsense__c" in outcomes[1].detail
    assert await org.api_calls() == 2


async def test_a_missing_object_stops_only_its_own_writes(org):
    wrong = replace(contact("k"), object="Nonsense__c")
    outcomes = await deliver(org, wrong, contact("k2"), replace(wrong, key="k3"))
    assert reasons(outcomes) == [Reason.CONFIGURATION, None, Reason.CONFIGURATION]


async def test_a_missing_external_id_stops_only_its_own_writes(org):
    wrong = replace(contact("k"), key_field="Nonsense__c")
    looked_for = replace(wrong, create={"FirstName": "x"})
    assert reasons(await deliver(org, wrong, contact("k2"))) == [Reason.CONFIGURATION, None]
    assert reasons(await deliver(org, looked_for, contact("k3"))) == [Reason.CONFIGURATION, None]


async def test_an_org_that_refuses_upserts_in_composites_gets_them_one_by_one(org):
    await org.fault("no_composite_upsert")
    salesforce = sink()
    outcomes = await deliver(org, contact("k"), event("e", "k"), by=salesforce)
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert len(org.sent) == 3
    await deliver(org, contact("k2"), event("e2", "k2"), by=salesforce)
    assert len(org.sent) == 5  # it is remembered


async def test_a_configuration_error_does_not_turn_composites_off(org):
    salesforce = sink()
    wrong = [replace(contact("k"), object="Nonsense__c"), replace(contact("k"), object="Other__c")]
    assert reasons(await deliver(org, *wrong, by=salesforce)) == [Reason.CONFIGURATION] * 2
    org.sent.clear()
    await deliver(org, contact("k"), event("e", "k"), by=salesforce)
    assert len(org.sent) == 1


async def test_a_configuration_error_is_not_sent_again_without_a_composite(org):
    salesforce = sink()
    await deliver(org, contact("k"), event("e", "k"), by=salesforce)
    org.sent.clear()
    wrong = [replace(contact("k"), object="Nonsense__c"), replace(contact("k"), object="Other__c")]
    assert reasons(await deliver(org, *wrong, by=salesforce)) == [Reason.CONFIGURATION] * 2
    assert len(org.sent) == 1


async def test_a_text_that_looks_like_a_reference_is_written_as_text(org):
    outcomes = await deliver(org, contact("k"), event("e", "k", Text__c="@{r0[0].id} @{nobody.x}"), contact("k2"))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert [row["Text__c"] for row in await org.records("SMS_Event__c")] == ["@{r0[0].id} @{nobody.x}"]


@pytest.mark.parametrize(
    "key", ["O'Brien", "a\\b", 'say "hi"', "a\nb", "50 %", "a&b+c", "@{r0.id}", "') OR ('1'='1", "ÆØÅ"]
)
async def test_any_text_can_be_a_key(org, key):
    write = contact(key, create={"FirstName": "New"}, MobilePhone="+4790000001")
    assert isinstance((await deliver(org, write))[0], Delivered)
    (again,) = await deliver(org, write)
    assert isinstance(again, Delivered)
    assert not again.created
    assert len(await org.records("Contact")) == 1


async def test_a_key_of_several_records_waits_for_a_person(org):
    await org.load(
        "Contact", [{"LastName": "A", "Email": "a@example.org"}, {"LastName": "B", "Email": "a@example.org"}]
    )
    write = replace(contact("a@example.org", create={"FirstName": "New"}), key_field="Email")
    assert reasons(await deliver(org, write)) == [Reason.AMBIGUOUS_KEY]
    assert reasons(await deliver(org, replace(write, create={}))) == [Reason.AMBIGUOUS_KEY]
    assert reasons(await deliver(org, replace(write, create={}, may_create=False))) == [Reason.AMBIGUOUS_KEY]
