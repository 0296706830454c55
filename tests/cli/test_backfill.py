"""`connector salesforce backfill` over HTTP: preview, confirmation, listed findings and rejections."""

import csv
import json
import shutil
import urllib.request
from pathlib import Path

import pytest

from connector.cli.progress import progress
from connector.sandbox.dynamics import app as dynamics
from connector.sandbox.salesforce import app as salesforce

CONFIG = """\
store: {{path: connector.db, ballast: 0B, free_space_floor: 0B}}
admin: {{port: 0}}
{region}
timezone: Europe/Oslo
providers:
  strex:
    path_secrets: [{{env: BACKFILL_SECRET}}]
    api: {{key: {{env: BACKFILL_SECRET}}}}
    subscriptions: [{{short_number: "2002", keyword: KATT}}]
crm:
  salesforce:
    url: {url}
    sign_in: {{client_id: sandbox, client_secret: {{env: BACKFILL_CRM}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
{more}
"""
DYNAMICS = """\
  dynamics:
    type: dynamics
    url: {url}
    sign_in: {{tenant: sandbox, client_id: sandbox, client_secret: {{env: BACKFILL_CRM}}}}
    consent_fields:
      contact: {{flag: crmc_smsoptout, phone: mobilephone, along: [crmc_smsoptoutat, crmc_smsoptoutsource]}}
"""
BOTH = Path(__file__).parents[2] / "mappings" / "dynamics" / "both"
PEOPLE = [
    {"LastName": "spaced", "MobilePhone": "+47 900 00 001"},
    {"LastName": "home", "HomePhone": "90000002"},
    {"LastName": "filled", "MobilePhone": "90000003", "SMS_Key__c": "+4790000003"},
    {"LastName": "different", "MobilePhone": "90000004", "SMS_Key__c": "+4790000099"},
    {"LastName": "nobody"},
    {"LastName": "odd", "MobilePhone": "ask her"},
    {"LastName": "older", "MobilePhone": "90000005"},
    {"LastName": "newer", "MobilePhone": "+4790000005"},
    {"LastName": "taken", "MobilePhone": "90000003"},
]
COUNTS = {"fill": 2, "filled": 1, "no_phone": 1, "unreadable": 1, "different": 1, "shared": 2, "taken": 1}


class Org:
    """A home whose config knows the sandbox, and the sandbox."""

    def __init__(self, home, url):
        self.home, self.url = home, url
        self.run, self.json = home.run, home.json
        self.file = home.directory / "connector.backfill"
        self.configure()

    def configure(self, *, region="default_region: NO", more="", url=None):
        self.home.config.write_text(CONFIG.format(url=url or self.url, region=region, more=more))

    def ask(self, method, what, body=None):
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/{what}", content, method=method)
        with urllib.request.urlopen(request) as said:
            return json.load(said)

    def load(self, *records):
        return self.ask("POST", "records/Contact", {"records": records})["ids"]

    def keys(self):
        rows = self.ask("GET", "records/Contact")["records"]
        return {row["LastName"]: row["SMS_Key__c"] for row in rows}

    def begin_and_lose(self, *more):
        """A backfill that ends in the middle, because Salesforce gives its job up."""
        self.ask("POST", "faults", {"fault": "job_fails", "after": 1})
        lost = self.run("salesforce", "backfill", "--write", "--yes", *more)
        assert lost.exit_code == 1, lost.output
        assert "InternalServerError" in lost.output
        self.ask("DELETE", "faults")
        return lost


@pytest.fixture
def org(home, threaded, monkeypatch):
    monkeypatch.setenv("BACKFILL_SECRET", "secret")
    monkeypatch.setenv("BACKFILL_CRM", "sandbox")
    with threaded(salesforce.build()) as url:
        yield Org(home, url)


def test_a_backfill_without_write_changes_nothing(org):
    org.load(*PEOPLE)
    before = org.keys()
    shown = org.run("salesforce", "backfill")
    assert shown.exit_code == 0, shown.output
    assert "2 to be filled" in shown.output
    assert "nothing is written yet: add --write" in shown.output
    assert "+47…004" in shown.output
    assert "90000" not in shown.output
    assert org.keys() == before
    assert not org.file.exists()
    assert "POST /jobs/ingest" not in org.ask("GET", "stats")["requests"]


