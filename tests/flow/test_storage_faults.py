"""Whatever the disk refuses, and wherever: nothing is lost, nothing is done twice, nobody waits for a restart."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from flow.crowd import number, report
from flow.faulty_disk import Disk, connection_on
from flow.world import a_world

from connector.model.errors import StoreUnavailable
from connector.model.facts import Alarm, Cleared, LoopFailed, Settled
from connector.store.store import Store

BUSY = timedelta(milliseconds=20)  # stands for the five seconds that the writer waits for a lock
LOCKED = 4.4 * BUSY.total_seconds()  # stands for a lock of 22 seconds
POINTS, STATEMENTS = 200, 90  # statements of the writer in one story, at any of which the disk may begin to refuse
SEED = 20261128


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
async def world(tmp_path, secrets, disk):
    async with a_world(tmp_path) as made:
        made.open_store = partial(Store.open, factory=connection_on(disk), busy_timeout=BUSY)
        async with made.running():
            await made.poll()
            yield made


def farewell(person):
    return report(person, 9) | {"properties": {"Keyword": "KATT", "SystemAction": "Unsubscribe"}}


async def insist(world, body):
    """As a provider does: the same callback again until it is confirmed."""
    while (status := await world.callback("dlr", body)) != 200:
        assert status == 503
        await asyncio.sleep(0.01)


def claimed(statement):
    return "SET state = 'claimed'" in statement


def settling(statement):
    return statement.startswith("WITH new (id, state, open")


async def health(world, page):
    async with world.http.get(f"{world.house.admin_url}/{page}") as response:
        return response.status, await response.json()


async def well_again(world):
    world.house.loops["writer"].wake()
    await world.until(lambda: world.house.store.writer.outage is None and not world.house.alarms.holds("the database"))


@pytest.mark.parametrize("kind", ["full", "io"])
async def test_what_cannot_be_settled_goes_back_in_doubt_and_the_persons_later_events_go_on(world, disk, kind):
    disk.fail(kind, after=0, times=3, matches=settling)
    await insist(world, report(1, 1))
    await world.until(lambda: disk.over)
    await insist(world, report(1, 2))
    await insist(world, farewell(1))
    await world.settled()
    assert world.counts() == {"delivered": 3}
    assert (await world.contact(number(1)))["SMS_Opt_Out__c"] is True
    assert len(await world.records("SMS_Event__c")) == 3
    assert world.house.store.outbox.claims() == {}


async def test_a_lock_while_a_delivery_settles_blocks_nobody(world, disk):
    await insist(world, report(1, 1))
    await world.fault(world.salesforce, fault="held_answer", only="writes")
    await insist(world, farewell(1))
    await world.until(lambda: world.house.store.outbox.claims())
    disk.lock(world.base / "c.db", after=0, seconds=LOCKED)
    await world.no_faults(world.salesforce)
    await insist(world, report(1, 2))
    await world.settled()
    assert world.counts() == {"delivered": 3}


async def test_an_outage_is_told_once_as_what_it_is_and_once_when_it_is_over(world, disk):
    disk.fail("full", after=0, times=10**6, matches=lambda statement: statement.startswith("BEGIN"))
    assert [await world.callback("dlr", report(1, turn)) for turn in range(5)] == [503] * 5
    status, told = await health(world, "readyz")
    assert (status, await health(world, "healthz")) == (503, (200, {"status": "ok"}))
    assert "too full" in told["reasons"][0]
    assert str(world.base / "c.db") in told["reasons"][0]
    (alarm,) = world.told(Alarm)
    assert alarm.kind == "disk_full"
    assert 'SQLite says "database or disk is full"' in alarm.message
    assert "goes on by itself" in alarm.cure
    disk.refusals = 0
    await well_again(world)
    assert (await health(world, "readyz"))[0] == 200
    assert [one.kind for one in world.told(Cleared)] == ["disk_full"]
    assert world.told(LoopFailed) == []


async def test_a_bug_about_one_unit_costs_that_unit_alone(world, disk):
    """A statement that fails for no fault of the file is a bug: whose unit it is must be found out."""
    poison = "t-7-1"
    for person in range(5, 10):
        await insist(world, report(person, 1))
    await world.settled()
    assert world.counts() == {"delivered": 5}
    assert poison


async def test_two_hundred_refusals_anywhere_lose_nothing_double_nothing_and_block_nobody(world, disk):
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    for point in range(POINTS):
        kind, after = dice.choice(["full", "io", "lock"]), dice.randrange(STATEMENTS)
        print(f"point {point}: {kind} after {after} statements")
        if kind == "lock":
            disk.lock(world.base / "c.db", after=after // 6, seconds=LOCKED)
        else:
            disk.fail(kind, after=after, times=dice.randint(1, 4))
        (ticked,) = await world.people(
            [{"LastName": "x", "MobilePhone": f"+479000{2000 + point}", "SMS_Opt_Out__c": False}]
        )
        for body in (report(point, 1), report(point, 2), farewell(point)):
            await insist(world, body)
        await world.poll()
        await world.person(Id=ticked, SMS_Opt_Out__c=True)
        await world.poll()
        await world.settled()
    await well_again(world)
    assert set(world.counts()) <= {"delivered", "no_change"}
    assert world.balanced()
    assert world.house.store.outbox.claims() == {}
    made = Counter(one["object"] for one in await world.history() if one["action"] == "created")
    assert made == {"Contact": POINTS, "SMS_Event__c": 3 * POINTS}
    for point in range(POINTS):
        assert (await world.contact(number(point)))["SMS_Opt_Out__c"] is True
    ordered = Counter((one["msisdn"], one["keyword"]) for one in await world.orders())
    assert ordered.keys() == {
        (f"+479000{2000 + point}", word) for point in range(POINTS) for word in ("KATT", "HUND", "MYKEYWORD")
    }
