"""Repeated kill -9 while donors are matched by phone: each donor has one contact, the existing one if there was one."""

import asyncio
from collections import Counter

import aiohttp
from flow.crowd import event_counts, number, report
from flow.world import ROOT

PEOPLE, TURNS, KILLS = 120, 4, 5
KNOWN = PEOPLE // 2  # of them are contacts already, with numbers as people write them


async def test_kills_while_contacts_are_matched_make_nobody_twice(world, service):
    for file in (ROOT / "mappings/more/match-by-phone").glob("*.yaml"):
        (world.base / "mappings" / file.name).write_text(file.read_text())
    forms = ["900 00 {0:03}", "+47 90 00 0{0:03}", "004790000{0:03}", "(900) 00-{0:03}"]
    known = await world.people(
        [{"LastName": "Ås", "MobilePhone": forms[person % len(forms)].format(person)} for person in range(KNOWN)]
    )
    await service.start()
    for turn in range(1, TURNS + 1):
        async with asyncio.TaskGroup() as senders:
            for person in range(PEOPLE):
                senders.create_task(service.callback(report(person, turn)))
        for _ in range(KILLS // TURNS + 1):
            await service.kill()
            await service.start()
    await world.until(lambda: all_delivered(world, service))
    contacts = {one["SMS_Key__c"]: one["Id"] for one in await world.records()}
    assert len(await world.records()) == PEOPLE
    assert contacts.keys() == {number(person) for person in range(PEOPLE)}
    assert {contacts[number(person)] for person in range(KNOWN)} == set(known)
    events = Counter(one["Contact__c"] for one in await world.records("SMS_Event__c"))
    assert events == dict.fromkeys(contacts.values(), TURNS)


async def all_delivered(world, service):
    try:
        states, received = await event_counts(world, service.admin_url)
    except aiohttp.ClientError:
        return False
    return received == sum(states.values()) and states == {"delivered": PEOPLE * TURNS}
