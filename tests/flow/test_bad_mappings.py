"""Mapping files with errors stop nothing: callbacks are taken in, and the mappings that were accepted last are used."""

import shutil

import pytest
from flow.world import ROOT, SECRETS, a_world

from connector.admin import AdminContext, commands_for
from connector.daemon import status_line
from connector.model.problem import ProblemsFound
from connector.telemetry.log_events import Alarm, Reloaded

LOG = "strex-log.yaml"


@pytest.fixture
async def world(tmp_path, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(
        ROOT / "mappings", tmp_path / "mappings", ignore=shutil.ignore_patterns("more", "npsp", "nonprofit-cloud")
    )
    async with a_world(tmp_path, mappings=tmp_path / "mappings") as made:
        yield made


async def mapping(app):
    context = AdminContext.of(app.store, rules=lambda: app.pipeline.rules, loaded=app.loaded, now=app.clock.now)
    return (await commands_for(context)["status"]({}))["mapping"]


def break_file(world):
    path = world.base / "mappings" / LOG
    text = path.read_text()
    path.write_text(text.replace("    when:", "    whne:", 1))
    line = text[: text.index("    when:")].count("\n") + 1
    return path, text, f"{LOG}:{line}:5: unknown key `whne`"


async def test_a_start_with_invalid_mappings_uses_the_last_accepted_ones(world):
    async with world.running() as app:
        version = app.pipeline.rules.version
    path, text, place = break_file(world)
    async with world.running() as app:
        assert app.pipeline.rules.version == version
        (alarm,) = [one for one in world.emitted(Alarm) if one.kind == "mappings_refused"]
        assert place in alarm.message
        assert await world.phone("+4790000001", "KATT") is None
        await world.settled()
        assert await world.contact("+4790000001")
        assert (await mapping(app))["refused_for"][0].startswith(place)
        path.write_text(text)
        await app.reload()
        assert world.cleared("mappings_refused")
        assert (await mapping(app))["refused_at"] is None


async def test_a_start_with_a_failing_test_uses_the_last_accepted_mappings_if_there_are_any(world):
    async with world.running() as app:
        version = app.pipeline.rules.version
    path = world.base / "mappings" / LOG
    text = path.read_text()
    path.write_text(text.replace("name: everything else", "name: all the rest", 1))  # a test expects the other name
    async with world.running() as app:
        assert app.pipeline.rules.version == version
        (alarm,) = [one for one in world.emitted(Alarm) if one.kind == "mappings_refused"]
        assert "the test `a report becomes an event record on the contact` fails" in alarm.message
    for file in world.base.glob("*.db*"):
        file.unlink()
    async with world.running() as app:
        assert app.pipeline.rules.version != version


async def test_callbacks_are_stored_and_wait_without_valid_mappings(world):
    path, text, place = break_file(world)
    async with world.running() as app:
        (alarm,) = [one for one in world.emitted(Alarm) if one.kind == "mappings_missing"]
        assert place in alarm.message
        assert await world.phone("+4790000001", "KATT") is None
        assert app.health.not_ready() == []
        await world.until(lambda: world.counts().get("pending"))
        assert await app.pipeline.plan() == 0
        assert world.counts() == {"pending": 1}
    # A restart changes nothing of it.
    async with world.running() as app:
        assert world.counts()["pending"] == 1
        path.write_text(text)
        changes = await app.reload()
        assert f"{LOG}: everything else" in changes.added
        await world.settled()
        assert await world.contact("+4790000001")
        assert world.cleared("mappings_missing")


async def test_a_refused_reload_names_the_positions_and_changes_nothing(world):
    async with world.running() as app:
        version = app.pipeline.rules.version
        path, text, place = break_file(world)
        with pytest.raises(ProblemsFound):
            await app.reload()
        (refused,) = [one for one in world.emitted(Reloaded) if not one.accepted]
        assert refused.problems[0].startswith(place)
        assert app.pipeline.rules.version == version
        assert [one.kind for one in world.emitted(Alarm)] == ["mappings_refused"]
        path.write_text(text.replace("everything else", "the rest"))
        changes = await app.reload()
        assert (changes.added, changes.removed) == ((f"{LOG}: the rest",), (f"{LOG}: everything else",))
        assert world.cleared("mappings_refused")


async def test_the_systemd_status_says_what_waits_and_what_is_wrong(world):
    async with world.running() as app:
        assert status_line(app) == "0 events waiting"
        await world.fault(world.salesforce, fault="unavailable", times=1_000_000)
        await world.phone("+4790000001", "KATT")
        await world.until(lambda: world.told_paused("salesforce"))
        break_file(world)
        with pytest.raises(ProblemsFound):
            await app.reload()
        said = status_line(app)
        assert "waiting; salesforce is paused (unavailable)" in said
        assert "the mapping files have errors" in said
