"""The org changes while the daemon runs: reported once before events fail, and cleared when it is correct again."""

import re
from datetime import timedelta

import pytest
from contract.crms import DYNAMICS, SALESFORCE
from flow.world import a_world

from connector.application import SCHEMA_DRIFT_WORKER
from connector.checks.crm_requirements import needs
from connector.checks.describe_crm import describe_what_is_used
from connector.checks.schema_drift import COMPARED, KIND, NOT_COMPARED
from connector.config.schema_lock import lock_path, lock_text
from connector.model.problem import ProblemsFound
from connector.telemetry.log_events import Alarm, Lifecycle, Reloaded

DAY = timedelta(hours=27)  # behind LONGEST_GAP of the calendar
# API calls of one look: Salesforce describes one object a call, Dataverse all of them in one batch.
DESCRIBES = {"salesforce": ("GET /sobjects/{object}/describe", 3), "dynamics": ("POST $batch", 1)}
# Words of the tests that not each CRM has in the same form.
TEXT = {"salesforce": 32_000, "dynamics": 4_000}  # characters of an event's text
BIRTHDAY = {"salesforce": "Birthdate", "dynamics": "birthdate"}


@pytest.fixture(params=[SALESFORCE, DYNAMICS], ids=lambda crm: crm.name)
async def world(request, tmp_path, secrets):
    async with a_world(tmp_path, crm=request.param) as made:
        yield made


def drifts(world):
    return [one for one in world.emitted(Alarm) if one.kind == KIND]


async def pulled(world):
    """What `connector schema pull` does, by the running daemon's own client."""
    name = world.crm.name
    wanted = needs(world.app.pipeline.rules)[name]
    made = await describe_what_is_used(world.app.clients[name], world.app.crms[name], wanted)
    path = lock_path(world.base / "schema", name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(lock_text(made.schema), encoding="utf-8")


async def describes(world):
    stats = await world.get(f"{world.crm_url}/_sandbox/stats")
    return stats["requests"].get(DESCRIBES[world.crm.name][0], 0)


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


async def change(world, record, field, **signals):
    path = f"{world.crm.named(record)}/{world.crm.named(field)}"
    await world.post(f"{world.crm_url}/_sandbox/fields/{path}", signals, method="PATCH")


async def learned(world, before=0):
    """Wait until the sink and the feed know what they ask the org for at their start; the calls until now."""
    await world.until(lambda: _more(world, before))
    await world.poll()
    return await describes(world)


async def _more(world, before):
    return await describes(world) > before


async def test_an_unchanged_org_raises_no_alarm_and_needs_few_calls_a_day(world):
    async with world.running():
        before = await learned(world)
        assert (await a_day(world))["lacks"] == "0"
        assert await describes(world) == before + DESCRIBES[world.crm.name][1]
        assert drifts(world) == []


async def test_a_renamed_field_raises_one_alarm_until_it_is_renamed_back(world):
    async with world.running():
        await change(world, "contact", "keywords", name="words__c")
        await a_day(world)
        await a_day(world)
        (alarm,) = drifts(world)
        assert (alarm.about, alarm.lasts) == (world.crm.name, True)
        lost = re.escape(world.crm.text("`$contact` has no field `$keywords`"))
        assert re.search(rf"strex-subscription\.yaml:\d+:11: {lost}", alarm.message)
        assert "connector check --live" in alarm.cure
        assert not world.cleared(KIND)
        await change(world, "contact", "words__c", name=world.crm.named("keywords"))
        await a_day(world)
        assert world.cleared(KIND)
        assert len(drifts(world)) == 1


async def test_a_shortened_field_is_found_by_the_schema_lock(world):
    async with world.running():
        await pulled(world)
        await change(world, "contact", BIRTHDAY[world.crm.name], name="born__c")
        assert (await a_day(world))["changes"] == "2"
        assert drifts(world) == [], "no mapping uses it"
        await change(world, "sms_event", "text", length=200)
        await a_day(world)
        (alarm,) = drifts(world)
        shorter = world.crm.text(f"$sms_event.$text holds 200 characters, and held {TEXT[world.crm.name]}")
        assert shorter in alarm.message
        await pulled(world)
        await next_look(world, loop=SCHEMA_DRIFT_WORKER)
        assert world.cleared(KIND), "who pulls has seen it"


async def test_an_org_that_does_not_answer_neither_raises_nor_clears_an_alarm(world):
    async with world.running():
        await change(world, "contact", "keywords", name="words__c")
        await a_day(world)
        await world.fault(world.crm_url, fault="unavailable", times=1000)
        await change(world, "contact", "words__c", name=world.crm.named("keywords"))
        before = len(looks(world))
        world.clock.ahead += DAY
        world.app.wake("calendar")
        await world.until(lambda: any(one.message == NOT_COMPARED for one in world.emitted(Lifecycle)))
        assert not world.cleared(KIND)
        assert len(looks(world)) == before
        await world.no_faults(world.crm_url)
        await next_look(world, loop=SCHEMA_DRIFT_WORKER)
        assert world.cleared(KIND), "it does not wait for the next day"


async def test_a_start_with_a_fitting_schema_lock_does_not_ask_the_org(world):
    async with world.running():
        await learned(world)
        await pulled(world)
    before = await describes(world)
    async with world.running() as app:
        asked = await learned(world, before)
        app.wake(SCHEMA_DRIFT_WORKER)
        await world.poll()
        assert await describes(world) == asked
        assert drifts(world) == looks(world) == []


async def test_a_start_with_an_unfitting_schema_lock_raises_an_alarm_and_stores_callbacks(world):
    async with world.running():
        await change(world, "contact", "keywords", name="words__c")
        await pulled(world)
    await world.fault(world.crm_url, fault="unavailable", times=1000)
    async with world.running():
        await world.until(lambda: drifts(world), "the org does not answer, and the lock is believed")
        assert await world.callback("dlr", {"transactionId": "t-1", "statusCode": "Ok", "properties": {}}) == 200


async def test_the_description_of_the_org_goes_before_the_schema_lock(world):
    async with world.running():
        await change(world, "contact", "keywords", name="words__c")
        await pulled(world)
        await change(world, "contact", "words__c", name=world.crm.named("keywords"))
    async with world.running():
        await world.until(lambda: looks(world))
        assert drifts(world) == []


async def test_a_broken_schema_lock_raises_an_alarm_at_the_start(world):
    async with world.running():
        await pulled(world)
    lock_path(world.base / "schema", world.crm.name).write_text("<<<<<<< HEAD")
    async with world.running():
        (alarm,) = await world.until(lambda: drifts(world))
        assert f"{world.crm.name}.lock.json:1:1: this is not a schema lock" in alarm.message


async def test_a_reload_that_does_not_fit_the_schema_lock_is_refused(world):
    path = world.base / "mappings" / "strex-subscription.yaml"
    good = path.read_text()
    async with world.running() as app:
        await pulled(world)
        keywords = world.crm.named("keywords")
        path.write_text(good.replace(keywords, keywords.replace("ords", "ord")))
        with pytest.raises(ProblemsFound, match=f"did you mean `{keywords}`"):
            await app.reload()
        assert world.emitted(Reloaded)[-1].accepted is False
        path.write_text(good.replace("truncate: 255", "truncate: 200"))
        before = len(looks(world))
        await app.reload()
        await world.until(lambda: len(looks(world)) > before)
        assert drifts(world) == []
