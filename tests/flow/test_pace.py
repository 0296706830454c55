"""Batches against a slow or locked org, and an API call budget that runs out."""

import asyncio
from datetime import timedelta

import pytest
from flow.backlog import backlog
from flow.crowd import number, report
from flow.world import CONFIG, a_world

from connector.admin import AdminContext, commands_for
from connector.model.states import UnitState
from connector.telemetry.log_events import BatchSent, ChannelPaused, Settled

BATCH = 20  # events in 60 operations
OPT_OUT = {
    "transactionId": "t-out",
    "keywordId": "12345678",
    "sender": "2002",
    "recipient": number(7),
    "statusCode": "Ok",
    "detailedStatusCode": "Delivered",
    "properties": {"Keyword": "KATT", "SystemAction": "Unsubscribe"},
}


def with_crm(lines):
    return CONFIG.replace("    consent_fields:", f"    {lines}\n    consent_fields:")


async def fired(world):
    return sum(fault["fired"] for fault in (await world.get(f"{world.salesforce}/_sandbox/faults"))["faults"])


async def test_batches_shrink_while_records_are_locked_and_grow_again(tmp_path, secrets):
    async with a_world(tmp_path, config=with_crm("batch: 60")) as world:
        await backlog(world, [(person, 1) for person in range(100)])
        await world.fault(world.salesforce, fault="row_lock")
        async with world.running():
            await world.until(lambda: world.emitted(BatchSent))
            world.clock.ahead += timedelta(minutes=1)
            await world.settled()
        first, second, *_ = world.emitted(BatchSent)
        assert (first.operations, first.batch) == (60, 30)
        assert (second.operations, second.batch) == (30, 33)
        assert len(await world.records("SMS_Event__c")) == 100


async def test_writing_requests_are_never_simultaneous(tmp_path, secrets):
    async with a_world(tmp_path, config=with_crm("batch: 60")) as world:
        await backlog(world, [(person, turn) for turn in (1, 2) for person in range(50)])
        await world.fault(world.salesforce, fault="slow", seconds=0.05, only="writes", every=1)
        async with world.running():
            await world.settled()
        assert await fired(world) >= 5
        assert (await world.get(f"{world.salesforce}/_sandbox/stats"))["most_writes_at_once"] == 1


def in_hand(world):
    return world.app.store.outbox.counts("salesforce")[UnitState.CLAIMED]


async def two_in_hand(world):
    """Wait until one batch is sent, and its answer held back, and the next one is in hand."""
    await world.until(lambda: world.struck(world.salesforce, "held_answer"))
    await world.until(lambda: in_hand(world) == 2 * BATCH)


async def test_the_next_batch_is_claimed_while_one_is_sent(tmp_path, secrets):
    async with a_world(tmp_path, config=with_crm("batch: 60")) as world:
        await backlog(world, [(person, 1) for person in range(2 * BATCH + 5)])
        await world.fault(world.salesforce, fault="held_answer", only="writes")
        async with world.running():
            await two_in_hand(world)
            await world.no_faults(world.salesforce)
            await world.settled()
        assert [one.operations for one in world.emitted(BatchSent)] == [60, 60, 15]


async def test_shutting_down_finishes_the_sent_batch_and_releases_the_claimed_one(tmp_path, secrets):
    async with a_world(tmp_path, config=with_crm("batch: 60")) as world:
        await backlog(world, [(person, 1) for person in range(2 * BATCH)])
        await world.fault(world.salesforce, fault="held_answer", only="writes")
        async with world.running() as app:
            await two_in_hand(world)
            leaving = asyncio.create_task(app.shut_down())
            await world.until(lambda: app.workers["salesforce"]._stopping)
            await world.no_faults(world.salesforce)
            await leaving
            assert world.counts() == {"delivered": BATCH, "delivering": BATCH}
            assert (in_hand(world), app.store.following.seen("salesforce", "Contact", []).in_doubt) == (0, ())
        async with world.running():
            await world.settled()
            assert world.counts() == {"delivered": 2 * BATCH}


async def test_a_batch_that_is_not_full_is_not_claimed_in_advance(tmp_path, secrets):
    async with a_world(tmp_path) as world, world.running() as app:
        await app.stop_workers("salesforce")
        channel = app.sink_channels["salesforce"]
        await world.callback("dlr", report(1, 1))
        await world.until(lambda: world.counts() == {"delivering": 1})
        async with channel.send_lock:
            next_one = asyncio.create_task(app.pipeline.deliver(channel, app.delivery_workers["salesforce"]))
            await world.callback("dlr", report(2, 1))
            await world.until(lambda: world.counts() == {"delivering": 2})
        assert await next_one == 2


