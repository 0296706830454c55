"""Pages of events, the numbers beside the filters, and one event as a page."""

import json

import pytest
from admin.scene import DONOR, OTHER, Scene, make_home, report

from connector.crm.dynamics import adapter as dynamics
from connector.crm.dynamics.settings import DynamicsSettings
from connector.model.errors import ConnectorError
from connector.store.inbox import Entry
from connector.store.records import Link, write_links


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


async def joined(scene, **about):
    event_id = await scene.receive(report("Subscribe", **about))
    await scene.plan()
    await scene.settle("salesforce")
    return event_id


async def test_a_page_of_a_person_is_asked_for_by_the_opaque_id(scene):
    await joined(scene, phone=OTHER)
    event_id = await joined(scene, transaction="t-2")
    person = (await scene.ask("event_person", id=event_id))["id"]
    page = await scene.ask("events_page", person=person)
    assert ([one["id"] for one in page["events"]], page["phone"]) == ([event_id], "+47…008")
    assert DONOR[3:] not in json.dumps(page)
    shown = await scene.ask("events_page", person=person, reveal=True)
    assert shown["phone"] == shown["events"][0]["phone"] == DONOR
    with pytest.raises(ConnectorError, match="no such person"):
        await scene.ask("events_page", person="0" * 24)
    with pytest.raises(ConnectorError, match="not by both"):
        await scene.ask("events_page", person=person, phone=DONOR)


async def test_pages_are_walked_by_ids(scene):
    first, second, third = [await joined(scene, transaction=f"t-{turn}") for turn in range(3)]
    page = await scene.ask("events_page", limit=2)
    assert [one["id"] for one in page["events"]] == [third, second]
    rest = await scene.ask("events_page", limit=2, before=page["older"])
    assert ([one["id"] for one in rest["events"]], rest["older"]) == ([first], None)
    again = await scene.ask("events_page", limit=2, after=rest["newer"])
    assert [one["id"] for one in again["events"]] == [third, second]


async def test_all_choices_of_a_filter_have_a_number(scene):
    await joined(scene)
    counts = await scene.ask("events_counts")
    assert (counts["states"]["delivered"], counts["states"]["dead"]) == (1, 0)
    assert counts["providers"] == {"strex": 1, "salesforce": 0}
    assert counts["rules"]["strex-subscription.yaml: donor opted in"] == 1
    assert counts["rules"]["strex-subscription.yaml: gift received"] == 0


async def test_the_text_filter_holds_for_every_command_that_selects_events(scene):
    event_id = await joined(scene, keyword="KATT")
    assert [one["id"] for one in (await scene.ask("events_list", text="katt"))["events"]] == [event_id]
    assert (await scene.ask("replay", text="hund", since="1d", dry_run=True))["found"] == 0


async def test_an_event_leads_to_its_records_and_is_a_test(scene):
    event_id = await joined(scene)
    link = Link(crm="salesforce", object="Contact", key_field="SMS_Key__c", key=DONOR, record_id="003000000000001AAA")
    await scene.store.writer.run(lambda connection: write_links(connection, [link]))
    found = await scene.ask("event_show", id=event_id)
    (sink,) = found["became"]["sinks"]
    addresses = {one["record"]["address"] for one in sink["operations"] if one["record"]}
    assert addresses == {"https://acme.my.salesforce.com/003000000000001AAA"}
    (ladder,) = [one for one in found["ladder"] if one["file"] == "strex-subscription.yaml"]
    kinds = [(one["asked"], one["matched"]) for one in ladder["rules"]]
    taken = kinds.index((True, True))
    assert kinds == [(True, False)] * taken + [(True, True)] + [(False, False)] * (len(kinds) - taken - 1)
    assert found["test"]["text"].startswith(f'  - name: "event {event_id}: Subscribe"')
    assert DONOR[3:] not in json.dumps(found)


async def test_an_event_that_could_not_be_read_has_a_page_without_numbers(scene):
    body = f'{{"recipient": "{DONOR[1:]}", '.encode()
    about = {"provider": "strex", "shape": "delivery_report", "msisdn": None, "event": None}
    entry = Entry(key="unread", received_at=scene.now, raw=body, unreadable="it is not JSON", **about)
    (kept,) = await scene.store.inbox.keep([entry])
    event_id = kept.id
    found = await scene.ask("event_show", id=event_id)
    assert (found["plan"], found["ladder"], found["has_person"]) == (None, [], False)
    assert DONOR[1:] not in json.dumps(found)
    assert DONOR[1:] in (await scene.ask("event_show", id=event_id, reveal=True))["body"]
    with pytest.raises(ConnectorError, match="names no person"):
        await scene.ask("event_person", id=event_id)


async def test_a_provider_s_id_with_the_number_in_it_is_masked(scene):
    event_id = await joined(scene, transaction=f"t-{DONOR[1:]}")
    assert DONOR[3:] not in json.dumps(await scene.ask("event_show", id=event_id))
    assert DONOR[3:] not in json.dumps(await scene.ask("events_page"))


async def test_some_events_are_replayed_by_their_ids(scene):
    first, second = await joined(scene), await joined(scene, transaction="t-2", phone=OTHER)
    said = await scene.ask("replay", ids=[first, second], dry_run=True)
    assert (said["found"], said["to_replay"]) == (2, 0)
    waiting = await scene.receive(report("Subscribe", transaction="t-3"))
    assert (await scene.ask("replay", ids=[waiting], dry_run=True))["found"] == 0
    with pytest.raises(ConnectorError, match="at least one"):
        await scene.ask("replay", ids=[])


def test_a_record_of_dynamics_has_an_address():
    settings = DynamicsSettings.model_construct(url="https://acme.crm4.dynamics.com")
    address = dynamics.record_address(settings, "contact", "6a1c-1")
    assert address == "https://acme.crm4.dynamics.com/main.aspx?pagetype=entityrecord&etn=contact&id=6a1c-1"
