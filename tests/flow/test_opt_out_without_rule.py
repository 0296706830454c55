"""An opt-out that no rule sends to the CRM or the provider: immediate alarm, open opt-out, and advice that works.

`check` finds this for its samples. Here the mapping only loses opt-outs that no sample covers.
"""

import json
import shutil
from datetime import timedelta

import pytest
from flow.sets import report
from flow.test_examples import DONOR
from flow.world import ROOT, a_world

from connector.admin import AdminContext, commands_for
from connector.model.problem import ProblemsFound
from connector.pipeline.gauges import gauges
from connector.telemetry.log_events import Alarm

CLUB = {"SystemAction": "Unsubscribe", "ServiceSubType": "CustomerClub"}


@pytest.fixture
def mappings(tmp_path, secrets):
    directory = tmp_path / "mappings"
    directory.mkdir()
    for file in (ROOT / "mappings").glob("*.yaml"):
        (directory / file.name).write_text(file.read_text().partition("\ntests:")[0] + "\n")
    return directory


def edit(mappings, name, old, new):
    text = (mappings / name).read_text()
    assert old in text
    (mappings / name).write_text(text.replace(old, new, 1))


def alarm(world):
    (one,) = [one for one in world.emitted(Alarm) if one.kind == "opt_out_without_rule"]
    return one


def open_opt_outs(world):
    return world.app.store.consents.open_opt_outs(world.clock.now())


def oldest_open(world):
    (metric,) = [
        one
        for one in gauges(world.app.store, (), now=world.clock.now)
        if one.name == "connector_oldest_open_opt_out_seconds"
    ]
    return metric.read()[()]


async def follow_the_cure(world, event_id):
    """The cure of the alarm: fix the rule (done), reload, replay."""
    assert f"`connector reload` and `connector replay {event_id}`" in alarm(world).cure
    await world.app.reload()
    assert (await commands(world)["replay"]({"id": event_id}))["state"] == "pending"
    world.app.wake("plan")
    await world.settled()
    world.app.wake("deadlines")
    await world.until(lambda: world.cleared("opt_out_without_rule"))


def commands(world):
    app = world.app
    context = AdminContext.of(
        app.store,
        rules=lambda: app.pipeline.rules,
        loaded=app.loaded,
        now=world.clock.now,
        sink_channels=app.sink_channels,
    )
    return commands_for(context)


def club(transaction="t-1"):
    body = report("Unsubscribe", transaction=transaction)
    body["properties"].update(CLUB)
    return body


@pytest.mark.parametrize("log", [True, False], ids=["logged as an event record", "ignored"])
async def test_a_stop_without_a_rule_raises_an_alarm_and_is_written_by_the_corrected_rule(tmp_path, mappings, log):
    edit(
        mappings,
        "strex-subscription.yaml",
        "{verdict: opt_out}",
        "{verdict: opt_out, properties.ServiceSubType: Donation}",
    )
    if not log:
        edit(mappings, "strex-log.yaml", "on: [strex.message, strex.delivery_report]", "on: strex.message")
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        # A contact that is made for the event record gets the flag anyway.
        await world.person(LastName="Nordmann", MobilePhone=DONOR, SMS_Key__c=DONOR)
        assert await world.callback("dlr", club()) == 200
        await world.settled()
        await world.until(lambda: "opt_out_without_rule" in world.alarms)
        (event_id,) = {one.event_id for one in open_opt_outs(world)}
        assert f"no rule sends the opt-out of event {event_id} to salesforce" in alarm(world).message
        assert world.counts() == ({"delivered": 1} if log else {"ignored": 1})
        assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is False
        world.clock.ahead += timedelta(minutes=2)
        assert oldest_open(world) >= 120
        (late,) = (await commands(world)["status"]({}))["late_opt_outs"]
        assert late["sink"] == "salesforce (no rule)"
        shown = await commands(world)["explain"]({"event": event_id})
        assert "no rule sends this opt-out to salesforce" in str(shown)

        edit(mappings, "strex-subscription.yaml", ", properties.ServiceSubType: Donation", "")
        await follow_the_cure(world, event_id)
        assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
        assert (open_opt_outs(world), oldest_open(world)) == ([], 0.0)
        assert world.counts() == {"delivered": 1}
        assert world.balanced()
        assert len(await world.records("SMS_Event__c")) == int(log)


async def test_the_alarm_stays_until_the_rule_is_corrected(tmp_path, mappings):
    edit(
        mappings,
        "strex-subscription.yaml",
        "{verdict: opt_out}",
        "{verdict: opt_out, properties.ServiceSubType: Donation}",
    )
    async with a_world(tmp_path, mappings=mappings) as world:
        async with world.running():
            await world.callback("dlr", club())
            await world.settled()
            (open_now,) = open_opt_outs(world)
            await commands(world)["replay"]({"id": open_now.event_id})
            world.app.wake("plan")
            await world.settled()
            assert [one.event_id for one in open_opt_outs(world)] == [open_now.event_id]
            raised = world.alarms.count("opt_out_without_rule")
            assert raised >= 1
            for hours in (1, 23):
                world.clock.ahead += timedelta(hours=hours, minutes=1)
                world.app.wake("deadlines")
            await world.until(lambda: world.alarms.count("opt_out_without_rule") > raised)
            await world.app.sweep()
            world.clock.ahead += timedelta(days=120)
            await world.app.sweep()
            assert world.app.store.inbox.get(open_now.event_id) is not None
        world.facts.clear()
        async with world.running():
            await world.until(lambda: "opt_out_without_rule" in world.alarms)


