"""`connector dynamics setup` in a new org: what it shows and creates, and what it does not change."""

import json
import urllib.request
from pathlib import Path

import pytest

from connector.crm.dynamics.setup.definitions import (
    DONATIONS,
    EVENTS,
    ON_CONTACT,
    ON_SCHEDULE,
    SCHEDULE,
    ColumnPart,
    column_body,
)
from connector.crm.dynamics.setup.survey import ENGLISH
from connector.sandbox.dynamics import org
from connector.sandbox.dynamics.app import build

CONFIG = """\
store: {{path: connector.db, ballast: 0B, free_space_floor: 0B}}
default_region: NO
timezone: Europe/Oslo
mappings: mappings
providers:
  strex:
    path_secrets: [{{env: SCENE_STREX_SECRET}}]
    subscriptions: [{{short_number: "2002", keyword: KATT}}]
crm:
  dynamics:
    url: {url}
    sign_in: {{tenant: sandbox, client_id: sandbox, client_secret: {{env: SCENE_DYNAMICS_SECRET}}}}
    consent_fields:
      contact: {{flag: crmc_smsoptout, phone: mobilephone, along: [crmc_smsoptoutat]}}
"""
MAPPING = """\
on: [strex.message, strex.delivery_report]
rules:
  - name: opted out
    when: {verdict: opt_out}
    do:
      - upsert: contact
        key: {crmc_smskey: {from: msisdn, phone: digits}}
        create: {lastname: Unknown, mobilephone: "{msisdn}"}
        set: {crmc_smsoptout: true, crmc_smsoptoutat: {from: [occurred_at, received_at]}}
    consent: opt_out
  - name: anything else
    do:
      - upsert: crmc_smsevent
        key: {crmc_smseventid: "{key}"}
        create:
          crmc_name: "{shape}"
          crmc_contactid: {crmc_smskey: {from: msisdn, phone: digits}}
      - upsert: crmc_smsdonation
        key: {crmc_smsdonationid: "{transaction_id}"}
        create: {crmc_name: Gift, crmc_amount: {from: price, round: 2}}
tests: []
"""
PARTS = 14
PAGE = Path(__file__).parents[2] / "docs" / "dynamics.md"


