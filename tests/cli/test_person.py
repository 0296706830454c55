"""`connector person`."""

import json
import os
import stat

from admin.scene import DONOR, report
from click.testing import CliRunner

from connector.cli.client import user_name
from connector.cli.main import cli

FORMS = ("4798079008", "98079008", "980 79 008")


async def joined(scene):
    await scene.receive(report("Subscribe"))
    await scene.plan()
    await scene.settle("salesforce")


def test_the_stored_data_of_a_person_are_shown(home):
    home.on_the_road(joined)
    said = home.run("person", "show", "980 79 008")
    assert said.exit_code == 0, said.output
    assert "last decision: joined KATT on 2002 (strex)" in said.output
    assert DONOR not in said.output
    assert DONOR in home.run("person", "show", "980 79 008", "--reveal").output


def test_a_user_without_a_name_is_recorded_by_id(home, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # as in a container
    home.on_the_road(joined)
    said = home.run("person", "show", DONOR)
    assert said.exit_code == 0, said.output
    assert user_name() == "uid 54321"


def test_an_export_is_two_private_files(home, tmp_path):
    home.on_the_road(joined)
    files = home.json("person", "export", DONOR, "--to", tmp_path / "request")["files"]
    data, page = [(tmp_path / "request" / name) for name in sorted(files, reverse=True)]
    assert json.loads(data.read_text())["phone"] == DONOR
    assert DONOR in page.read_text()
    assert {stat.S_IMODE(one.stat().st_mode) for one in (data, page)} == {0o600}


def test_forgetting_asks_first_and_does_nothing_without_a_yes(home):
    home.on_the_road(joined)
    run = ["--config", str(home.config), "person", "forget", "+47 980 79 008"]
    refused = CliRunner().invoke(cli, run, input="n\n", prog_name="connector")
    assert refused.exit_code != 0
    assert "1 events with text" in refused.output
    assert "Erase this person's data for good?" in refused.output
    assert home.on_the_road(stored) == 1
    done = CliRunner().invoke(cli, run, input="y\n", prog_name="connector")
    assert done.exit_code == 0, done.output
    assert "forgotten: 1 events and all else about this person are erased" in done.output
    assert home.on_the_road(stored) == 0
    assert not any(form.encode() in home.store.read_bytes() for form in FORMS)


async def stored(scene):
    return len(scene.store.inbox.of_phone(DONOR))


def test_forgetting_with_json_needs_yes_and_a_dry_run_erases_nothing(home):
    home.on_the_road(joined)
    assert "add --yes" in home.run("person", "forget", DONOR, "--json").output
    assert home.json("person", "forget", DONOR, "--dry-run")["confirmed"] is False
    assert home.json("person", "forget", DONOR, "--yes")["finished"] is True
    again = home.run("person", "show", DONOR)
    assert "to be forgotten since" in again.output
    assert "joined KATT" in again.output
