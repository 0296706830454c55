"""Ten thousand callbacks during all kinds of failures of the CRM: nothing lost, nothing twice, each person's in order."""

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from contract.crms import EACH_CRM, SALESFORCE
from flow.crowd import EACH, PEOPLE, arrivals, event_counts, in_effect_once, in_order, number, report
from flow.world import a_world

pytestmark = EACH_CRM

SEED = 20261122
SENDERS = 16
LAST = 500  # callbacks that come after the daemon was started again
GUILTY, FOUND = 20, 3  # people whose records spoil their requests for a while, and how many dead letters that must make
BETWEEN_LOOKS = 30  # events
PAUSE = timedelta(minutes=2)  # by which the clock is moved where the daemon waits; longer than most pauses
STORM = [
    {"fault": "expired_session", "times": 2},
    {"fault": "row_lock", "times": 4, "records": 0.3},
    {"fault": "limit_exceeded", "times": 2},
    {"fault": "concurrent_limit", "times": 2},
    {"fault": "unavailable", "times": 3},
    {"fault": "server_error", "times": 3},
    {"fault": "slow", "times": 3, "seconds": 0.2},
    {"fault": "dropped", "times": 4},
    {"fault": "dropped_before", "times": 3},
    {"fault": "garbage", "times": 3},
    {"fault": "html_401", "times": 2},
    {"fault": "bad_record", "times": 1000},
]


async def send(world, coming):
    """Post callbacks, many at once, but one after the other for each person."""

    async def sender(share):
        for person, turn in coming:
            if person % SENDERS == share:
                assert await world.callback("dlr", report(person, turn)) == 200

    async with asyncio.TaskGroup() as senders:
        for share in range(SENDERS):
            senders.create_task(sender(share))


async def let_time_pass(world):
    world.clock.ahead += PAUSE
    world.app.wake(world.crm.name)
    world.app.wake(world.feed)


async def storm(world, dice, people):
    """One fault after the other, each until it has struck as often as it should, spread over all that comes in."""
    for place, fault in enumerate(STORM):
        share = people * EACH * place // len(STORM)
        await world.until(lambda share=share: world.app.store.inbox.received() > share)
        spoils = fault["fault"] == "bad_record"
        to_blame = {"records": await named(world, dice.sample(range(people), GUILTY))} if spoils else {}
        await world.fault(world.crm_url, **fault, **to_blame)
        await world.until(lambda spoils=spoils: isolated(world) if spoils else struck(world))
        await world.no_faults(world.crm_url)


async def named(world, people):
    """What their contacts are written by: their keys, and the Ids of those that exist."""
    numbers = {number(person) for person in people}
    return [*numbers, *(one["id"] for one in await world.records() if one["sms_key"] in numbers)]


async def struck(world):
    (fault,) = (await world.get(f"{world.crm_url}/_sandbox/faults"))["faults"]
    if fault["fired"] < fault["times"]:
        await let_time_pass(world)
    return fault["fired"] >= fault["times"]


async def isolated(world):
    if len(world.app.store.dead_letters.listing()) < FOUND:
        await let_time_pass(world)
        return False
    return True


@asynccontextmanager
async def looking(world, looks):
    """Check that the counts of events add up, each time that some more have come."""
    over = asyncio.Event()

    async def look():
        while not over.is_set():
            states, received = await event_counts(world, world.app.admin_url)
            assert sum(states.values()) == received
            looks.append(received)
            more = received + BETWEEN_LOOKS
            with suppress(TimeoutError):  # nothing comes while dead letters are retried
                await world.until(lambda more=more: over.is_set() or world.app.store.inbox.received() >= more)

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        yield
        over.set()


async def all_done(world):
    if {"pending", "delivering"} & world.counts().keys():
        await let_time_pass(world)
        return False
    return True


async def test_ten_thousand_callbacks_take_effect_once_and_in_order_despite_faults(tmp_path, secrets, crm):
    # All of them once, on the CRM with the most rules; a fifth on the others.
    people = PEOPLE if crm is SALESFORCE else PEOPLE // 5
    dice, looks = random.Random(SEED), []
    coming = arrivals(dice, people)
    last = LAST * people // PEOPLE
    before, after = coming[:-last], coming[-last:]
    async with a_world(tmp_path, crm=crm) as world:
        async with world.running():
            await world.poll()
            async with looking(world, looks), asyncio.TaskGroup() as outside:
                outside.create_task(send(world, before))
                outside.create_task(storm(world, dice, people))
        if "no_composite_upsert" not in crm.lacks:
            # An org that does not know the short way at all, met at a start: what was left lying is done the long way.
            await world.fault(world.crm_url, fault="no_composite_upsert")
        async with world.running(), looking(world, looks):
            await send(world, after)
            await world.until(lambda: all_done(world))
            spoiled = world.app.store.dead_letters.listing(limit=people)
            assert FOUND <= len(spoiled) < GUILTY * EACH
            # Only the failing record is a dead letter; once fixed, it is retried.
            await world.app.store.dead_letters.retry(now=world.clock.now())
            await world.until(lambda: all_done(world))
            assert world.counts() == {"delivered": people * EACH}
            assert world.app.store.inbox.received() == people * EACH
        assert len(looks) >= people * EACH // BETWEEN_LOOKS // 2
        await in_effect_once(world, people)
        await in_order(world, people)
        assert await world.orders() == []