def test_findings_are_counted_and_listed_with_ids_and_the_cure(org):
    ids = dict(zip((one["LastName"] for one in PEOPLE), org.load(*PEOPLE), strict=True))
    document = org.json("salesforce", "backfill", "--conflicts", "c.csv")
    assert (document["key_field"], document["contacts"], document["counts"]) == ("SMS_Key__c", 9, COUNTS)
    text = Path("c.csv").read_text(encoding="utf-8")
    assert "9000" not in text
    found = {row["contact"]: row for row in csv.DictReader(text.splitlines())}
    problems = {name: found[one]["problem"] for name, one in ids.items() if one in found}
    assert problems == {
        "different": "different",
        "odd": "unreadable",
        "older": "shared",
        "newer": "shared",
        "taken": "taken",
    }
    assert found[ids["taken"]]["others"] == ids["filled"]
    assert found[ids["older"]]["others"] == ids["newer"]
    assert "merge" in found[ids["older"]]["cure"]
    assert document["findings_in_all"] == len(document["findings"]) == 5


def test_the_option_write_asks_first(org):
    org.load(*PEOPLE)
    refused = org.home.run("salesforce", "backfill", "--write")
    assert "Fill 2 contacts in salesforce?" in refused.output
    assert (refused.exit_code, org.keys()["spaced"], org.file.exists()) == (1, None, False)
    assert org.run("salesforce", "backfill", "--write", "--json").exit_code == 2


@pytest.mark.parametrize(
    ("many", "older", "newer"), [("skip", None, None), ("oldest", "+4790000005", None), ("newest", None, "+4790000005")]
)
def test_the_option_write_fills_what_the_preview_showed(org, many, older, newer):
    org.load(*PEOPLE)
    words = ("salesforce", "backfill", "--write", "--yes", "--many", many)
    document = org.json(*words)
    assert document["counts"]["written"] == (2 if many == "skip" else 3)
    assert org.keys() == {
        "spaced": "+4790000001",
        "home": "+4790000002",
        "filled": "+4790000003",
        "different": "+4790000099",
        "nobody": None,
        "odd": None,
        "older": older,
        "newer": newer,
        "taken": None,
    }
    assert not org.file.exists()
    jobs = org.ask("GET", "stats")["requests"]["POST /jobs/ingest"]
    again = org.json(*words)
    assert "written" not in again["counts"]
    assert org.ask("GET", "stats")["requests"]["POST /jobs/ingest"] == jobs


def test_a_refused_contact_ends_with_1_and_is_in_the_conflicts_file(org):
    (one, _) = org.load(
        {"LastName": "locked", "MobilePhone": "90000001"}, {"LastName": "free", "MobilePhone": "90000002"}
    )
    org.ask("POST", "faults", {"fault": "job_row_lock", "records": [one]})
    document = org.json("salesforce", "backfill", "--write", "--yes", "--conflicts", "c.csv", code=1)
    assert document["counts"] == {"written": 1, "refused": 1}
    (row,) = csv.DictReader(Path("c.csv").read_text(encoding="utf-8").splitlines())
    assert (row["contact"], row["code"]) == (one, "UNABLE_TO_LOCK_ROW")


def test_an_unfinished_backfill_must_be_continued_first(org):
    org.load(*({"LastName": f"n{number}", "MobilePhone": f"9{number:07}"} for number in range(20)))
    lost = org.begin_and_lose()
    assert "run the command again to continue" in lost.output
    assert org.file.exists()
    preview = org.run("salesforce", "backfill")
    assert (preview.exit_code, "continue it with --write" in preview.output) == (1, True)
    other = org.run("salesforce", "backfill", "--write", "--yes", "--many", "oldest")
    assert (other.exit_code, "another many" in other.output) == (1, True)
    done = org.run("salesforce", "backfill", "--write")  # it was confirmed when it was begun
    assert done.exit_code == 0, done.output
    assert "Continuing" in done.output
    assert "20 contacts now have their key" in done.output
    assert not org.file.exists()


def test_the_option_restart_discards_an_unfinished_backfill(org):
    org.load({"LastName": "a", "MobilePhone": "90000001"})
    org.begin_and_lose()
    document = org.json("salesforce", "backfill", "--restart")
    assert document["counts"] == {"fill": 1}
    assert not org.file.exists()


@pytest.fixture
def second_org(org, threaded):
    """A Dynamics 365 org in the same config, with the mappings for both."""
    with threaded(dynamics.build()) as url:
        org.configure(more=DYNAMICS.format(url=url))
        for file in org.home.mappings.rglob("*.yaml"):
            file.unlink()
        shutil.copytree(BOTH, org.home.mappings, dirs_exist_ok=True)
        yield url


