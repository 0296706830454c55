"""Keys are compared as their field does: ids that differ only in letter case never silently become one record."""

import pytest
from crm.salesforce_writes import contact, deliver, reasons, sink

from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Reason

FIRST, SECOND = "Ch_1aBcD", "ch_1abCd"


def gift(transaction, amount, *, exact=True):
    return RecordWrite(
        sink="crm",
        object="Opportunity",
        key_field="SMS_Transaction__c",
        key=transaction,
        set={"Name": "Gift", "CloseDate": "2026-01-31", "Amount": amount},
        create={"StageName": "Closed Won"},
        exact=exact,
    )


async def gifts(org):
    answer = await org.control("GET", "records/Opportunity")
    return {one["SMS_Transaction__c"]: one["Amount"] for one in answer["records"]}


async def minding_case(org, minds, object_name="Opportunity", field="SMS_Transaction__c"):
    await org.control("PATCH", f"fields/{object_name}/{field}", json={"case_sensitive": minds})


@pytest.mark.parametrize("exact", [True, False])
async def test_ids_that_differ_in_letter_case_are_two_records_in_a_case_sensitive_key(org, exact):
    by = sink()
    outcomes = await deliver(org, gift(FIRST, 10, exact=exact), gift(SECOND, 20, exact=exact), by=by)
    assert all(isinstance(one, Delivered) for one in outcomes)
    await deliver(org, gift(SECOND, 25, exact=exact), by=by)
    assert await gifts(org) == {FIRST: 10, SECOND: 25}


async def test_ids_that_differ_in_letter_case_wait_for_a_person_in_a_case_insensitive_key(org):
    await minding_case(org, minds=False)
    by = sink()
    first, second = await deliver(org, gift(FIRST, 10), gift(SECOND, 20), by=by)
    assert isinstance(first, Delivered)
    assert (second.reason, second.in_doubt) == (Reason.HALTED, False)
    (again,) = await deliver(org, gift(SECOND, 20), by=by)
    assert again.reason is Reason.NEEDS_PERSON
    assert "make the field case sensitive, then release this" in again.detail
    assert await gifts(org) == {FIRST: 10}
    # The cure works when it is followed.
    await minding_case(org, minds=True)
    (released,) = await deliver(org, gift(SECOND, 20), by=by)
    assert isinstance(released, Delivered)
    assert await gifts(org) == {FIRST: 10, SECOND: 20}


async def test_the_same_id_is_written_again_in_a_case_insensitive_key(org):
    await minding_case(org, minds=False)
    by = sink()
    await deliver(org, gift(FIRST, 10), by=by)
    assert reasons(await deliver(org, gift(FIRST, 15), by=by)) == [None]
    assert await gifts(org) == {FIRST: 15}


async def test_words_in_another_letter_case_are_one_record_in_a_case_insensitive_key(org):
    outcomes = await deliver(org, contact("Katt", FirstName="A"), contact("KATT", FirstName="B"))
    assert reasons(outcomes) == [None, None]
    (one,) = (await org.control("GET", "records/Contact"))["records"]
    assert one["FirstName"] == "B"
    assert outcomes[0].record_id == outcomes[1].record_id


async def test_words_in_another_letter_case_are_two_records_in_a_case_sensitive_key(org):
    await minding_case(org, minds=True, object_name="Contact", field="SMS_Key__c")
    await deliver(org, contact("Katt", FirstName="A"), contact("KATT", FirstName="B"))
    found = (await org.control("GET", "records/Contact"))["records"]
    assert {one["SMS_Key__c"]: one["FirstName"] for one in found} == {"Katt": "A", "KATT": "B"}


async def test_a_look_up_of_keys_in_both_letter_cases_finds_each_record(org):
    """Fields that are only for new records are queried first if a deleted record may have the key."""
    await minding_case(org, minds=True, object_name="Contact", field="SMS_Key__c")
    by = sink(recreate=False)
    writes = [contact("Ab", FirstName="A", create={"Email": "a@example.com"})]
    await deliver(org, *writes, by=by)
    writes += [contact("aB", FirstName="B", create={"Email": "b@example.com"})]
    assert reasons(await deliver(org, *writes, by=by)) == [None, None]
    found = (await org.control("GET", "records/Contact"))["records"]
    assert {one["SMS_Key__c"]: one["Email"] for one in found} == {"Ab": "a@example.com", "aB": "b@example.com"}


async def test_a_key_without_letters_needs_no_description_of_its_field(org):
    by = sink()
    await deliver(org, gift("4711", 10), by=by)
    before = len(org.sent)
    await deliver(org, gift("4712", 10), by=by)
    assert len(org.sent) == before + 1