async def test_a_claimed_batch_is_released_without_an_attempt_if_the_crm_goes_down(tmp_path, secrets):
    async with a_world(tmp_path, config=with_crm("batch: 60")) as world:
        await backlog(world, [(person, 1) for person in range(2 * BATCH)])
        await world.fault(world.salesforce, fault="held_answer", only="writes")
        await world.fault(world.salesforce, fault="dropped", only="writes")
        async with world.running():
            await two_in_hand(world)
            await world.no_faults(world.salesforce)
            await world.until(lambda: world.emitted(ChannelPaused) and in_hand(world) == 0)
            assert len(world.emitted(Settled)) == BATCH
            world.clock.ahead += timedelta(minutes=1)
            world.app.wake("salesforce")
            await world.settled()
            assert world.counts() == {"delivered": 2 * BATCH}
        assert len(await world.records("SMS_Event__c")) == 2 * BATCH


async def allow(world, **usage):
    await world.post(f"{world.salesforce}/_sandbox/usage", usage, method="PUT")


@pytest.fixture
async def scarce(tmp_path, secrets):
    """A daemon whose org has a thousand calls a day, of which others have left fifty."""
    async with a_world(tmp_path) as world, world.running():
        await world.poll()
        await world.callback("dlr", report(1, 1))
        await world.settled()
        await allow(world, limit=1000, used=950)
        world.clock.ahead += timedelta(seconds=31)
        world.app.wake("salesforce.Contact")
        await world.until(lambda: world.app.budgets["salesforce"].state().limits.only_opt_outs)
        yield world


async def test_only_opt_outs_are_sent_when_the_api_budget_is_used_up(scarce):
    world = scarce
    before = await world.api_calls()
    for turn in (2, 3):
        await world.callback("dlr", report(turn, turn))
    await world.callback("dlr", OPT_OUT)
    await world.until(lambda: world.contact(number(7)))
    assert (await world.contact(number(7)))["SMS_Opt_Out__c"] is True
    await world.until(lambda: world.counts().get("delivering") == 2)
    assert await world.api_calls() - before <= 2
    assert world.alarms == ["quota_exhausted"]
    app = world.app
    context = AdminContext.of(
        app.store,
        rules=lambda: app.pipeline.rules,
        loaded=app.loaded,
        now=app.clock.now,
        sink_channels=app.sink_channels,
    )
    (calls,) = (await commands_for(context)["status"]({}))["calls"]
    assert calls["only_opt_outs"]
    assert (calls["budget"], calls["reserve"], calls["left"], calls["lasts_seconds"]) == (500, 100, 0, 0)
    await allow(world, used=10)
    world.clock.ahead += timedelta(minutes=6)
    world.app.wake("salesforce.Contact")
    await world.settled()
    assert world.cleared("quota_exhausted")
    assert world.counts() == {"delivered": 4}
    assert {fact.attempts for fact in world.emitted(Settled)} == {0}


async def test_events_are_sent_in_larger_batches_when_api_calls_are_scarce(tmp_path, secrets):
    async with a_world(tmp_path) as world, world.running():
        await world.poll()
        await world.callback("dlr", report(1, 1))
        await world.settled()
        await allow(world, limit=1000, used=800)
        world.clock.ahead += timedelta(seconds=31)
        world.app.wake("salesforce.Contact")
        await world.until(lambda: world.app.budgets["salesforce"].state().limits.gap)
        world.clock.ahead += timedelta(minutes=30)
        world.facts.clear()
        await world.callback("dlr", report(2, 1))
        await world.settled()
        for person in range(3, 6):
            await world.callback("dlr", report(person, 1))
        await world.until(lambda: world.counts().get("delivering") == 3)
        assert len(world.emitted(BatchSent)) == 1
        world.clock.ahead += timedelta(minutes=30)
        world.app.wake("salesforce")
        await world.settled()
        assert len(world.emitted(BatchSent)) == 2


async def test_api_calls_are_counted_across_a_restart(tmp_path, secrets):
    async with a_world(tmp_path) as world:
        async with world.running():
            await world.poll()
        async with world.running() as app:
            before = app.budgets["salesforce"].state().ours
            await world.poll()
        assert before >= 1
        assert app.budgets["salesforce"].state().ours == await world.api_calls()
