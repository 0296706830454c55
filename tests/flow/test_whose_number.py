"""Opt-outs of contacts whose number was changed in the CRM: they reach all numbers of the contact, and a person is asked."""

from datetime import timedelta

import pytest
from contract.crms import EACH_CRM
from flow.crowd import report

pytestmark = EACH_CRM

PAUSE = timedelta(minutes=10)  # longer than the daemon waits between two attempts
DONOR, OTHER, STRANGER = "+4790000001", "+4790000002", "+4790000003"


async def joined(world, number=DONOR):
    """A donor who has subscribed by SMS; their contact, as the feed has seen it."""
    await world.phone(number, "KATT")
    await world.settled()
    await world.poll()
    return (await world.contact(number))["id"]


async def edit(world, contact, **fields):
    await world.person(id=contact, **fields)
    await world.poll()


async def active(world):
    return {one["phone"] for one in await world.subscribers() if one["active"]}


async def emitted(world):
    return {one["phone"] for one in await world.orders()}


def questions(world):
    return [one.detail for one in world.app.store.dead_letters.listing(parked=True)]


def last_word(world, number):
    entries = [one for one in world.app.store.consents.of(number) if one.decision is not None]
    return entries[-1].decision.word if entries else None


@pytest.mark.parametrize("new", [OTHER, "900 00 002"])
async def test_an_opt_out_saved_with_a_changed_number_reaches_both_numbers_and_a_person(world, new):
    contact = await joined(world)
    await edit(world, contact, mobile=new, opted_out=True)
    assert await active(world) == set()
    assert await emitted(world) == {DONOR, OTHER}
    assert (last_word(world, DONOR), last_word(world, OTHER)) == ("opt_out", "opt_out")
    (question,) = questions(world)
    assert "carried out for 2" in question
    await world.poll()
    assert len(questions(world)) == 1


async def test_a_number_changed_before_the_opt_out_is_found_by_the_key(world):
    contact = await joined(world)
    await edit(world, contact, mobile=OTHER)
    assert await emitted(world) == set()
    await edit(world, contact, opted_out=True)
    assert await active(world) == set()
    assert await emitted(world) == {DONOR, OTHER}
    assert len(questions(world)) == 1
    # The same opt-out once more is not a new question.
    await edit(world, contact, opted_out=False)
    await edit(world, contact, opted_out=True)
    assert len(questions(world)) == 1


async def test_the_former_number_of_a_contact_that_we_never_wrote_is_found_by_its_key(world):
    await world.phone(DONOR, "KATT")
    contact = await world.person(last_name="Filled in later", mobile=OTHER)
    await world.settled()
    mine = (await world.contact(DONOR))["id"]
    await world.person(id=mine, sms_key=None, mobile=None)
    await edit(world, contact, sms_key=DONOR)
    await edit(world, contact, opted_out=True)
    assert (await active(world), await emitted(world)) == (set(), {DONOR, OTHER})


async def test_a_number_and_key_changed_before_the_opt_out_are_found_by_our_last_write(world):
    contact = await joined(world)
    await edit(world, contact, mobile=OTHER, sms_key=OTHER)
    await edit(world, contact, opted_out=True)
    assert await active(world) == set()
    assert await emitted(world) == {DONOR, OTHER}


async def test_an_opt_out_with_an_emptied_number_is_for_the_former_number(world):
    contact = await joined(world)
    await edit(world, contact, mobile=None, opted_out=True)
    assert await active(world) == set()
    assert await emitted(world) == {DONOR}
    assert last_word(world, DONOR) == "opt_out"
    assert questions(world) == []
    assert world.balanced()


async def test_an_opt_out_after_the_number_was_emptied_is_for_the_number_in_the_key(world):
    contact = await joined(world)
    await edit(world, contact, mobile=None)
    await edit(world, contact, opted_out=True)
    assert (await active(world), await emitted(world)) == (set(), {DONOR})


async def test_an_opted_out_contact_that_gets_another_donor_s_number_does_not_opt_that_donor_out(world):
    contact, _ = await joined(world), await joined(world, OTHER)
    await edit(world, contact, opted_out=True)
    before = await world.orders()
    await edit(world, contact, mobile=OTHER)
    assert await world.orders() == before
    assert await active(world) == {OTHER}
    assert len(questions(world)) == 1


