"""An org whose contacts have no external IDs: senders of SMS are found by phone, over HTTP with both sandboxes."""

import shutil
from datetime import timedelta

import pytest
from flow.crowd import report
from flow.world import ROOT, a_world

DONOR = "+4790000001"
AS_PEOPLE_WRITE = "900 00 001"


@pytest.fixture
def mappings(tmp_path):
    """The plain set with the files that match put over it, as the page tells."""
    here = tmp_path / "mappings"
    here.mkdir()
    for path in (*(ROOT / "mappings").glob("*.yaml"), *(ROOT / "mappings/more/match-by-phone").glob("*.yaml")):
        shutil.copy(path, here)
    return here


@pytest.fixture
async def world(tmp_path, secrets, mappings):
    async with a_world(tmp_path, mappings=mappings) as made, made.running():
        await made.poll()
        yield made


def change(mappings, old, new):
    for path in mappings.glob("*.yaml"):
        path.write_text(path.read_text().replace(old, new))


async def of(world, record_id):
    return next(one for one in await world.records() if one["Id"] == record_id)


async def events_of(world):
    return [one["Contact__c"] for one in await world.records("SMS_Event__c")]


async def orders(world):
    return [(one["action"], one["keyword"]) for one in await world.orders()]


async def test_a_contact_is_found_by_its_number_in_any_spelling_and_gets_the_external_id(world):
    known = await world.person(LastName="Ås", FirstName="Kari", MobilePhone=AS_PEOPLE_WRITE)
    await world.phone(DONOR, "KATT")
    await world.settled()
    (contact,) = await world.records()
    assert contact["Id"] == known
    assert (contact["SMS_Key__c"], contact["MobilePhone"], contact["LastName"]) == (DONOR, AS_PEOPLE_WRITE, "Ås")
    assert set(await events_of(world)) == {known}
    assert world.balanced()


async def test_a_person_without_a_contact_gets_one(world):
    await world.phone(DONOR, "KATT")
    await world.phone(DONOR, "HUND")
    await world.settled()
    (contact,) = await world.records()
    assert (contact["SMS_Key__c"], contact["MobilePhone"]) == (DONOR, DONOR)


async def test_an_opt_out_is_set_on_all_contacts_with_the_number_without_an_echo(world):
    oldest = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE)
    younger = await world.person(LastName="Bø", MobilePhone="+47 90 00 00 01")
    at_home = await world.person(LastName="Dal", HomePhone="0047 90000001")
    stranger = await world.person(LastName="By", MobilePhone="900 00 002")
    await world.poll()
    await world.phone(DONOR, "KATT")
    await world.settled()
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    assert [await world.flag(one) for one in (oldest, younger, at_home, stranger)] == [True, True, True, False]
    assert [one["SMS_Key__c"] for one in await world.records()] == [DONOR, None, None, None]
    await world.poll()
    await world.poll()
    assert await orders(world) == []


@pytest.mark.parametrize("zero", ["\uff10", "\u0660", "\u0966"], ids=["full-width", "Arabic", "Devanagari"])
async def test_a_contact_whose_number_is_written_in_other_digits_is_found_once_the_feed_has_shown_it(world, zero):
    written = "".join(chr(ord(zero) + int(digit)) for digit in "90000001")
    known = await world.person(LastName="Ås", MobilePhone=written)
    plain = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE, HomePhone="office")
    await world.poll()
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    assert [await world.flag(one) for one in (known, plain)] == [True, True]
    assert len(await world.records()) == 2


async def test_contacts_unknown_to_the_feed_are_opted_out_without_a_question(world):
    """What the feed shows first is our own opt-out: their number is the one that it was for."""
    made = [await world.person(LastName=f"Ås {n}", MobilePhone=AS_PEOPLE_WRITE) for n in range(2)]
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    assert [await world.flag(one) for one in made] == [True, True]
    await world.poll()
    assert parked(world) == []
    assert await orders(world) == []


async def test_an_opt_in_clears_only_the_flag_of_its_own_contact(world):
    one = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE)
    other = await world.person(LastName="Bø", MobilePhone=AS_PEOPLE_WRITE)
    for text in ("KATT", "KATT STOPP", "KATT"):
        await world.phone(DONOR, text)
        await world.settled()
        await world.poll()
    assert [await world.flag(each) for each in (one, other)] == [False, True]
    assert await orders(world) == []


async def test_an_opt_in_does_not_clear_a_flag_that_a_person_has_just_set(world):
    known = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE)
    await world.poll()
    await world.person(Id=known, SMS_Opt_Out__c=True)
    await world.phone(DONOR, "KATT")
    await world.settled()
    assert await world.flag(known)


async def test_an_opt_in_clears_a_flag_that_a_poll_has_read(world):
    known = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE)
    await world.poll()
    await world.person(Id=known, SMS_Opt_Out__c=True)
    await world.poll()
    emitted = await orders(world)
    await world.phone(DONOR, "KATT")
    await world.settled()
    assert not await world.flag(known)
    await world.poll()
    assert await orders(world) == emitted


async def test_the_person_of_a_merged_contact_is_matched_again(world):
    first = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE)
    await world.phone(DONOR, "KATT")
    await world.settled()
    kept = await world.person(LastName="Ås", MobilePhone="+47 900 00 001")
    await world.post(f"{world.salesforce}/_sandbox/merge", {"object": "Contact", "winner": kept, "loser": first})
    await world.phone(DONOR, "HUND")
    await world.settled()
    assert [one["Id"] for one in await world.records() if not one["IsDeleted"]] == [kept]
    assert set(await events_of(world)) == {kept}


