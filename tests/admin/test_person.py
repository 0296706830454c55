"""A person's rights, as the CLI, the admin API and the console use them."""

import json
import re
from datetime import timedelta

import pytest
from admin.scene import DONOR, OTHER, Scene, make_home, report

from connector.admin.person_page import person_page
from connector.model.errors import ConnectorError
from connector.model.event import Part
from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.pipeline.receive import part_entry
from connector.store.person_key import key_file

FORMS = ("4798079008", "98079008", "980 79 008", "%2B4798079008")


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


async def life(scene):
    await scene.receive(report("Subscribe"))
    await scene.plan()
    await scene.settle("salesforce")
    await scene.shadow("003A", out=False)
    await scene.receive(report("Unsubscribe", transaction="t-2"))
    await scene.plan()


async def test_a_person_is_shown_with_all_that_is_held(scene):
    await life(scene)
    said = await scene.ask("person_show", phone="0047 980 79 008", reveal=True)
    assert said["phone"] == DONOR
    assert [one["event"]["action"] for one in said["history"]] == ["Subscribe", "Unsubscribe"]
    assert said["records"][0]["fields"]["MobilePhone"] == DONOR
    assert said["forgotten"] is None
    masked = await scene.ask("person_show", phone=DONOR)
    assert not any(form in json.dumps(masked) for form in FORMS)


async def test_looking_exporting_and_forgetting_are_audited_without_the_number(scene):
    await life(scene)
    await scene.ask("person_show", phone=DONOR)
    await scene.ask("person_show", phone=DONOR, reveal=True, by="kari")
    await scene.ask("person_export", phone=DONOR, by="kari")
    await scene.ask("person_forget", phone=DONOR, by="kari")
    await scene.ask("person_forget", phone=DONOR, confirm=True, by="kari")
    entries = (await scene.ask("console_audit"))["entries"]
    assert [one["action"] for one in entries] == ["forget a person", "export a person", "show a person"]
    assert {one["who"] for one in entries} == {"kari"}
    assert len({one["about"] for one in entries}) == 1
    assert not any(form in json.dumps(entries) for form in FORMS)


async def test_forgetting_without_confirm_shows_a_preview_and_erases_nothing(scene):
    await life(scene)
    said = await scene.ask("person_forget", phone=DONOR)
    assert not said["confirmed"]
    assert {one["what"]: one["count"] for one in said["erases"]} == {"events": 2, "records": 1, "ledger": 3}
    # The provider calls it an opt-out: the CRM has not confirmed it yet.
    assert [one["events"] for one in said["waits"]] == [[2], [2]]
    assert len(scene.store.inbox.of_phone(DONOR)) == 2


async def test_forgetting_keeps_an_opt_out_until_it_is_confirmed(scene):
    await life(scene)
    said = await scene.ask("person_forget", phone=DONOR, confirm=True)
    assert not said["finished"]
    assert said["erased_events"] == 1
    await scene.settle("salesforce")
    said = await scene.ask("person_forget", phone=DONOR, confirm=True)
    assert said["finished"] == (not said["waits"])


async def test_forgetting_warns_of_running_subscriptions_and_dead_letters(scene):
    await scene.receive(report("Subscribe"))
    await scene.plan()
    await scene.settle("salesforce", UnitState.DEAD, reason=Reason.VALIDATION)
    warnings = " ".join((await scene.ask("person_forget", phone=DONOR))["warnings"])
    assert "KATT on 2002 (strex) runs" in warnings
    assert "events 1." in warnings


async def test_the_backups_that_hold_a_person_are_listed_with_their_last_day(scene, tmp_path):
    await life(scene)
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "connector-20261122T021500Z.db").write_bytes(b"")
    (tmp_path / "connector-before-restore-20261120T000000Z.db").write_bytes(b"")
    said = (await scene.ask("person_forget", phone=DONOR))["backups"]
    assert said["until"] == f"{scene.now + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    assert said["by_hand"] == ["connector-before-restore-20261120T000000Z.db"]


async def test_the_page_of_an_export_is_escaped_and_self_contained(scene):
    nasty = '<script>alert("x")</script>'
    body = report("Subscribe").replace(b'"KATT"', json.dumps(f"KATT {nasty}").encode())
    await scene.receive(body)
    await scene.plan()
    bad = b'{"recipient": "+47 980 79 008", ' + nasty.encode()
    await scene.store.inbox.keep(
        [part_entry(Part(raw=bad, why="not JSON"), provider="strex", endpoint="dlr", received_at=scene.now)]
    )
    document = await scene.ask("person_export", phone=DONOR)
    page = person_page(document)
    assert nasty not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(?:src|href)=|https?://", page)
    assert document["unreadable"][0]["as_received"].startswith('{"recipient"')
    assert "2026-11-22 13:00" in page  # the time in Oslo


async def test_an_unknown_person_has_an_empty_page(scene):
    document = await scene.ask("person_export", phone=OTHER)
    assert "No message is stored any more" in person_page(document)
    assert (await scene.ask("person_forget", phone=OTHER))["erases"] == []


async def test_what_is_no_number_is_refused(scene):
    with pytest.raises(ConnectorError, match="not a phone number"):
        await scene.ask("person_forget", phone="kari", confirm=True)


async def test_without_the_key_nobody_is_forgotten(scene):
    await life(scene)
    with pytest.raises(ConnectorError, match="the key is there"):
        await scene.ask("person_new_key")
    key_file(scene.store.path).unlink()
    with pytest.raises(ConnectorError, match="Put it back"):
        await scene.ask("person_forget", phone=DONOR, confirm=True)
    assert await scene.ask("person_new_key") == {"not_recognised": 0}