async def test_an_opt_out_in_the_crm_without_a_rule_raises_an_alarm_until_a_rule_sends_it(tmp_path, mappings):
    edit(
        mappings,
        "salesforce-to-strex.yaml",
        "{record.SMS_Opt_Out__c: true}",
        '{record.SMS_Opt_Out__c: true, record.MobilePhone: {like: "+47*"}}',
    )
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        await world.poll()
        await world.phone(DONOR, "KATT")
        await world.settled()
        contact = await world.contact(DONOR)
        await world.person(Id=contact["Id"], MobilePhone="90 00 00 01" if DONOR == "+4790000001" else DONOR[3:])
        await world.poll()
        await world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
        await world.poll()
        await world.until(lambda: "opt_out_without_rule" in world.alarms)
        assert await world.orders() == []
        (event_id,) = {one.event_id for one in open_opt_outs(world)}
        assert f"no rule sends the opt-out of event {event_id} to strex" in alarm(world).message

        edit(mappings, "salesforce-to-strex.yaml", ', record.MobilePhone: {like: "+47*"}', "")
        await follow_the_cure(world, event_id)
        assert [(one["action"], one["keyword"]) for one in await world.orders()] == [("unsubscribe", "KATT")]
        assert open_opt_outs(world) == []


def not_seen_by_strex(person: str) -> bytes:
    """A stop that Strex took for an ordinary message."""
    forward = {
        "transactionId": "a-stop-of-ours",
        "keywordId": None,
        "sender": person,
        "recipient": "2002",
        "properties": {},
    }
    return json.dumps(forward | {"content": "Please stop 😀", "isStopMessage": False}).encode()


async def test_a_stop_that_strex_has_not_seen_ends_the_subscription_there(tmp_path, mappings):
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        await world.phone(DONOR, "KATT")
        await world.settled()
        assert await world.callback("mo", not_seen_by_strex(DONOR)) == 200
        await world.settled()
        assert [(one["action"], one["keyword"]) for one in await world.orders()] == [("unsubscribe", "KATT")]
        assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
        assert open_opt_outs(world) == []


async def test_a_stop_that_strex_has_not_seen_raises_an_alarm_without_a_rule(tmp_path, mappings):
    (mappings / "strex-stops.yaml").unlink()
    async with a_world(tmp_path, mappings=mappings) as world, world.running():
        await world.phone(DONOR, "KATT")
        await world.settled()
        assert await world.callback("mo", not_seen_by_strex(DONOR)) == 200
        await world.until(lambda: "opt_out_without_rule" in world.alarms)
        await world.settled()
        (event_id,) = {one.event_id for one in open_opt_outs(world)}
        assert f"no rule sends the opt-out of event {event_id} to strex" in alarm(world).message

        shutil.copy(ROOT / "mappings" / "strex-stops.yaml", mappings)
        await follow_the_cure(world, event_id)
        assert [(one["action"], one["keyword"]) for one in await world.orders()] == [("unsubscribe", "KATT")]
        assert open_opt_outs(world) == []


async def test_a_partial_opt_out_or_consent_one_way_raises_no_alarm(tmp_path, mappings):
    shutil.copy(ROOT / "mappings" / "strex-subscription.yaml", mappings)
    async with a_world(tmp_path, mappings=mappings) as world:
        async with world.running():
            await world.poll()
            for keyword in ("KATT", "HUND"):
                await world.phone(DONOR, keyword)
            await world.settled()
            await world.phone(DONOR, "KATT STOPP")
            await world.settled()
            assert open_opt_outs(world) == []
            await world.phone(DONOR, "HUND STOPP")
            await world.settled()
            assert open_opt_outs(world) == []
            assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
        config = world.base / "config.yaml"
        config.write_text(config.read_text().rstrip() + "\n    consent: one_way\n")
        (mappings / "salesforce-to-strex.yaml").write_text(
            "on: salesforce.change\nfeed: {object: Contact, fields: [SMS_Opt_Out__c, MobilePhone]}\n"
            "rules: [{name: all, ignore: true}]\n"
        )
        async with world.running():
            await world.poll()
            await world.poll()
            contact = await world.person(LastName="Ås", MobilePhone="+4790000077", SMS_Opt_Out__c=True)
            await world.poll()
            assert (contact, open_opt_outs(world)) == (contact, [])
            assert world.app.store.consents.of("+4790000077")[-1].decision.word == "opt_out"
            assert "opt_out_without_rule" not in world.alarms


async def test_mappings_that_lose_an_opt_out_are_refused_at_start_and_reload(tmp_path, mappings):
    async with a_world(tmp_path, mappings=mappings) as world:
        async with world.running():
            before = world.app.pipeline.rules.version
            edit(mappings, "strex-subscription.yaml", "{verdict: opt_out}", "{action: Unsubscribed}")
            with pytest.raises(ProblemsFound, match="another service than subscriptions"):
                await world.app.reload()
            assert world.app.pipeline.rules.version == before
            assert await world.callback("dlr", club()) == 200
            await world.settled()
            assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
            assert open_opt_outs(world) == []
        # A start uses the mappings that were accepted last, and tells.
        async with world.running():
            assert world.app.pipeline.rules.version == before
            assert any("would not set the opt-out flag" in one.message for one in world.emitted(Alarm))
