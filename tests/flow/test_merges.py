"""Contacts merged by a person while their donors continue: no second contact is created, and the old one is not written."""

import pytest
from flow.crowd import number, report

DONOR = number(1)


async def changed(world, turn):
    """The donor's amount changes."""
    assert await world.callback("dlr", report(1, turn)) == 200
    await world.settled()


async def living(world):
    return [row for row in await world.records() if not row["IsDeleted"]]


async def merge(world, loser, winner):
    await world.post(f"{world.salesforce}/_sandbox/merge", {"object": "Contact", "winner": winner, "loser": loser})


@pytest.mark.parametrize("seen", [True, False])
async def test_what_comes_for_a_merged_contact_goes_to_the_one_that_was_kept(world, seen):
    await changed(world, 1)
    mine = await world.contact(DONOR)
    kept = await world.person(LastName="Kept")
    await world.poll()
    await merge(world, mine["Id"], kept)
    if seen:
        await world.poll()
    await changed(world, 2)
    (row,) = await living(world)
    assert (row["Id"], row["SMS_Key__c"], row["SMS_Monthly_Amount__c"]) == (kept, DONOR, 20)
    assert {one["Contact__c"] for one in await world.records("SMS_Event__c")} == {kept}
    await world.poll()
    await changed(world, 3)
    (row,) = await living(world)
    assert row["SMS_Monthly_Amount__c"] == 30
    assert world.counts().keys() == {"delivered"}


async def test_a_kept_contact_with_its_own_number_keeps_it_and_takes_what_comes_for_the_other(world):
    await changed(world, 1)
    mine = await world.contact(DONOR)
    kept = await world.person(LastName="Kept", SMS_Key__c=number(2))
    await world.poll()
    await merge(world, mine["Id"], kept)
    await world.poll()
    for turn in (2, 3):
        await changed(world, turn)
    (row,) = await living(world)
    assert (row["Id"], row["SMS_Key__c"], row["SMS_Monthly_Amount__c"]) == (kept, number(2), 30)
    assert {one["Contact__c"] for one in await world.records("SMS_Event__c")} == {kept}
