"""Twenty times kill -9 during ten thousand callbacks: no acknowledged callback is lost, repeated or out of order."""

import asyncio
import random

import aiohttp
from contract.crms import EACH_CRM, SALESFORCE
from flow.crowd import EACH, PEOPLE, arrivals, event_counts, in_effect_once, in_order, report

SEED = 20261122
KILLS = 20
SENDERS = 16


@EACH_CRM
async def test_twenty_kills_in_the_middle_of_ten_thousand_callbacks(world, service, crm):
    # All of them once, on the CRM with the most rules; a tenth on the others.
    people, kills = (PEOPLE, KILLS) if crm is SALESFORCE else (PEOPLE // 10, KILLS // 5)
    dice = random.Random(SEED)
    coming = arrivals(dice, people)
    answered, enough = 0, asyncio.Condition()

    async def sender(share):
        nonlocal answered
        for person, turn in coming:
            if person % SENDERS == share:
                await service.callback(report(person, turn))
                async with enough:
                    answered += 1
                    enough.notify_all()

    async def killer():
        for moment in sorted(dice.sample(range(100, len(coming) - 100), kills)):
            async with enough:
                await enough.wait_for(lambda moment=moment: answered >= moment)
            await service.kill()
            await service.start()

    await service.start()
    async with asyncio.TaskGroup() as outside:
        outside.create_task(killer())
        for share in range(SENDERS):
            outside.create_task(sender(share))
    await world.until(lambda: all_delivered(world, service, people))
    assert await service.stop() == 0
    assert sum(line["message"] == "listening" for line in service.lines) == kills + 1
    assert not [line for line in service.lines if line.get("level") in {"warning", "error"}]

    assert service.asked("PRAGMA integrity_check") == [("ok",)]
    assert service.asked("SELECT state, count(*) FROM inbox GROUP BY state") == [("delivered", people * EACH)]
    assert service.asked("SELECT DISTINCT state FROM units") == [("delivered",)]
    await in_effect_once(world, people)
    await in_order(world, people)
    assert await world.orders() == []


async def all_delivered(world, service, people):
    try:
        states, received = await event_counts(world, service.admin_url)
    except aiohttp.ClientError:
        return False
    assert sum(states.values()) == received
    return states == {"delivered": people * EACH}
