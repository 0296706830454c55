"""kill -9 while results are sent: an event is fired at most once, a row is right, a webhook is called with one id."""

import asyncio
import random
from collections import Counter

import pytest
from acceptance.process import Service
from flow.test_examples import envelope
from flow.test_results import SECRET, SINKS, results_world

SEED = 20261128
KILLS, REPORTS = 6, 60


@pytest.fixture
async def scene(tmp_path, secrets, monkeypatch):
    monkeypatch.setenv("MC_SECRET", "sandbox")
    monkeypatch.setenv("HOOK_SIGNING", SECRET)
    sinks = SINKS.replace("    strex_agreed", "    event_delay: 0s\n    strex_agreed")
    async with results_world(tmp_path, sinks) as made:
        service = Service(made.world)
        yield made.world, service, made.mc, made.hook
        await service.kill()


async def test_kills_while_results_are_sent(scene):
    world, service, mc, hook = scene
    contact = await world.person(LastName="Ås")
    properties = {
        "SfContactId": contact,
        "SfEvent": "Sent from journey",
        "SfWebhook": "default",
        "SystemAction": "SfMcSMS",
    }
    dice = random.Random(SEED)
    await service.start()

    async def sender():
        for number in range(REPORTS):
            await service.callback(
                {**envelope(properties), "transactionId": f"t-{number}", "recipient": f"+47900{number:05}"}
            )

    async def killer():
        for _ in range(KILLS):
            seen = len((await world.get(f"{hook}/_sandbox/messages"))["messages"])
            enough = seen + dice.randrange(1, 6)

            async def more(enough=enough):
                return len((await world.get(f"{hook}/_sandbox/messages"))["messages"]) >= enough

            await world.until(more)
            await service.kill()
            await service.start()

    async with asyncio.TaskGroup() as outside:
        outside.create_task(sender())
        outside.create_task(killer())

    def over():
        open_units = service.asked("SELECT count(*) FROM units WHERE open = 1")
        return open_units == [(0,)] and service.asked("SELECT count(*) FROM inbox WHERE state = 'pending'") == [(0,)]

    await world.until(over)
    assert await service.stop() == 0
    state = await world.get(f"{mc}/_sandbox/state")
    transactions = {f"t-{number}" for number in range(REPORTS)}
    assert {row["TransactionId"] for row in state["rows"]["SMS_Results"]} == transactions
    fired = Counter(one["data"]["TransactionId"] for one in state["events"])
    parked = service.asked("SELECT count(*) FROM units WHERE sink = 'mc.events' AND state = 'dead'")[0][0]
    assert set(fired.values()) == {1}
    assert len(fired) + parked >= REPORTS
    messages = (await world.get(f"{hook}/_sandbox/messages"))["messages"]
    ids = {(one["body"]["data"]["transaction_id"], one["id"]) for one in messages}
    assert {transaction for transaction, _ in ids} == transactions
    assert len(ids) == REPORTS
