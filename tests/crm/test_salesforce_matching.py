"""Matching by phone against the sandbox org: the queries, the chosen record, the cost."""

import time

import pytest
from crm.salesforce_writes import CONSENT, deliver, event, opt_in, reasons
from msgspec.structs import replace

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.model.operation import IfMany, IfNone, Match, RecordWrite
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.model.record_number import NumberReader
from connector.model.remembered import Remembered
from connector.ports import Task

DONOR = "+4790000001"
MOST_SECONDS = 60  # of one query in an org of 200,000 contacts: half of what Salesforce allows itself


def sink():
    api = Api(version="62.0", client="tests")
    return SalesforceSink("crm", api=api, consent_fields={"Contact": CONSENT}, numbers=NumberReader(default="NO"))


def match(number=DONOR, *, none=IfNone.CREATE, many=IfMany.OLDEST, fields=("MobilePhone", "HomePhone")):
    return Match(phone=Phone(number), fields=fields, none=none, many=many)


def donor(number=DONOR, *, none=IfNone.CREATE, many=IfMany.OLDEST, create=True, **fields):
    return RecordWrite(
        sink="crm",
        object="Contact",
        key_field="SMS_Key__c",
        key=number,
        set=fields,
        create={"LastName": "Unknown", "MobilePhone": number} if create else {},
        may_create=none is IfNone.CREATE,
        match=match(number, none=none, many=many),
    )


def by_number_alone(number=DONOR, *, none=IfNone.PARK, many=IfMany.OLDEST, **fields):
    return RecordWrite(
        sink="crm",
        object="Contact",
        key_field="match:MobilePhone,HomePhone",
        key=number,
        set=fields,
        may_create=False,
        match=match(number, none=none, many=many),
    )


def opt_out(number=DONOR, **how):
    write = donor(number, **how, SMS_Opt_Out__c=True, SMS_Opt_Out_At__c="2026-01-01T12:00:00Z")
    return replace(write, consent=("SMS_Opt_Out__c", "SMS_Opt_Out_At__c"))


async def contacts(org):
    return {one["Id"]: one for one in await org.records("Contact")}


async def made(org, *records):
    return await org.load("Contact", [{"LastName": "Ås", **record} for record in records])


async def test_a_record_is_found_by_its_number_in_any_spelling_and_gets_the_key(org):
    forms = ["+47 900 00 001", "90000002", "0047 90 00 00 03", "(900) 00-004", "(+47) 900 00 005", "900/00/006"]
    ids = await made(org, *({"MobilePhone": form} for form in forms))
    outcomes = await deliver(org, *(donor(f"+479000000{n}", FirstName="Kari") for n in range(1, 7)), by=sink())
    assert [outcome.record_id for outcome in outcomes] == ids
    assert [one["SMS_Key__c"] for one in (await contacts(org)).values()] == [f"+479000000{n}" for n in range(1, 7)]


async def test_a_record_with_the_key_goes_before_records_with_the_number(org):
    _, keyed = await made(org, {"MobilePhone": DONOR}, {"SMS_Key__c": DONOR})
    (outcome,) = await deliver(org, donor(FirstName="Kari"), by=sink())
    assert outcome.record_id == keyed


async def test_an_existing_key_is_never_overwritten(org):
    (known,) = await made(org, {"MobilePhone": DONOR, "SMS_Key__c": "other"})
    outcomes = await deliver(org, donor(FirstName="Kari"), event("e1", DONOR), by=sink())
    assert [type(one) for one in outcomes] == [Delivered, Delivered]
    assert (await contacts(org))[known]["SMS_Key__c"] == "other"
    (child,) = await org.records("SMS_Event__c")
    assert child["Contact__c"] == known


async def test_an_empty_number_matches_nothing(org):
    await made(org, {"MobilePhone": None}, {"MobilePhone": "unknown"}, {"HomePhone": "000"})
    (outcome,) = await deliver(org, donor(none=IfNone.SKIP, create=False, FirstName="Kari"), by=sink())
    assert outcome.absent


@pytest.mark.parametrize(("many", "place"), [(IfMany.OLDEST, 0), (IfMany.NEWEST, 2)])
async def test_the_oldest_or_newest_of_several_records_is_used_as_configured(org, many, place):
    ids = await made(org, *({"MobilePhone": DONOR} for _ in range(3)))
    (outcome,) = await deliver(org, donor(many=many, FirstName="Kari"), by=sink())
    assert outcome.record_id == ids[place]


async def test_the_first_phone_field_with_the_number_decides(org):
    at_home, mobile = await made(org, {"HomePhone": DONOR}, {"MobilePhone": DONOR})
    (outcome,) = await deliver(org, donor(FirstName="Kari"), by=sink())
    assert outcome.record_id == mobile != at_home