@pytest.mark.parametrize("more", [[], ["--restart"], ["--write", "--yes"]])
@pytest.mark.parametrize("cure", ["--restart", "--write"])
def test_an_unfinished_backfill_of_another_crm_is_neither_continued_nor_discarded(org, second_org, more, cure):
    org.load({"LastName": "a", "MobilePhone": "90000001"})
    org.begin_and_lose()
    refused = org.run("dynamics", "backfill", *more)
    command = f"connector salesforce backfill --crm salesforce {cure}"
    assert (refused.exit_code, f"in {org.url} is not finished" in refused.output) == (1, True), refused.output
    assert f"`{command}`" in refused.output
    assert org.file.exists()
    done = org.run(*command.split()[1:])
    assert (done.exit_code, org.file.exists()) == (0, False), done.output
    assert org.run("dynamics", "backfill").exit_code == 0


def test_an_unfinished_backfill_of_an_org_that_the_config_does_not_name_is_kept_until_a_person_removes_it(
    org, second_org
):
    org.load({"LastName": "a", "MobilePhone": "90000001"})
    org.begin_and_lose()
    org.configure(more=DYNAMICS.format(url=second_org), url="https://other.my.salesforce.com")
    refused = org.run("dynamics", "backfill", "--restart")
    assert (refused.exit_code, f"remove {org.file}" in refused.output) == (1, True), refused.output
    org.file.unlink()
    assert org.run("dynamics", "backfill").exit_code == 0


def test_phone_fields_can_be_named(org):
    org.load({"LastName": "a", "MobilePhone": "90000001", "Phone": "90000002"})
    org.json("salesforce", "backfill", "--write", "--yes", "--phone-field", "Phone")
    assert org.keys() == {"a": "+4790000002"}
    odd = org.run("salesforce", "backfill", "--phone-field", "Mobil")
    assert (odd.exit_code, "Contact.Mobil does not exist" in odd.output) == (1, True)
    no_key = org.run("salesforce", "backfill", "--key-field", "LastName")
    assert (no_key.exit_code, "tick External ID" in no_key.output) == (1, True)
    assert not org.file.exists()


def test_the_key_field_must_be_named_if_no_mapping_uses_one(org):
    for file in org.home.mappings.glob("*.yaml"):
        file.write_text(file.read_text().replace('key: {SMS_Key__c: "{msisdn}"}', 'key: {SMS_Key__c: "{keyword}"}'))
    org.load({"LastName": "a", "MobilePhone": "90000001"})
    silent = org.run("salesforce", "backfill")
    assert (silent.exit_code, "name one with --key-field" in silent.output) == (2, True)
    assert org.json("salesforce", "backfill", "--key-field", "SMS_Key__c")["counts"] == {"fill": 1}


def test_without_a_region_unreadable_numbers_are_explained(org):
    org.configure(region="")
    org.load({"LastName": "a", "MobilePhone": "90000001"})
    shown = org.run("salesforce", "backfill")
    assert "no default_region" in shown.output
    assert "1 with an invalid phone number" in shown.output


def test_the_org_must_be_named_if_there_are_several(org):
    second = (
        "  other:\n    type: salesforce\n    url: https://acme.my.salesforce.com\n"
        "    sign_in: {client_id: a, client_secret: {env: X}}"
    )
    org.configure(more=second)
    for file in org.home.mappings.glob("*.yaml"):
        file.unlink()
    assert "add --crm salesforce or other" in org.run("salesforce", "backfill").output
    assert org.run("salesforce", "backfill", "--crm", "third").exit_code == 2


def test_an_unwritable_conflicts_file_is_reported_before_any_call(org):
    emitted = org.run("salesforce", "backfill", "--conflicts", "nowhere/c.csv")
    assert (emitted.exit_code, "cannot write" in emitted.output) == (2, True)
    assert org.ask("GET", "stats")["api_calls"] == 0


def test_a_refused_sign_in_is_reported_with_the_cure(org):
    org.ask("POST", "faults", {"fault": "login_refused"})
    refused = org.run("salesforce", "backfill")
    assert (refused.exit_code, "Run As" in refused.output) == (1, True), refused.output
    assert not org.file.exists()


def test_progress_is_shown_after_two_seconds(capsys):
    now = [0.0]
    with progress(clock=lambda: now[0]) as emit:
        emit("too early")
        now[0] = 2.0
        emit("first")
        now[0] = 11.0
        emit("too soon")
        now[0] = 12.0
        emit("second")
    assert capsys.readouterr().err.split("\n") == ["first", "second", ""]
