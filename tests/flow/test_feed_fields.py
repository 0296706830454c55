"""A feed that starts to watch other fields: the known fields are still compared, and no opt-out is lost."""

import asyncio
import shutil
from datetime import timedelta

import orjson
import pytest
from flow.world import CONFIG, ROOT, a_world

from connector.admin.status import feed_position
from connector.telemetry.log_events import Alarm

DONOR, OTHER = "+4790000001", "+4790000002"
FILE = "salesforce-to-strex.yaml"
WATCHED = "fields: [MobilePhone, SMS_Opt_Out__c, SMS_Monthly_Amount__c]"
MORE = WATCHED.replace("]", ", FirstName]")
WITHOUT_AMOUNTS = """
on: salesforce.change
feed: {object: Contact, fields: [MobilePhone, SMS_Opt_Out__c], every: 30s}
rules:
  - name: opted out
    when: {record.SMS_Opt_Out__c: true}
    do: [{command: unsubscribe, provider: strex, phone: "{record.MobilePhone}", to: active_subscriptions}]
    consent: opt_out
"""


@pytest.fixture
async def world(tmp_path, secrets):
    shutil.copytree(
        ROOT / "mappings", tmp_path / "mappings", ignore=shutil.ignore_patterns("more", "np*", "nonprofit*")
    )
    async with a_world(tmp_path, mappings=tmp_path / "mappings") as made:
        yield made


def rewrite(world, old, new):
    path = world.base / "mappings" / FILE
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def joined(world, number=DONOR):
    await world.phone(number, "KATT")
    await world.settled()
    await world.poll()
    return (await world.contact(number))["Id"]


async def looked_at_all(world):
    """A look at all records is over, and what it found is settled."""
    await world.until(lambda: feed_status(world)["first_look_over"])
    await world.poll()


def feed_status(world):
    return feed_position(world.app.store.following.cursor("salesforce.Contact"))


async def sent(world):
    return [(one["action"], one["phone"]) for one in await world.orders()]


async def test_an_opt_out_during_downtime_is_sent_although_the_feed_got_more_fields(world):
    async with world.running():
        contact = await joined(world)
    await world.person(Id=contact, SMS_Opt_Out__c=True, FirstName="Kari")
    rewrite(world, WATCHED, MORE)
    async with world.running():
        await looked_at_all(world)
        assert await sent(world) == [("unsubscribe", DONOR)]
        shadow = world.app.store.records.shadow("salesforce", "Contact", contact)
        assert (shadow["FirstName"], shadow["SMS_Opt_Out__c"]) == ("Kari", True)
        assert "opt_outs_not_sent" not in world.alarms


async def test_an_opt_out_between_two_polls_is_sent_although_a_reload_changes_the_fields(world):
    async with world.running() as app:
        contact = await joined(world)
        await world.person(Id=contact, SMS_Opt_Out__c=True)
        rewrite(world, WATCHED, MORE)
        await app.reload()
        await looked_at_all(world)
        assert await sent(world) == [("unsubscribe", DONOR)]


async def test_two_simultaneous_reloads_run_one_after_the_other(world):
    async with world.running() as app:
        contact = await joined(world)
        rewrite(world, WATCHED, MORE)
        await asyncio.gather(app.reload(), app.reload())
        await world.person(Id=contact, SMS_Opt_Out__c=True)
        await looked_at_all(world)
        assert await sent(world) == [("unsubscribe", DONOR)]


async def test_shutting_down_during_a_reload_ends_the_feed_after_its_step(world):
    async with world.running() as app:
        await joined(world)
        await world.fault(world.salesforce, fault="held_answer", only="reads")
        app.wake(world.feed)
        await world.until(lambda: world.struck(world.salesforce, "held_answer"))
        before = app.pipeline.rules.version
        rewrite(world, WATCHED, MORE)
        reload = asyncio.create_task(app.reload())
        await world.until(lambda: app.pipeline.rules.version != before)
        reload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reload
        stopping = asyncio.create_task(app.shut_down())
        await world.no_faults(world.salesforce)
        await stopping
        assert app.workers == {}


async def test_values_of_an_added_field_are_not_sent(world):
    path = world.base / "mappings" / FILE
    shipped = path.read_text()
    path.write_text(WITHOUT_AMOUNTS)
    async with world.running():
        contact = await joined(world)
        await world.person(Id=contact, SMS_Monthly_Amount__c=100)
        await world.poll()
    path.write_text(shipped)
    async with world.running():
        await looked_at_all(world)
        assert await sent(world) == []
        await world.person(Id=contact, SMS_Monthly_Amount__c=200)
        await world.poll()
        assert await sent(world) == [("changesubscriberprice", DONOR)]


async def test_a_contact_created_opted_out_during_downtime_is_a_new_opt_out(world):
    async with world.running():
        await joined(world)
        await joined(world, OTHER)
    await world.person(LastName="By hand", MobilePhone=OTHER, SMS_Opt_Out__c=True)
    rewrite(world, WATCHED, MORE)
    async with world.running():
        await looked_at_all(world)
        assert await sent(world) == [("unsubscribe", OTHER)]