async def test_swapped_numbers_of_two_contacts_wait_for_a_person(world):
    out, other = await joined(world), await joined(world, OTHER)
    await edit(world, out, opted_out=True)
    before = await world.orders()
    await world.people([{"id": out, "mobile": OTHER}, {"id": other, "mobile": DONOR}])
    await world.poll()
    assert await world.orders() == before
    assert len(questions(world)) == 1
    assert (last_word(world, DONOR), await active(world)) == ("opt_out", {OTHER})


async def test_an_emptied_number_of_an_opted_out_contact_needs_no_person(world):
    contact = await joined(world)
    await edit(world, contact, opted_out=True)
    before = await world.orders()
    await edit(world, contact, mobile=None)
    assert (await world.orders(), questions(world)) == (before, [])


async def release(world):
    (letter,) = world.app.store.dead_letters.listing(parked=True)
    assert await world.app.store.dead_letters.release([letter.event_id], now=world.clock.now()) == 1
    world.app.wake("plan")
    await world.settled()
    return world.app.store.inbox.get(letter.event_id)


async def test_releasing_a_changed_number_opts_out_the_new_number(world):
    contact = await joined(world)
    await edit(world, contact, opted_out=True)
    await edit(world, contact, mobile=STRANGER)
    (question,) = questions(world)
    assert "release this if the opt-out is for the new number too" in question
    assert (await release(world)).state == "delivered"
    assert last_word(world, STRANGER) == "opt_out"
    assert STRANGER in await emitted(world)
    assert questions(world) == []


async def test_an_opt_out_cleared_with_a_changed_number_holds_for_the_old_number(world):
    contact = await joined(world)
    await edit(world, contact, opted_out=True)
    await edit(world, contact, mobile=OTHER, opted_out=False)
    assert last_word(world, DONOR) == "opt_out"


async def test_a_contact_changed_opted_out_and_deleted_at_once_ends_the_old_number_too(world):
    if not world.crm.restores:
        pytest.skip("the CRM does not show what was deleted")
    contact = await joined(world)
    await world.person(id=contact, mobile=OTHER, opted_out=True)
    await world.bin(contact)
    await world.poll()
    assert (await active(world), await emitted(world)) == (set(), {DONOR, OTHER})


async def test_a_number_in_another_spelling_is_the_same_person(world):
    contact = await joined(world)
    await edit(world, contact, mobile="(+47) 900 00 001", opted_out=True)
    assert (await emitted(world), questions(world)) == ({DONOR}, [])


@pytest.mark.parametrize("key", [None, OTHER], ids=["emptied", "changed"])
async def test_a_contact_that_lost_its_key_gets_no_more_events_of_that_number(world, key):
    contact = await joined(world)
    await edit(world, contact, mobile=OTHER)
    await edit(world, contact, sms_key=key)
    assert await world.callback("dlr", report(1, 1)) == 200
    await world.settled()
    (new,) = [one for one in await world.records() if one["id"] != contact]
    assert (new["sms_key"], new["amount"]) == (world.crm.key(DONOR), 10)
    assert {one["id"]: one["amount"] for one in await world.records()}[contact] is None
    await world.poll()
    assert await emitted(world) == set()


@pytest.mark.parametrize("fault", ["row_lock", "dropped_before"])
async def test_a_key_that_moves_between_two_attempts_names_its_new_contact(world, fault):
    contact = await joined(world)
    other = await world.person(last_name="Kept", mobile=DONOR)
    await world.poll()
    await world.fault(world.crm_url, fault=fault, times=20, only="writes")
    await world.phone(DONOR, "KATT STOPP")
    await world.until(lambda: world.struck(world.crm_url, fault))
    await world.person(id=contact, sms_key=None)
    await world.person(id=other, sms_key=DONOR)
    await world.no_faults(world.crm_url)
    world.clock.ahead += PAUSE
    world.app.wake(world.crm.name)
    await world.settled()
    assert [await world.flag(one) for one in (contact, other)] == [False, True]