async def test_several_records_wait_for_a_person_with_their_ids_and_no_number(org):
    ids = await made(org, {"MobilePhone": DONOR}, {"MobilePhone": "900 00 001"})
    outcomes = await deliver(org, donor(many=IfMany.PARK, FirstName="Kari"), event("e1", DONOR), by=sink())
    assert reasons(outcomes) == [Reason.NEEDS_PERSON, Reason.PARENT_FAILED]
    assert all(one in outcomes[0].detail for one in ids)
    assert "0000" not in outcomes[0].detail.replace(ids[0], "").replace(ids[1], "")


async def test_a_person_without_a_record_is_parked_or_skipped_with_all_children(org):
    parked = donor(none=IfNone.PARK, create=False, FirstName="Kari")
    skipped = donor("+4790000002", none=IfNone.SKIP, create=False, FirstName="Kari")
    outcomes = await deliver(org, parked, event("e1", DONOR), skipped, event("e2", "+4790000002"), by=sink())
    assert reasons(outcomes[:2]) == [Reason.NEEDS_PERSON, Reason.PARENT_FAILED]
    assert [one.absent for one in outcomes[2:]] == [True, True]
    assert await org.records("SMS_Event__c") == []


async def test_a_match_without_a_key_updates_the_found_record_by_its_id(org):
    (known,) = await made(org, {"MobilePhone": "900 00 001"})
    (outcome,) = await deliver(org, by_number_alone(FirstName="Kari"), by=sink())
    assert outcome == Delivered(record_id=known)
    assert (await contacts(org))[known]["FirstName"] == "Kari"


async def test_a_remembered_record_needs_no_search(org):
    (known,) = await made(org, {"MobilePhone": "nothing like a number"})
    before = await org.api_calls()
    remembered = Task(donor(FirstName="Kari"), remembered=Remembered(record_id=known))
    (outcome,) = await deliver(org, remembered, by=sink())
    assert outcome.record_id == known
    assert await org.api_calls() - before == 2
    assert not any(b"LIKE" in (call.body or b"") for call in org.sent)


async def test_a_deleted_remembered_record_is_searched_again(org):
    gone, there = await made(org, {"MobilePhone": DONOR}, {"MobilePhone": DONOR})
    await org.control("POST", "delete", json={"object": "Contact", "ids": [gone]})
    remembered = Task(donor(FirstName="Kari"), remembered=Remembered(record_id=gone))
    (outcome,) = await deliver(org, remembered, by=sink())
    assert outcome.record_id == there


async def test_a_record_that_is_deleted_before_the_write_is_matched_again(org):
    (gone,) = await made(org, {"MobilePhone": DONOR})
    org.between = org.control("POST", "delete", json={"object": "Contact", "ids": [gone]})
    (outcome,) = await sink().write(org, [Task(donor(FirstName="Kari"))])
    assert (type(outcome), outcome.reason) == (Retry, Reason.RACE)


async def test_a_merged_remembered_record_is_replaced_by_the_kept_record(org):
    gone, kept, other = await made(org, {"MobilePhone": DONOR}, {"MobilePhone": "another"}, {"MobilePhone": DONOR})
    await org.control("POST", "merge", json={"object": "Contact", "winner": kept, "loser": gone})
    remembered = Task(donor(FirstName="Kari"), remembered=Remembered(record_id=gone))
    (outcome,) = await deliver(org, remembered, by=sink())
    assert outcome.record_id == kept != other


async def test_a_key_that_another_record_gets_before_the_write_is_matched_again(org):
    await made(org, {"MobilePhone": DONOR})
    org.between = made(org, {"SMS_Key__c": DONOR})
    (outcome,) = await sink().write(org, [Task(donor(FirstName="Kari"))])
    assert (type(outcome), outcome.reason) == (Retry, Reason.RACE)


@pytest.mark.parametrize("none", list(IfNone))
async def test_the_key_of_a_merged_record_matches_the_kept_record(org, none):
    gone, kept = await made(org, {"MobilePhone": "another"}, {"MobilePhone": "nobody's"})
    await org.control("POST", "merge", json={"object": "Contact", "winner": kept, "loser": gone})
    write = donor(none=none, create=none is IfNone.CREATE, FirstName="Kari")
    (outcome,) = await deliver(org, Task(write, gone=gone), by=sink())
    assert outcome.record_id == kept


async def test_two_writes_that_match_one_record_are_sent_one_after_the_other(org):
    (known,) = await made(org, {"MobilePhone": DONOR, "HomePhone": "900 00 002"})
    first, second = await deliver(org, donor(FirstName="Kari"), donor("+4790000002", FirstName="Kari"), by=sink())
    assert first.record_id == known
    assert (type(second), second.reason) == (Retry, Reason.HALTED)


async def test_an_opt_out_marks_all_records_with_the_number_that_are_not_marked_yet(org):
    ids = await made(
        org,
        {"MobilePhone": DONOR},
        {"HomePhone": "900 00 001"},
        {"MobilePhone": "90 00 00 01", "SMS_Opt_Out__c": True, "SMS_Opt_Out_Source__c": "phone call"},
    )
    (outcome,) = await deliver(org, opt_out(), by=sink())
    assert outcome == Delivered(record_id=ids[0], also_updated=(ids[1],))
    assert [one["SMS_Opt_Out__c"] for one in (await contacts(org)).values()] == [True, True, True]
    assert (await contacts(org))[ids[2]]["SMS_Opt_Out_At__c"] is None