async def test_our_write_with_another_letter_case_of_field_names_is_no_change_by_a_person(world):
    """CRMs ignore letter case in names: one file may write `contact`, and another watch `Contact`."""
    for path in (world.base / "mappings").glob("strex-*.yaml"):
        text = path.read_text().replace("upsert: Contact", "upsert: contact")
        path.write_text(text.replace("SMS_Opt_Out__c:", "sms_opt_out__c:").replace("MobilePhone:", "mobilephone:"))
    async with world.running():
        contact = await joined(world)
        await world.phone(DONOR, "STOP")
        await world.settled()
        await world.poll()
        assert await sent(world) == []
        assert world.app.store.records.shadow("salesforce", "Contact", contact)["SMS_Opt_Out__c"] is True


async def test_a_removed_field_does_not_restart_the_feed(world):
    rewrite(world, WATCHED, MORE)
    async with world.running():
        contact = await joined(world)
    rewrite(world, MORE, WATCHED)
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    async with world.running():
        cursor = orjson.loads(world.app.store.following.cursor("salesforce.Contact"))
        assert cursor["baseline"] is False
        await world.poll()
        assert await sent(world) == [("unsubscribe", DONOR)]


@pytest.mark.parametrize("cursor", ["{", "[]", '{"fields": 7}', '{"position": "x"}'])
async def test_an_unreadable_cursor_keeps_the_shadows_of_records(world, cursor):
    async with world.running():
        contact = await joined(world)
        unknown = await world.person(LastName="x", MobilePhone=OTHER)
        await world.poll()
        await world.app.store.following.set_cursor("salesforce.Contact", cursor)
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    await world.person(Id=unknown, FirstName="Kari")
    async with world.running():
        await looked_at_all(world)
        assert await sent(world) == [("unsubscribe", DONOR)]


async def test_an_unreadable_position_keeps_the_shadows_of_records(world):
    async with world.running():
        contact = await joined(world)
        stored = orjson.loads(world.app.store.following.cursor("salesforce.Contact")) | {"position": "?"}
        await world.app.store.following.set_cursor("salesforce.Contact", orjson.dumps(stored).decode())
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    async with world.running():
        await looked_at_all(world)
        assert await sent(world) == [("unsubscribe", DONOR)]


def not_sent(world):
    return [fact.message for fact in world.emitted(Alarm) if fact.kind == "opt_outs_not_sent"]


async def test_a_lost_cursor_sends_nothing_and_raises_an_alarm_for_unknown_opt_outs(world):
    async with world.running():
        contact = await joined(world)
        await joined(world, OTHER)
        await world.phone(OTHER, "KATT STOPP")
        await world.settled()
        await world.app.store.following.set_cursor("salesforce.Contact", None)
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    world.facts.clear()
    async with world.running():
        await looked_at_all(world)
        assert await sent(world) == []
        (message,) = not_sent(world)
        assert "found 1 people who are opted out there" in message
        (alarm,) = [fact for fact in world.emitted(Alarm) if fact.kind == "opt_outs_not_sent"]
        assert "connector consents baseline" in alarm.cure


async def test_the_first_poll_of_another_flag_raises_an_alarm_for_its_opt_outs(tmp_path, secrets):
    """As when an administrator makes a new opt-out field and moves the values over."""
    shutil.copytree(
        ROOT / "mappings", tmp_path / "mappings", ignore=shutil.ignore_patterns("more", "np*", "nonprofit*")
    )
    config = CONFIG.replace("flag: SMS_Opt_Out__c", "flag: {flag}")
    async with a_world(
        tmp_path, mappings=tmp_path / "mappings", config=config.replace("{flag}", "SMS_Opt_Out__c")
    ) as world:
        async with world.running():
            contact = await joined(world)
        await world.person(Id=contact, DoNotCall=True)
        path = world.base / "config.yaml"
        path.write_text(path.read_text().replace("flag: SMS_Opt_Out__c", "flag: DoNotCall"))
        for file in (world.base / "mappings").glob("*.yaml"):
            file.write_text(file.read_text().replace("SMS_Opt_Out__c", "DoNotCall"))
        world.facts.clear()
        async with world.running():
            await looked_at_all(world)
            assert await sent(world) == []
            assert len(not_sent(world)) == 1
            await world.person(Id=contact, DoNotCall=False)
            await world.poll()
            await world.person(Id=contact, DoNotCall=True)
            await world.poll()
            assert await sent(world) == [("unsubscribe", DONOR)]


async def test_records_of_change_notices_are_read_while_all_records_are_read(world):
    """A daemon that was down for long reads for long; a message of the org about an opt-out does not wait for the end of it."""
    async with world.running():
        contact = await joined(world)
        await world.people([{"LastName": "x"} for _ in range(4500)])
        await world.poll()
    rewrite(world, WATCHED, MORE)
    async with world.running():
        await world.person(Id=contact, SMS_Opt_Out__c=True)
        await looked_at_all(world)
        assert await sent(world) == [("unsubscribe", DONOR)]
        world.clock.ahead += timedelta(minutes=1)
        await world.poll()
        assert len(await sent(world)) == 1
