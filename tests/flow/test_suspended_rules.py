"""A rule that the org cannot accept is suspended: others continue, there are no dead letters, and it resumes by itself."""

from datetime import timedelta

import orjson
import pytest
from contract.crms import EACH_CRM
from flow.backlog import backlog
from flow.world import a_world, config_of

from connector.delivery.retry import PROBE_EVERY
from connector.model.states import EventState, UnitState
from connector.telemetry.log_events import Alarm, Cleared

pytestmark = EACH_CRM

BATCH = 10  # events in 20 operations: their contact and an event record
ONE, TWO = "+4798079008", "+4798079009"
LOG = """
on: strex.delivery_report
rules:
  - name: every report
    do:
      - upsert: $sms_event
        key: {{$event_key: "{{key}}"}}
        set:
          $donor: {{$sms_key: $number_key}}
          {field}: "{{action}}"
"""
MISSING = "Missing__c"  # a field that no org has


def log(crm, field):
    return crm.text(LOG.format(field=field))


@pytest.fixture
def mappings(tmp_path, crm):
    """Contacts are written by the shipped mapping, events by one with a field that the org lacks."""
    mappings = crm.mappings(tmp_path / "mappings")
    for name in ("strex-log.yaml", "strex-stops.yaml"):
        (mappings / name).unlink()
    (mappings / "log.yaml").write_text(log(crm, MISSING))
    return mappings


@pytest.fixture
async def world(tmp_path, mappings, secrets, crm):
    async with a_world(tmp_path, crm=crm, mappings=mappings) as made, made.running():
        await made.poll()
        yield made


def report(number, turn, action="Recurring", **more):
    properties = {"SystemAction": action, "Keyword": "KATT", "ServiceId": "42", **more}
    body = {
        "transactionId": f"{number[1:]}-{turn}-{action}",
        "created": f"2026-11-22T04:00:{turn:02}Z",
        "sender": "2002",
        "recipient": number,
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "delivered": True,
        "properties": properties,
    }
    return orjson.dumps(body)


async def send(world, number, turn, action="Recurring"):
    assert await world.callback("dlr", report(number, turn, action)) == 200


async def writes(world):
    return [one["object"] for one in await world.history()]


def stopped(world):
    return [(stop.rule, stop.object, stop.field) for stop in world.app.store.suspensions.all()]


async def pass_time(world, time=PROBE_EVERY + timedelta(seconds=1)):
    world.clock.ahead += time
    world.app.wake(world.crm.name)


def fix(world):
    (world.base / "mappings" / "log.yaml").write_text(log(world.crm, "$action"))


async def test_a_missing_field_raises_one_alarm_and_makes_no_dead_letter(world):
    for number in (ONE, TWO):
        await send(world, number, 1)
    await world.until(lambda: stopped(world))
    await world.until(lambda: world.app.store.suspensions.held(world.crm.name) == 2)
    assert stopped(world) == [("log.yaml: every report", world.crm.named("sms_event"), MISSING)]
    assert world.counts() == {"delivering": 2}
    await world.until(lambda: "mapping_stopped" in world.alarms)
    (alarm,) = [one for one in world.emitted(Alarm) if one.kind == "mapping_stopped"]
    assert "log.yaml: every report" in alarm.message
    assert f"{world.crm.named('sms_event')}.{MISSING}" in alarm.message
    assert "connector reload" in alarm.cure
    # What the other mapping writes of the same events is done.
    assert {row["sms_key"] for row in await world.records()} == {world.crm.key(ONE), world.crm.key(TWO)}


async def test_later_events_make_no_calls_for_the_suspended_rule(world):
    await send(world, ONE, 1)
    await world.until(lambda: stopped(world))
    await send(world, TWO, 1)
    await world.until(lambda: world.app.store.suspensions.held(world.crm.name) == 2)
    before = await world.api_calls()
    await pass_time(world)
    await world.until(lambda: world.app.store.suspensions.all()[0].probe_at > world.clock.now())
    assert await world.api_calls() <= before + 1 + 1  # the probe, and perhaps a poll
    assert [one.kind for one in world.emitted(Alarm)].count("mapping_stopped") == 1


async def test_a_suspended_rule_does_not_delay_an_opt_out(world):
    await send(world, ONE, 1, "Subscribe")
    await world.until(lambda: stopped(world))
    await world.until(lambda: world.app.store.suspensions.held(world.crm.name) == 1)
    await send(world, ONE, 2, "Unsubscribe")
    (contact,) = await world.until(lambda: flagged(world))
    assert contact["sms_key"] == world.crm.key(ONE)
    await world.until(lambda: not world.app.store.consents.open_opt_outs(world.clock.now()))
    # The rest of the first opt-out must not stand in the way of a second one.
    await send(world, ONE, 3, "Subscribe")
    await send(world, ONE, 4, "Unsubscribe")
    await world.until(lambda: world.app.store.inbox.received() >= 4)
    await world.until(lambda: not world.app.store.inbox.pending(10))
    await world.until(lambda: not world.app.store.consents.open_opt_outs(world.clock.now()))
    assert await flagged(world)