async def test_an_opt_out_of_a_remembered_record_marks_the_others_too(org):
    own, other = await made(org, {"MobilePhone": "changed"}, {"MobilePhone": DONOR})
    (outcome,) = await deliver(org, Task(opt_out(), remembered=Remembered(record_id=own)), by=sink())
    assert outcome == Delivered(record_id=own, also_updated=(other,))


async def test_an_opt_out_marks_all_records_even_if_the_match_waits_for_a_person(org):
    ids = await made(org, {"MobilePhone": DONOR}, {"MobilePhone": DONOR})
    (outcome,) = await deliver(org, opt_out(many=IfMany.PARK), by=sink())
    assert (outcome.reason, outcome.also_updated) == (Reason.NEEDS_PERSON, tuple(ids))
    assert all(one["SMS_Opt_Out__c"] for one in (await contacts(org)).values())


async def test_an_opt_out_that_one_record_refuses_is_rejected(org):
    own, other = await made(org, {"MobilePhone": DONOR}, {"MobilePhone": DONOR})
    await org.fault("bad_record", records=[other])
    (outcome,) = await deliver(org, opt_out(), by=sink())
    assert isinstance(outcome, Rejected)
    assert outcome.also_updated == (own,)
    assert outcome.detail.startswith(other)
    assert not (await contacts(org))[other]["SMS_Opt_Out__c"]


async def test_an_opt_out_that_meets_a_locked_record_is_retried(org):
    await made(org, {"MobilePhone": DONOR}, {"MobilePhone": DONOR})
    await org.fault("row_lock", after=1)
    (outcome,) = await deliver(org, opt_out(), by=sink())
    assert (outcome.reason, outcome.in_doubt) == (Reason.ROW_LOCKED, True)
    (outcome,) = await deliver(org, opt_out(), by=sink())
    assert isinstance(outcome, Delivered)
    assert all(one["SMS_Opt_Out__c"] for one in (await contacts(org)).values())


async def test_a_flag_without_a_shadow_is_not_cleared(org):
    (known,) = await made(org, {"MobilePhone": DONOR, "SMS_Opt_Out__c": True})
    write = replace(opt_in(DONOR), match=match())
    (outcome,) = await deliver(org, write, by=sink())
    assert outcome.left_out == ("SMS_Opt_Out__c", "SMS_Opt_Out_At__c")
    seen = Remembered(shadows={known: {"SMS_Opt_Out__c": True}})
    (outcome,) = await deliver(org, Task(write, remembered=seen), by=sink())
    assert outcome.left_out == ()
    assert not (await contacts(org))[known]["SMS_Opt_Out__c"]


async def test_the_shadow_of_a_merged_record_does_not_allow_clearing_the_flag_of_the_kept_one(org):
    gone, there = await made(org, {"MobilePhone": DONOR}, {"MobilePhone": DONOR, "SMS_Opt_Out__c": True})
    await org.control("POST", "merge", json={"object": "Contact", "winner": there, "loser": gone})
    known = Task(replace(opt_in(DONOR), match=match()), {"SMS_Opt_Out__c": True}, Remembered(record_id=gone))
    (outcome,) = await deliver(org, known, by=sink())
    assert "SMS_Opt_Out__c" in outcome.left_out


async def test_a_missing_phone_field_stops_only_its_own_writes(org):
    wrong = replace(donor(), match=match(fields=("Mobil__c",)))
    outcomes = await deliver(org, wrong, event("e1"), by=sink())
    assert reasons(outcomes) == [Reason.CONFIGURATION, None]


async def test_nothing_is_written_if_the_search_fails(org):
    await org.fault("unavailable", times=9)
    outcomes = await deliver(org, donor(), event("e1", DONOR), by=sink())
    assert {type(one) for one in outcomes} == {Retry}
    await org.calm()
    assert await org.records("Contact") == []


async def test_matching_200_people_in_an_org_of_200_000_contacts_is_one_query(org):
    numbers = [f"+4791{n:06}" for n in range(0, 200_000, 1000)]
    fields = {
        "LastName": "Donor ######",
        "MobilePhone": ["+47 91# ## ###", "91 ## ## ##", "004791######", "(91#) ##-###", None],
        "HomePhone": [None, None, None, None, "91#/##/###"],
    }
    await org.control("POST", "seed/Contact", json={"count": 200_000, "fields": fields})
    before, began = await org.api_calls(), time.monotonic()
    outcomes = await deliver(org, *(donor(number) for number in numbers), by=sink())
    assert all(isinstance(one, Delivered) and not one.created for one in outcomes)
    assert len({one.record_id for one in outcomes}) == 200
    searches = [call for call in org.sent if b"LIKE" in (call.body or b"")]
    assert len(searches) == 1
    assert await org.api_calls() - before == 2  # the search, and the keys that the records are given
    assert time.monotonic() - began < MOST_SECONDS