class Org:
    def __init__(self, url):
        self.url = url

    def call(self, path, document=None, method=None):
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", data=body, method=method)
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def add_column(self, definition):
        """Add a column to the contact by the Web API, as an administrator did before."""
        request = urllib.request.Request(
            f"{self.url}/api/data/v9.2/EntityDefinitions(LogicalName='contact')/Attributes",
            data=json.dumps(definition).encode(),
            headers={"Authorization": f"Bearer {self.administrators_token()}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:
            assert reply.status == 204

    def administrators_token(self):
        form = b"grant_type=client_credentials&client_id=sandbox&client_secret=sandbox&scope=" + self.url.encode()
        with urllib.request.urlopen(f"{self.url}/sandbox/oauth2/v2.0/token", data=form + b"/.default") as reply:
            return json.load(reply)["access_token"]


@pytest.fixture
def org_at(threaded, home, monkeypatch):
    with threaded(build(bare=True)) as url:
        home.config.write_text(CONFIG.format(url=url))
        for file in home.mappings.rglob("*.yaml"):
            file.unlink()
        (home.mappings / "strex.yaml").write_text(MAPPING)
        monkeypatch.setenv("SCENE_STREX_SECRET", "path-secret")
        monkeypatch.setenv("SCENE_DYNAMICS_SECRET", "sandbox")
        yield Org(url)


def states(said):
    return {one["state"] for one in said["parts"]}


def test_a_new_org_gets_everything_that_the_mappings_need(home, org_at):
    assert home.json("check", "--live", code=1)["errors"] > 0
    said = home.json("dynamics", "setup", "--yes")
    assert (said["ok"], said["changed"], said["lacks"], said["duplicates"]) == (True, True, [], [])
    assert states(said) == {"add"}
    assert len(said["parts"]) == PARTS
    assert said["keys"] == {"contact.crmc_smskey": "Active", "crmc_smsevent.crmc_eventkey": "Active"}
    assert home.json("check", "--live")["problems"] == []


def test_a_second_run_changes_nothing_and_says_so(home, org_at):
    home.json("dynamics", "setup", "--yes")
    said = home.json("dynamics", "setup", "--yes")
    assert (said["ok"], said["changed"], states(said)) == (True, False, {"there"})
    done = home.run("dynamics", "setup")
    assert done.exit_code == 0
    assert "everything exists already; nothing was changed" in done.stdout


def test_a_dry_run_shows_all_parts_and_creates_nothing(home, org_at):
    done = home.run("dynamics", "setup", "--dry-run")
    assert done.exit_code == 0
    assert "+ column contact.crmc_smskey" in done.stdout
    assert "nothing was changed" in done.stdout
    assert states(home.json("dynamics", "setup", "--dry-run")) == {"add"}


def test_the_setup_shows_its_plan_and_asks(home, org_at):
    done = home.run("dynamics", "setup")
    assert done.exit_code == 1
    assert "+ table crmc_smsevent" in done.stdout
    assert "Create this in dynamics?" in done.stderr
    assert states(home.json("dynamics", "setup", "--dry-run")) == {"add"}


def test_an_interrupted_setup_continues(home, org_at):
    org_at.call("faults", {"fault": "server_error", "table": "RelationshipDefinitions", "times": 1})
    done = home.run("dynamics", "setup", "--yes")
    assert done.exit_code != 0
    assert "Run the command again: it continues where it stopped" in done.stderr
    said = home.json("dynamics", "setup", "--yes")
    assert (said["ok"], states(said), said["lacks"]) == (True, {"there", "add"}, [])


def test_a_user_without_the_right_to_customise_sees_the_cure(home, org_at, monkeypatch):
    org_at.call("faults", {"fault": "no_privilege", "table": "publishers"})
    done = home.run("dynamics", "setup", "--yes")
    assert done.exit_code == 1
    assert "System Customizer" in done.stderr
    assert "--token-env" in done.stderr
    org_at.call("faults", method="DELETE")
    monkeypatch.setenv("ADMIN_TOKEN", org_at.administrators_token())
    assert home.json("dynamics", "setup", "--yes", "--token-env", "ADMIN_TOKEN")["ok"]


def test_the_option_json_asks_nothing(home, org_at):
    done = home.run("dynamics", "setup", "--json")
    assert done.exit_code == 2
    assert "--yes or --dry-run" in done.stderr


def test_records_with_the_same_value_are_listed_and_the_key_is_not_created(home, org_at):
    org_at.add_column(column_body(ON_CONTACT.columns[0], ENGLISH))
    records = [{"lastname": "Unknown", "crmc_smskey": key} for key in ("4790000001", "4790000002", "4790000001")]
    first, _, third = org_at.call("records/contact", {"records": records})["ids"]
    said = home.json("dynamics", "setup", "--yes", code=1)
    assert said["duplicates"] == [{"column": "contact.crmc_smskey", "records": [first, third]}]
    assert [one["name"] for one in said["parts"] if one["state"] == "in_the_way"] == ["contact.crmc_smskey"]
    done = home.run("dynamics", "setup")
    assert done.exit_code == 1
    assert f"contact.crmc_smskey has the same value on {first}, {third}" in done.stdout
    assert "not created: alternate key contact.crmc_smskey: several records have the same value" in done.stdout
    org_at.call("records/contact", {"records": [{"contactid": third, "crmc_smskey": None}]})
    said = home.json("dynamics", "setup", "--yes")
    assert (said["ok"], said["keys"]) == (True, {"contact.crmc_smskey": "Active"})


def test_a_column_of_another_type_is_not_changed(home, org_at):
    org_at.add_column(column_body(ColumnPart(schema_name="crmc_SmsOptOut", label="Out", length=10), ENGLISH))
    said = home.json("dynamics", "setup", "--yes", code=1)
    (blocked,) = (one for one in said["parts"] if one["state"] == "in_the_way")
    assert blocked["detail"] == "the org's column of this name is of type String, and not Boolean"
    assert said["changed"]
    done = home.run("dynamics", "setup", "--yes")
    (line,) = (one for one in done.stdout.splitlines() if one.startswith("not created"))
    assert line.endswith("the org's column of this name is of type String, and not Boolean")


def test_the_shipped_tables_equal_those_of_an_org_after_setup():
    """The sandbox describes the org for all other tests: it must have what set-up creates, no more and no less."""
    known = org.tables(preset="fundraising")
    for part in (ON_CONTACT, EVENTS, DONATIONS, ON_SCHEDULE):
        made = {one.name: (one.kind, one.length) for one in part.columns} | {
            one.name: ("Lookup", 0) for one in part.lookups
        }
        theirs = {
            name: (one.kind, one.length) for name, one in known[part.name].columns.items() if name.startswith("crmc_")
        }
        theirs.pop(f"{part.name}id", None)
        assert made == theirs
        assert {one.columns for one in known[part.name].keys.values()} == {(one.column,) for one in part.keys}


def test_the_docs_page_names_every_part_that_is_created():
    page = PAGE.read_text()
    for part in (ON_CONTACT, EVENTS, DONATIONS, ON_SCHEDULE):
        columns = part.columns if not part.schema_name else ()
        names = [part.name, *(one.name for one in (*columns, *part.lookups)), *(one.column for one in part.keys)]
        assert [name for name in names if f"`{name}`" not in page and name not in {"contact", SCHEDULE}] == []


def test_the_doctor_names_the_setup_command_and_finds_nothing_after_it(home, org_at):
    before = home.json("doctor", code=1)
    cures = " ".join(one["cure"] for one in before["findings"])
    assert "`connector dynamics setup`" in cures
    assert "salesforce" not in cures
    home.json("dynamics", "setup", "--yes")
    after = home.json("doctor")
    areas = {one["area"]: one["level"] for one in after["findings"]}
    assert areas["files"] == "ok"
    assert {areas[f"dynamics {area}"] for area in ("sign-in", "clock", "keys", "rights", "limits")} == {"ok"}


def test_the_schema_is_pulled_and_checked_without_the_org(home, org_at):
    home.json("dynamics", "setup", "--yes")
    (pulled,) = home.json("schema", "pull")["crms"]
    assert (pulled["objects"], pulled["absent"]) == (3, [])
    assert home.json("check")["problems"] == []
    home.edit("strex.yaml", "crmc_smsoptout: true", "crmc_smsoptuot: true")
    (wrong,) = home.json("check", code=1)["problems"]
    assert (wrong["code"], "crmc_smsoptout" in wrong["hint"]) == ("no-such-field", True)


def test_a_column_that_is_no_alternate_key_is_reported_with_its_cure(home, org_at):
    org_at.add_column(column_body(ON_CONTACT.columns[0], ENGLISH))
    hints = [one["hint"] for one in home.json("check", "--live", code=1)["problems"] if one["code"] == "no-external-id"]
    assert hints
    assert "make an alternate key of the column" in hints[0]