async def flagged(world):
    return [row for row in await world.records() if row["opted_out"]]


async def test_waiting_events_are_sent_by_the_corrected_mapping(world):
    for turn in (1, 2, 3):
        await send(world, ONE, turn)
    await world.until(lambda: stopped(world))
    await world.until(lambda: world.app.store.suspensions.held(world.crm.name))
    fix(world)
    await world.app.reload()
    assert any(one.kind == "mapping_stopped" for one in world.emitted(Cleared))
    await world.until(lambda: world.counts() == {"delivered": 3})
    rows = await world.records("sms_event")
    assert [row["action"] for row in rows] == ["Recurring"] * 3
    assert stopped(world) == []
    assert world.app.store.suspensions.held(world.crm.name) == 0
    assert [one.kind for one in world.emitted(Alarm)].count("mapping_stopped") == 1


async def test_waiting_events_are_sent_by_a_renamed_rule(world):
    await send(world, ONE, 1)
    await world.until(lambda: stopped(world))
    await world.until(lambda: world.app.store.suspensions.held(world.crm.name))
    (world.base / "mappings" / "log.yaml").write_text(log(world.crm, "$action").replace("every report", "any report"))
    await world.app.reload()
    await world.until(lambda: world.counts() == {"delivered": 1})
    assert len(await world.records("sms_event")) == 1


async def test_an_operation_refused_during_a_reload_is_planned_again(world):
    await world.fault(world.crm_url, fault="held_answer", only="writes")
    await send(world, ONE, 1)
    await world.until(lambda: world.struck(world.crm_url, "held_answer"))
    fix(world)
    await world.app.reload()
    await world.no_faults(world.crm_url)
    await world.until(lambda: world.counts() == {"delivered": 1})
    (row,) = await world.records("sms_event")
    assert row["action"] == "Recurring"
    assert stopped(world) == []


async def test_a_waiting_event_that_cannot_be_planned_again_becomes_a_dead_letter(world):
    await send(world, ONE, 1)
    await world.until(lambda: stopped(world))
    await world.until(lambda: world.app.store.suspensions.held(world.crm.name))
    file = world.base / "mappings" / "log.yaml"
    file.write_text(log(world.crm, "$action").replace("{key}", "{properties.Nothing}"))
    await world.app.reload()
    await world.until(lambda: world.counts() == {"dead": 1})
    (letter,) = world.app.store.dead_letters.listing()
    event, key = world.crm.named("sms_event"), world.crm.named("event_key")
    assert letter.detail == f"log.yaml: every report: upsert {event}: {key} has no value ({{properties.Nothing}})"
    fix(world)
    await world.app.reload()
    assert await world.retry_dead() == 1
    await world.until(lambda: world.counts() == {"delivered": 1})
    assert len(await world.records("sms_event")) == 1


async def test_waiting_events_make_no_dead_letters_and_the_totals_are_right(world):
    for turn in range(5):
        await send(world, ONE, turn)
        await send(world, TWO, turn)
    await world.until(lambda: stopped(world))
    for _ in range(30):
        await pass_time(world)
        await world.until(lambda: world.app.store.suspensions.all()[0].probe_at > world.clock.now())
    assert EventState.DEAD.value not in world.counts()
    assert world.balanced()


async def test_a_claimed_batch_obeys_a_suspension_of_the_batch_before(tmp_path, mappings, secrets, crm):
    config = config_of(crm).replace("    consent_fields:", f"    batch: {2 * BATCH}\n    consent_fields:")
    async with a_world(tmp_path, crm=crm, mappings=mappings, config=config) as world:
        await backlog(world, [(person, 1) for person in range(2 * BATCH)])
        await world.fault(world.crm_url, fault="held_answer", only="writes")
        async with world.running() as app:
            await world.until(lambda: world.struck(world.crm_url, "held_answer"))
            await world.until(lambda: app.store.outbox.counts(world.crm.name)[UnitState.CLAIMED] == 2 * BATCH)
            await world.no_faults(world.crm_url)
            await world.until(lambda: app.store.suspensions.held(world.crm.name) == 2 * BATCH)
        assert [one.kind for one in world.emitted(Alarm)] == ["mapping_stopped"]
