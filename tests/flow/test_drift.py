"""The org changes while the daemon runs: reported once before events fail, and cleared when it is correct again."""

import shutil
from datetime import timedelta

import pytest
from flow.world import ROOT, a_world

from connector.application import SCHEMA_DRIFT_WORKER
from connector.checks.crm_requirements import needs
from connector.checks.describe_crm import pull
from connector.checks.schema_drift import COMPARED, KIND, NOT_COMPARED
from connector.config.schema_lock import lock_path, lock_text
from connector.model.problem import ProblemsFound
from connector.telemetry.log_events import Alarm, Lifecycle, Reloaded

DAY = timedelta(hours=27)  # behind LONGEST_GAP of the calendar

SINK = 3  # objects of which the sink asks at its start what it must know: Contact, Opportunity and SMS_Event__c


@pytest.fixture
async def world(tmp_path, secrets):
    mappings = tmp_path / "mappings"
    shutil.copytree(ROOT / "mappings", mappings, ignore=lambda *_: ["more"])
    async with a_world(tmp_path, mappings=mappings) as made:
        yield made


def drifts(world):
    return [one for one in world.emitted(Alarm) if one.kind == KIND]


async def pulled(world):
    """What `connector schema pull` does, by the running daemon's own client."""
    crm = world.app.crms["salesforce"]
    wanted = needs(world.app.pipeline.rules)["salesforce"]
    made = await pull(world.app.clients["salesforce"], crm, wanted)
    path = lock_path(world.base / "schema", "salesforce")
    path.parent.mkdir(exist_ok=True)
    path.write_text(lock_text(made.schema), encoding="utf-8")


async def describes(world):
    stats = await world.get(f"{world.salesforce}/_sandbox/stats")
    return stats["requests"].get("GET /sobjects/{object}/describe", 0)


def looks(world):
    return [one for one in world.emitted(Lifecycle) if one.message == COMPARED]


async def next_look(world, *, loop):
    """Wake the loop that looks; returns what the look told."""
    before = len(looks(world))
    world.app.wake(loop)
    await world.until(lambda: len(looks(world)) > before)
    return looks(world)[-1].details


async def a_day(world):
    world.clock.ahead += DAY
    return await next_look(world, loop="calendar")


async def change(world, path, **signals):
    await world.post(f"{world.salesforce}/_sandbox/fields/{path}", signals, method="PATCH")


async def learned(world, before=0):
    return await describes(world) == before + SINK


async def test_an_org_that_keeps_what_is_needed_raises_no_alarm_and_costs_three_calls_a_day(world):
    async with world.running():
        await world.until(lambda: learned(world))
        assert (await a_day(world))["lacks"] == "0"
        assert await describes(world) == SINK + 3
        assert drifts(world) == []


async def test_a_field_that_loses_its_name_is_told_once_and_taken_back(world):
    async with world.running():
        await change(world, "Contact/SMS_Keywords__c", name="SMS_Words__c")
        await a_day(world)
        await a_day(world)
        (alarm,) = drifts(world)
        assert (alarm.about, alarm.lasts) == ("salesforce", True)
        assert "strex-subscription.yaml:45:11: `Contact` has no field `SMS_Keywords__c`" in alarm.message
        assert "connector check --live" in alarm.cure
        assert not world.cleared(KIND)
        await change(world, "Contact/SMS_Words__c", name="SMS_Keywords__c")
        await a_day(world)
        assert world.cleared(KIND)
        assert len(drifts(world)) == 1


async def test_what_no_rule_shows_is_seen_by_the_lock(world):
    async with world.running():
        await pulled(world)
        await change(world, "Contact/Birthdate", name="Born__c")
        assert (await a_day(world))["changes"] == "2"
        assert drifts(world) == [], "no mapping uses it"
        await change(world, "SMS_Event__c/Text__c", length=200)
        await a_day(world)
        (alarm,) = drifts(world)
        assert "SMS_Event__c.Text__c holds 200 characters, and held 32000" in alarm.message
        await pulled(world)
        await next_look(world, loop=SCHEMA_DRIFT_WORKER)
        assert world.cleared(KIND), "who pulls has seen it"


async def test_an_org_that_does_not_answer_neither_raises_nor_clears_an_alarm(world):
    async with world.running():
        await change(world, "Contact/SMS_Keywords__c", name="SMS_Words__c")
        await a_day(world)
        await world.fault(world.salesforce, fault="unavailable", times=1000)
        await change(world, "Contact/SMS_Words__c", name="SMS_Keywords__c")
        before = len(looks(world))
        world.clock.ahead += DAY
        world.app.wake("calendar")
        await world.until(lambda: any(one.message == NOT_COMPARED for one in world.emitted(Lifecycle)))
        assert not world.cleared(KIND)
        assert len(looks(world)) == before
        await world.no_faults(world.salesforce)
        await next_look(world, loop=SCHEMA_DRIFT_WORKER)
        assert world.cleared(KIND), "it does not wait for the next day"


async def test_a_start_compares_nothing_where_the_lock_fits(world):
    async with world.running():
        await world.until(lambda: learned(world))
        await pulled(world)
    asked = await describes(world)
    async with world.running() as app:
        await world.until(lambda: learned(world, asked))
        app.wake(SCHEMA_DRIFT_WORKER)
        await world.poll()
        assert await describes(world) == asked + SINK
        assert drifts(world) == looks(world) == []


async def test_a_lock_that_does_not_fit_is_told_at_the_start_and_keeps_no_callback_out(world):
    async with world.running():
        await change(world, "Contact/SMS_Keywords__c", name="SMS_Words__c")
        await pulled(world)
    await world.fault(world.salesforce, fault="unavailable", times=1000)
    async with world.running():
        await world.until(lambda: drifts(world), "the org does not answer, and the lock is believed")
        assert await world.callback("dlr", {"transactionId": "t-1", "statusCode": "Ok", "properties": {}}) == 200


async def test_at_the_start_the_org_is_believed_more_than_its_lock(world):
    async with world.running():
        await change(world, "Contact/SMS_Keywords__c", name="SMS_Words__c")
        await pulled(world)
        await change(world, "Contact/SMS_Words__c", name="SMS_Keywords__c")
    async with world.running():
        await world.until(lambda: looks(world))
        assert drifts(world) == []


async def test_a_broken_lock_is_told_at_the_start_too(world):
    async with world.running():
        await pulled(world)
    lock_path(world.base / "schema", "salesforce").write_text("<<<<<<< HEAD")
    async with world.running():
        (alarm,) = await world.until(lambda: drifts(world))
        assert "salesforce.lock.json:1:1: this is not a schema lock" in alarm.message


async def test_a_reload_that_does_not_fit_the_lock_is_refused_and_one_that_fits_is_compared_at_once(world):
    path = world.base / "mappings" / "strex-subscription.yaml"
    good = path.read_text()
    async with world.running() as app:
        await pulled(world)
        path.write_text(good.replace("SMS_Keywords__c", "SMS_Keyword__c"))
        with pytest.raises(ProblemsFound, match="did you mean `SMS_Keywords__c`"):
            await app.reload()
        assert world.emitted(Reloaded)[-1].accepted is False
        path.write_text(good.replace("truncate: 255", "truncate: 200"))
        before = len(looks(world))
        await app.reload()
        await world.until(lambda: len(looks(world)) > before)
        assert drifts(world) == []
