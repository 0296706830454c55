"""Contacts merged by a person while their donors continue: no second contact is created, and the old one is not written."""

from datetime import timedelta

import pytest
from contract.crms import EACH_CRM
from flow.crowd import number, report

pytestmark = EACH_CRM

DONOR = number(1)


async def changed(world, turn):
    """The donor's amount changes."""
    assert await world.callback("dlr", report(1, turn)) == 200
    await world.settled()


async def living(world):
    return [row for row in await world.records() if not row["deleted"]]


@pytest.mark.parametrize("seen", [True, False])
async def test_events_for_a_merged_contact_are_written_to_the_kept_one(world, seen):
    await changed(world, 1)
    mine = await world.contact(DONOR)
    kept = await world.person(last_name="Kept")
    await world.poll()
    await world.merge(kept, mine["id"])
    if seen:
        await world.poll()
    await changed(world, 2)
    (row,) = await living(world)
    assert (row["id"], row["sms_key"], row["amount"]) == (kept, world.crm.key(DONOR), 20)
    assert {one["donor_id"] for one in await world.records("sms_event")} == {kept}
    await world.poll()
    await changed(world, 3)
    (row,) = await living(world)
    assert row["amount"] == 30
    assert world.counts().keys() == {"delivered"}


async def test_a_kept_contact_keeps_its_number_and_gets_events_for_the_merged_one(world):
    await changed(world, 1)
    mine = await world.contact(DONOR)
    kept = await world.person(last_name="Kept", sms_key=number(2))
    await world.poll()
    await world.merge(kept, mine["id"])
    await world.poll()
    for turn in (2, 3):
        await changed(world, turn)
    (row,) = await living(world)
    assert (row["id"], row["sms_key"], row["amount"]) == (kept, world.crm.key(number(2)), 30)
    assert {one["donor_id"] for one in await world.records("sms_event")} == {kept}


OTHER = number(2)


async def subscribed(world, *numbers):
    """The contacts of donors who have joined by SMS, as the feed has seen them."""
    for one in numbers:
        await world.phone(one, "KATT")
    await world.settled()
    await world.poll()
    return [(await world.contact(one))["id"] for one in numbers]


async def still_active(world):
    return {one["phone"] for one in await world.subscribers() if one["active"]}


def questions(world):
    return world.app.store.dead_letters.listing(parked=True)


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_opt_out_of_a_kept_contact_ends_the_subscription_of_the_merged_number_too(world, at_once):
    kept, merged = await subscribed(world, DONOR, OTHER)
    await world.merge(kept, merged, **({"opted_out": True} if at_once else {}))
    await world.poll()
    if not at_once:
        await world.person(id=kept, opted_out=True)
        await world.poll()
    assert await still_active(world) == set()
    (question,) = questions(world)
    assert "carried out for 2" in question.detail


async def test_an_opt_out_reaches_a_number_through_two_merges(world):
    first, second, third = await subscribed(world, DONOR, OTHER, number(3))
    await world.merge(second, third)
    await world.poll()
    await world.merge(first, second)
    await world.poll()
    await world.person(id=first, opted_out=True)
    await world.poll()
    assert await still_active(world) == set()


@pytest.mark.parametrize("takes_number", [True, False])
async def test_a_subscriber_who_is_merged_into_an_opted_out_contact_is_put_before_a_person(world, takes_number):
    kept, merged = await subscribed(world, DONOR, OTHER)
    await world.person(id=kept, opted_out=True)
    await world.poll()
    await world.merge(kept, merged, **({"mobile": OTHER} if takes_number else {}))
    for _ in range(2):
        await world.poll()
    assert await still_active(world) == {OTHER}
    (question,) = questions(world)
    assert (merged in question.detail, kept in question.detail) == (True, True)
    assert "release this if the opt-out is for that number too" in question.detail
    assert await world.app.store.dead_letters.release([question.event_id], now=world.clock.now()) == 1
    world.app.wake("plan")
    await world.settled()
    assert await still_active(world) == set()
    assert questions(world) == []


async def test_nobody_is_asked_about_a_merged_number_that_has_no_subscription(world):
    (kept,) = await subscribed(world, DONOR)
    merged = await world.person(last_name="Twin", mobile=OTHER)
    await world.person(id=kept, opted_out=True)
    await world.poll()
    await world.merge(kept, merged)
    await world.poll()
    assert questions(world) == []


async def test_a_kept_contact_that_is_deleted_is_asked_about_for_each_number(world):
    kept, merged = await subscribed(world, DONOR, OTHER)
    await world.merge(kept, merged)
    await world.poll()
    await world.bin(kept)
    await world.poll()
    assert len(questions(world)) == 2


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("seen", [True, False])
async def test_a_write_to_the_kept_contact_whose_answer_is_lost_is_not_read_as_a_person_s(world, seen, after):
    kept, merged = await subscribed(world, DONOR, OTHER)
    await world.merge(kept, merged)
    if seen:
        await world.poll()
    await world.fault(world.crm_url, fault="dropped", times=1, after=after)
    assert await world.callback("dlr", report(2, 1)) == 200
    for _ in range(2):
        await world.look()
    while {"pending", "delivering"} & world.counts().keys():
        world.clock.ahead += timedelta(minutes=1)
        world.app.wake(world.crm.name)
        await world.look()
    await world.poll()
    assert await world.orders() == []
    assert [one["amount"] for one in await living(world)] == [10]
