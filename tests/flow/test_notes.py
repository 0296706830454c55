"""A value that cannot be computed only costs its own field, and the event says so wherever a person looks."""

import shutil

import pytest
from flow.test_not_held_up import report
from flow.world import ROOT, a_world

from connector.admin import AdminContext, commands_for
from connector.registry import load_config
from connector.telemetry.log_events import Planned

ONE = "+4790000001"
FORM = """
on: [strex.delivery_report, strex.message]
rules:
  - name: form
    when: {action: Signup}
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        set:
          LastName: "{properties.name}"
          Email: "{properties.mail}"
          Birthdate: {from: properties.born, date: {from: MM/dd/yyyy}}
  - name: other
    when: {verdict: opt_out}
    do: [{upsert: Contact, key: {SMS_Key__c: "{msisdn}"}, create: {LastName: x}, set: {SMS_Opt_Out__c: true}}]
    consent: opt_out
  - name: rest
    ignore: true
"""


@pytest.fixture
async def world(tmp_path, secrets):
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    (mappings / "form.yaml").write_text(FORM)
    shutil.copy(ROOT / "mappings" / "salesforce-to-strex.yaml", mappings)
    async with a_world(tmp_path, mappings=mappings) as made, made.running():
        yield made


async def ask(world, command, **payload):
    app = world.app
    loaded = load_config(world.base / "config.yaml")
    context = AdminContext.of(app.store, rules=lambda: app.pipeline.rules, loaded=loaded, now=world.clock.now)
    return await commands_for(context)[command](payload)


async def test_a_form_with_an_invalid_date_is_delivered_with_a_note(world):
    await report(world, ONE, "Signup", name="Nord", mail="kari@example.com", born="13/1/2000")
    await world.settled()
    assert world.counts() == {"delivered": 1}
    (contact,) = await world.records()
    assert (contact["LastName"], contact["Email"], contact["Birthdate"]) == ("Nord", "kari@example.com", None)
    (note,) = (listed := await ask(world, "notes_list"))["notes"]
    assert (note["id"], note["state"], note["operation"], note["field"], note["why"]) == (
        1,
        "delivered",
        "upsert Contact",
        "Birthdate",
        "a date was expected",
    )
    assert note["place"] == "form.yaml:4"
    assert "required: true" in listed["cure"]
    assert "2000" not in str(listed["notes"])
    assert (await ask(world, "status"))["events_with_notes"] == 1
    explained = await ask(world, "explain", event=1)
    emitted = "form.yaml: form: upsert Contact: Birthdate was left out: a date was expected"
    assert explained["became"]["notes"] == [emitted]
    assert explained["plan"]["notes"] == [emitted]
    assert sum(fact.left_out for fact in world.emitted(Planned)) == 1


async def test_a_valid_event_has_no_note(world):
    await report(world, ONE, "Signup", name="Nord", mail="kari@example.com", born="12/31/2000")
    await world.settled()
    assert (await ask(world, "notes_list"))["notes"] == []
    assert (await ask(world, "status"))["events_with_notes"] == 0
    assert (await world.records())[0]["Birthdate"] == "2000-12-31"


async def test_a_replanned_event_has_the_notes_of_its_last_plan(world):
    (world.base / "mappings" / "form.yaml").write_text(FORM.replace("{msisdn}", "{properties.key}", 1))
    await world.app.reload()
    await report(world, ONE, "Signup", name="Nord", born="13/1/2000")
    await world.until(lambda: world.counts() == {"dead": 1})
    (world.base / "mappings" / "form.yaml").write_text(
        FORM.replace("{from: properties.born, date: {from: MM/dd/yyyy}}", '"2000-01-13"')
    )
    await world.app.reload()
    await world.app.store.dead_letters.retry(now=world.clock.now())
    world.app.wake("plan")
    await world.until(lambda: world.counts() == {"delivered": 1})
    assert (await ask(world, "notes_list"))["notes"] == []