async def test_a_number_that_moved_to_another_contact_is_matched_again(world):
    first = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE)
    await world.phone(DONOR, "KATT")
    await world.settled()
    await world.poll()
    await world.person(Id=first, MobilePhone="900 00 009", SMS_Key__c=None)
    second = await world.person(LastName="Bø", MobilePhone=AS_PEOPLE_WRITE)
    await world.poll()
    await world.phone(DONOR, "HUND")
    await world.settled()
    assert (await of(world, second))["SMS_Key__c"] == DONOR
    assert (await events_of(world))[-1] == second


async def test_two_phone_numbers_of_one_contact_both_find_it(world):
    known = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE, HomePhone="900 00 002")
    await world.phone(DONOR, "KATT")
    await world.phone("+4790000002", "KATT")
    await world.settled()
    (contact,) = await world.records()
    assert contact["SMS_Key__c"] in {DONOR, "+4790000002"}
    assert set(await events_of(world)) == {known}
    assert world.balanced()


@pytest.fixture
async def careful(tmp_path, secrets, mappings):
    """A world whose mappings leave every doubt to a person."""
    change(mappings, "none: create, many: oldest", "none: create, many: park")
    async with a_world(tmp_path, mappings=mappings) as made, made.running():
        await made.poll()
        yield made


def parked(world):
    return world.app.store.dead_letters.listing(parked=True)


async def test_an_ambiguous_write_waits_with_its_candidates_until_they_are_merged(careful):
    ids = await careful.people([{"LastName": "Ås", "MobilePhone": AS_PEOPLE_WRITE} for _ in range(2)])
    await careful.phone(DONOR, "KATT")
    await careful.settled()
    letters = parked(careful)
    assert letters
    assert all(all(one in letter.detail for one in ids) for letter in letters)
    assert not any("0000" in letter.detail.replace(ids[0], "").replace(ids[1], "") for letter in letters)
    assert await careful.records("SMS_Event__c") == []
    await careful.post(f"{careful.salesforce}/_sandbox/merge", {"object": "Contact", "winner": ids[0], "loser": ids[1]})
    await careful.app.store.dead_letters.release(None, now=careful.clock.now())
    careful.app.wake("salesforce")
    await careful.settled()
    assert parked(careful) == []
    assert set(await events_of(careful)) == {ids[0]}
    assert (await of(careful, ids[0]))["SMS_Key__c"] == DONOR


async def test_an_ambiguous_opt_out_is_set_on_all_candidates_at_once(careful):
    ids = await careful.people([{"LastName": "Ås", "MobilePhone": AS_PEOPLE_WRITE} for _ in range(2)])
    await careful.poll()
    await careful.phone(DONOR, "STOPP")
    await careful.settled()
    assert [await careful.flag(one) for one in ids] == [True, True]
    assert parked(careful)
    await careful.poll()
    assert await orders(careful) == []
    await careful.app.store.dead_letters.discard(None, now=careful.clock.now())
    assert careful.balanced()


async def test_a_contact_whose_creation_got_no_reply_is_not_created_twice(tmp_path, secrets, mappings):
    async with a_world(tmp_path, mappings=mappings) as world:
        async with world.running():
            await world.poll()
            await world.fault(world.salesforce, fault="dropped", times=2)
            await world.phone(DONOR, "KATT")
            await world.until(world.records)
        world.clock.ahead += timedelta(minutes=2)
        async with world.running():
            await world.settled()
            await world.phone(DONOR, "HUND")
            await world.settled()
            (contact,) = await world.records()
            assert contact["SMS_Key__c"] == DONOR
            assert set(await events_of(world)) == {contact["Id"]}


async def test_a_child_that_is_retried_later_is_linked_to_its_parent(world):
    known = await world.person(LastName="Ås", MobilePhone=AS_PEOPLE_WRITE, SMS_Key__c="a key of the office")
    await world.fault(world.salesforce, fault="bad_record", records=["strex"])
    await world.phone(DONOR, "KATT")
    await world.until(world.app.store.dead_letters.listing)
    await world.no_faults(world.salesforce)
    await world.app.store.dead_letters.retry(None, now=world.clock.now())
    world.app.wake("salesforce")
    await world.settled()
    assert set(await events_of(world)) == {known}


async def test_a_hundred_simultaneous_donors_are_all_matched(world):
    people = [{"LastName": "x", "MobilePhone": f"900 00 {n:03}"} for n in range(100)]
    await world.people(people)
    for n in range(100):
        await world.phone(f"+4790000{n:03}", "KATT")
    await world.settled()
    assert len(await world.records()) == 100
    assert {one["SMS_Key__c"] for one in await world.records()} == {f"+4790000{n:03}" for n in range(100)}


async def test_a_write_by_a_number_outside_the_feed_whose_answer_is_lost_is_not_read_as_a_person_s(world):
    await world.person(LastName="Ås", MobilePhone=DONOR, HomePhone="900 00 002")
    await world.phone(DONOR, "KATT")
    await world.settled()
    await world.poll()
    await world.fault(world.salesforce, fault="dropped", times=1)
    assert await world.callback("dlr", report(2, 1)) == 200
    await world.until(lambda: world.struck(world.salesforce, "dropped"))
    await world.look()
    world.clock.ahead += timedelta(minutes=10)
    world.app.wake("salesforce")
    await world.settled()
    assert (await world.contact(DONOR))["SMS_Monthly_Amount__c"] == 10
    assert await orders(world) == []
