"""Contacts merged by a person while their donors continue: no second contact is created, and the old one is not written."""

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
