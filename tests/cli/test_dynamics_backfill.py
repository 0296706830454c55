"""`connector dynamics backfill`: what it finds, fills and leaves, and how it goes on after an interruption."""

import csv

import pytest
from cli.test_dynamics_setup import CONFIG, MAPPING, Org

from connector.sandbox.dynamics.app import build

KARI, OLA, SHARED = "+4790000001", "+4790000002", "+4790000003"


@pytest.fixture
def org_at(threaded, home, monkeypatch):
    with threaded(build()) as url:
        home.config.write_text(CONFIG.format(url=url))
        for file in home.mappings.rglob("*.yaml"):
            file.unlink()
        (home.mappings / "strex.yaml").write_text(MAPPING)
        monkeypatch.setenv("SCENE_STREX_SECRET", "made-up")
        monkeypatch.setenv("SCENE_DYNAMICS_SECRET", "sandbox")
        yield Org(url)


def load(org_at, *records):
    return org_at.call("records/contact", {"records": [{"lastname": "Unknown", **one} for one in records]})["ids"]


def keys(org_at):
    return {one["contactid"]: one["crmc_smskey"] for one in org_at.call("records/contact")["records"]}


def test_the_backfill_shows_a_preview_and_fills_with_write(home, org_at):
    kari, ola, one, other, none, odd = load(
        org_at,
        {"mobilephone": "900 00 001"},
        {"telephone2": OLA},
        {"mobilephone": SHARED},
        {"mobilephone": SHARED},
        {},
        {"mobilephone": "ask at the desk"},
    )
    said = home.json("dynamics", "backfill")
    assert said["counts"] == {"fill": 2, "no_phone": 1, "unreadable": 1, "shared": 2}
    assert set(keys(org_at).values()) == {None}
    said = home.json("dynamics", "backfill", "--write", "--yes", "--conflicts", "conflicts.csv")
    assert (said["ok"], said["counts"]["written"]) == (True, 2)
    found = keys(org_at)
    assert (found[kari], found[ola]) == (KARI[1:], OLA[1:])
    assert {found[name] for name in (one, other, none, odd)} == {None}
    with (home.directory / "conflicts.csv").open() as file:
        assert {row["contact"]: row["problem"] for row in csv.DictReader(file)} == {
            one: "shared",
            other: "shared",
            odd: "unreadable",
        }
    assert home.json("dynamics", "backfill")["counts"] == {"filled": 2, "no_phone": 1, "unreadable": 1, "shared": 2}


def test_one_of_several_contacts_with_a_number_can_be_chosen(home, org_at):
    one, other = load(org_at, {"mobilephone": SHARED}, {"mobilephone": SHARED})
    said = home.json("dynamics", "backfill", "--write", "--yes", "--many", "oldest")
    assert said["counts"] == {"written": 1, "shared": 1}
    assert sorted(str(keys(org_at)[name]) for name in (one, other)) == [SHARED[1:], "None"]


def test_a_number_that_is_the_key_of_another_contact_is_skipped(home, org_at):
    holder, other = load(org_at, {"crmc_smskey": KARI[1:], "mobilephone": KARI}, {"mobilephone": KARI})
    said = home.json("dynamics", "backfill", "--write", "--yes")
    assert said["counts"] == {"filled": 1, "taken": 1}
    assert said["findings"][0]["others"] == holder
    assert keys(org_at)[other] is None


def test_many_contacts_are_filled_in_batches(home, org_at):
    load(org_at, *({"mobilephone": f"+479000{number:04d}"} for number in range(250)))
    before = org_at.call("stats")["api_calls"]
    assert home.json("dynamics", "backfill", "--write", "--yes")["counts"] == {"written": 250}
    assert org_at.call("stats")["api_calls"] - before <= 8  # the table, one page, and two calls for each hundred
    assert len(set(keys(org_at).values())) == 250


def test_the_backfill_continues_after_an_interruption(home, org_at):
    load(org_at, *({"mobilephone": f"+479000{number:04d}"} for number in range(150)))
    org_at.call(
        "faults",
        {"fault": "refuse", "status": 400, "code": "0x80048d19", "message": "no", "only": "writes", "after": 1},
    )
    done = home.run("dynamics", "backfill", "--write", "--yes")
    assert done.exit_code == 1, done.output
    assert sum(key is not None for key in keys(org_at).values()) == 100
    org_at.call("faults", method="DELETE")
    done = home.run("dynamics", "backfill")
    assert "is not finished: continue it with --write" in done.stderr
    said = home.json("dynamics", "backfill", "--write", "--yes")
    assert said["counts"] == {"written": 150}


def test_a_missing_column_is_named_with_its_cure(home, org_at):
    done = home.run("dynamics", "backfill", "--phone-field", "sms_number")
    assert done.exit_code == 1
    assert "contact.sms_number does not exist: run `connector dynamics setup`, or correct its name" in done.stderr
