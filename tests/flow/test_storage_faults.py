"""Disk errors anywhere: nothing is lost, nothing is done twice, and no restart is needed."""

import asyncio
import dataclasses
import random
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from flow.crowd import number, report
from flow.faulty_disk import Disk, connection_on
from flow.world import a_world

from connector.daemon import _reload_on_signal
from connector.process import Notifier, Signals
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Cleared, Lifecycle, Reloaded, WorkerFailed

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
    async with world.http.get(f"{world.app.admin_url}/{page}") as response:
        return response.status, await response.json()


async def status_page(world):
    token = (world.base / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with world.http.post(f"{world.app.admin_url}/admin/status", json={}, headers=headers) as response:
        return await response.json()


async def well_again(world):
    world.app.workers["writer"].wake()
    await world.until(lambda: world.app.store.writer.outage is None and not world.app.alarms.holds("the database"))


@pytest.mark.parametrize("kind", ["full", "io"])
async def test_a_unit_that_cannot_be_settled_returns_in_doubt_and_its_lane_continues(world, disk, kind):
    disk.fail(kind, after=0, times=3, matches=settling)
    await insist(world, report(1, 1))
    await world.until(lambda: disk.over)
    await insist(world, report(1, 2))
    await insist(world, farewell(1))
    await world.settled()
    assert world.counts() == {"delivered": 3}
    assert (await world.contact(number(1)))["SMS_Opt_Out__c"] is True
    assert len(await world.records("SMS_Event__c")) == 3
    assert world.app.store.outbox.claims() == {}


async def test_a_locked_database_during_settling_blocks_no_lane(world, disk):
    await insist(world, report(1, 1))
    await world.fault(world.salesforce, fault="held_answer", only="writes")
    await insist(world, farewell(1))
    await world.until(world.app.store.outbox.claims)
    disk.lock(world.base / "c.db", after=0, seconds=LOCKED)
    await world.no_faults(world.salesforce)
    await insist(world, report(1, 2))
    await world.settled()
    assert world.counts() == {"delivered": 3}


async def test_an_outage_raises_one_alarm_that_names_its_cause_and_is_cleared_once(world, disk):
    disk.fail("full", after=0, times=10**6, matches=lambda statement: statement.startswith("BEGIN"))
    assert [await world.callback("dlr", report(1, turn)) for turn in range(5)] == [503] * 5
    status, emitted = await health(world, "readyz")
    assert (status, await health(world, "healthz")) == (503, (200, {"status": "ok"}))
    assert "too full" in emitted["reasons"][0]
    assert str(world.base / "c.db") in emitted["reasons"][0]
    (alarm,) = world.emitted(Alarm)
    assert alarm.kind == "disk_full"
    assert (await status_page(world))["faults"] == emitted["reasons"]
    assert 'SQLite says "database or disk is full"' in alarm.message
    assert "no restart is needed" in alarm.cure
    disk.refusals = 0
    await well_again(world)
    assert (await health(world, "readyz"))[0] == 200
    assert [one.kind for one in world.emitted(Cleared)] == ["disk_full"]
    assert (await status_page(world))["faults"] == []
    assert world.emitted(WorkerFailed) == []


async def test_a_deleted_database_refuses_callbacks_and_ends_the_process(world):
    assert await world.callback("dlr", report(1, 1)) == 200
    await world.settled()
    for file in world.base.glob("c.db*"):
        if file.suffix != ".lock":
            file.unlink()
    assert [await world.callback("dlr", report(1, turn)) for turn in range(2, 5)] == [503] * 3
    assert world.app.health.broken.is_set()
    for page in ("readyz", "healthz"):
        status, emitted = await health(world, page)
        assert status == 503
        assert "was deleted or moved away" in emitted["reasons"][0]
    (alarm,) = world.emitted(Alarm)
    assert (alarm.kind, "exit code 3" in alarm.cure) == ("database_unusable", True)


async def test_the_health_check_finds_a_replaced_database_without_a_callback(world):
    (world.base / "c.db").rename(world.base / "old.db")
    (world.base / "c.db").write_bytes((world.base / "old.db").read_bytes())
    world.app.workers["writer"].wake()
    await world.until(world.app.health.broken.is_set)
    assert world.app.health.not_ready()


async def test_a_missing_database_is_created_at_the_start_and_raises_an_alarm(tmp_path, secrets):
    async with a_world(tmp_path) as world:
        async with world.running():
            assert world.emitted(Alarm) == []
            assert "created a new database" in [one.message for one in world.emitted(Lifecycle)]
        async with world.running():
            assert world.emitted(Alarm) == []
        (tmp_path / "c.db").unlink()
        async with world.running():
            assert world.alarms == ["database_missing"]


async def test_a_claim_without_a_worker_is_reported_and_one_of_a_slow_crm_is_not(world):
    app = world.app

    def lost():
        # The clock of the test jumps, so that loops seem to stand still.
        return [one for one in app.health.unhealthy() if "claimed" in one]

    await world.fault(world.salesforce, fault="held_answer", only="writes")
    try:
        await insist(world, report(1, 1))
        (claim,) = await world.until(app.store.outbox.claims)
        await app.health.probe()
        world.clock.ahead += timedelta(minutes=10)
        await app.health.probe()
        assert (world.alarms, lost()) == ([], [])
        # Now it has the name of a worker that does not exist.
        rename = "UPDATE units SET claim = claim || ' (gone)' WHERE claim IS NOT NULL"
        await app.store.writer.run(lambda connection: connection.execute(rename).rowcount)
        await app.health.probe()
        assert lost() == []
        world.clock.ahead += timedelta(minutes=2)
        await app.health.probe()
        assert lost() == [f"units are claimed by {claim.partition(' ')[2]} (gone), but no worker is sending them"]
        assert world.alarms == ["claimed_by_nobody"]
    finally:
        await world.no_faults(world.salesforce)
    await world.settled()
    await app.health.probe()
    assert world.cleared("claimed_by_nobody")


async def test_changes_of_a_round_that_a_reload_ends_are_planned(world):
    app = world.app
    channel = app.feed_channels["salesforce.Contact"]
    await app.stop_workers("salesforce.Contact")
    channel.poll = "round"
    app.pipeline.open_polls.add("round")
    await app.update_feeds(dataclasses.replace(app.pipeline.rules, feeds={}))
    assert app.pipeline.open_polls == set()


async def test_a_reload_during_a_storage_outage_is_repeated_later(world, disk):
    app, signals = world.app, Signals()
    reloading = asyncio.create_task(_reload_on_signal(app, signals, Notifier(None)))
    disk.fail("full", after=0, times=10**6)
    signals.reload.set()
    await world.until(lambda: app.store.writer.outage is not None)
    assert app.pipeline.suspended_rules.retry_due
    disk.refusals = 0
    await well_again(world)
    await world.until(lambda: not app.pipeline.suspended_rules.retry_due)
    signals.reload.set()
    await world.until(lambda: world.emitted(Reloaded))
    assert not reloading.done()
    reloading.cancel()


async def test_two_hundred_storage_faults_lose_repeat_and_block_nothing(world, disk):
    dice = random.Random(SEED)
    followed = [f"+479000{2000 + point}" for point in range(POINTS)]
    ids = await world.people([{"LastName": "x", "MobilePhone": one, "SMS_Opt_Out__c": False} for one in followed])
    await world.poll()
    for point in range(POINTS):
        kind, after = dice.choice(["full", "io", "lock"]), dice.randrange(STATEMENTS)
        print(f"seed {SEED}, point {point}: {kind} after {after} statements")  # noqa: T201 - shown where the test fails.
        if kind == "lock":
            disk.lock(world.base / "c.db", after=after // 6, seconds=LOCKED)
        else:
            disk.fail(kind, after=after, times=dice.randint(1, 4))
        for body in (report(point, 1), report(point, 2), farewell(point)):
            await insist(world, body)
        await world.person(Id=ids[point], SMS_Opt_Out__c=True)
        await world.until(lambda: not {"pending", "delivering"} & world.counts().keys())
        if point % 4 == 3:
            await world.poll()
    await well_again(world)
    assert set(world.counts()) <= {"delivered", "no_change", "ignored"}
    assert world.balanced()
    assert world.app.store.outbox.claims() == {}
    made = Counter(one["object"] for one in await world.history() if one["action"] == "created")
    assert made == {"Contact": POINTS, "SMS_Event__c": 3 * POINTS}
    flags = {one["SMS_Key__c"]: one["SMS_Opt_Out__c"] for one in await world.records() if one["SMS_Key__c"]}
    assert flags == {number(point): True for point in range(POINTS)}
    ordered = {(one["phone"], one["keyword"]) for one in await world.orders()}
    assert ordered == {(one, word) for one in followed for word in ("KATT", "HUND", "MYKEYWORD")}
