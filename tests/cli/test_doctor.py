"""`connector doctor`: what is in order, what is not, and the advice."""

import json
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from connector.sandbox.salesforce.app import build

AREAS = {
    "files",
    "daemon",
    "public address",
    "disk",
    "SQLite",
    "salesforce sign-in",
    "salesforce version",
    "salesforce clock",
    "salesforce calls",
    "salesforce composite",
    "salesforce user",
    "salesforce language",
}


class Org:
    def __init__(self, url):
        self.url = url
        self.ahead = timedelta()

    def now(self):
        return (datetime.now(UTC) + self.ahead).timestamp()

    def call(self, path, document=None):
        body = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_sandbox/{path}", data=body)) as reply:
            return json.load(reply)


def at(home, monkeypatch, url):
    text = home.config.read_text().replace("https://acme.my.salesforce.com", url)
    text = text.replace("client_id: app", "client_id: sandbox")
    home.config.write_text('listen: {public_url: "https://sms.example.org"}\n' + text)
    for name in ("SCENE_STREX_SECRET", "SCENE_STREX_KEY"):
        monkeypatch.setenv(name, "made-up-secret")
    monkeypatch.setenv("SCENE_SF_SECRET", "sandbox")


@pytest.fixture
def org(threaded, home, monkeypatch):
    held = Org("")
    app = build(clock=held.now)
    with threaded(app) as held.url:
        at(home, monkeypatch, held.url)
        yield held


def of(said, area):
    return next(one for one in said["findings"] if one["area"] == area)


def test_a_healthy_installation_has_no_failure(home, org):
    said = home.json("doctor")
    # Only the daemon is not there yet.
    assert (said["ok"], said["counts"]) == (True, {"ok": len(AREAS) - 1, "warn": 1, "fail": 0})
    assert {one["area"] for one in said["findings"]} == AREAS
    assert {one["area"] for one in said["findings"] if one["cure"]} == {"daemon"}
    daemon = of(said, "daemon")
    assert (daemon["text"], "systemctl start connector" in daemon["cure"]) == ("the daemon does not run", True)
    done = home.run("doctor")
    assert done.exit_code == 0
    assert "ok    salesforce composite: one API call can write a thousand records" in done.stdout


def test_the_setup_command_is_not_the_cure_for_missing_secrets(home, org, monkeypatch):
    monkeypatch.delenv("SCENE_STREX_KEY")
    said = home.json("doctor", code=1)
    (missing,) = [one for one in said["findings"] if "SCENE_STREX_KEY" in one["text"]]  # told once
    assert (missing["area"], "salesforce setup" in missing["cure"]) == ("files", False)


def test_an_unusable_secret_is_reported_once_among_the_files(home, org, monkeypatch):
    monkeypatch.setenv("SCENE_STREX_KEY", "the-key\nof last year")
    said = home.json("doctor", code=1)
    (failed,) = [one for one in said["findings"] if one["level"] == "fail"]
    assert failed["area"] == "files"
    assert "write the secret it is made of on one line" in failed["text"]


def test_the_doctor_changes_nothing_in_the_org(home, org):
    home.json("doctor")
    assert set(org.call("stats")["records"].values()) <= {0, 2}  # the two users, and their profiles and licences
    assert org.call("history")["history"] == []


def test_a_broken_config_is_the_only_finding(home, org):
    home.config.write_text(home.config.read_text().replace("timezone", "timezon"))
    said = home.json("doctor", code=1)
    (finding,) = said["findings"]
    assert (finding["level"], finding["cure"]) == ("fail", "did you mean `timezone`?")


def test_a_broken_mapping_is_a_finding_and_the_crm_is_still_checked(home, org):
    home.edit("strex-messages.yaml", "ignore: true", "ignroe: true")
    said = home.json("doctor", code=1)
    assert of(said, "files")["cure"] == "did you mean `ignore`?"
    assert of(said, "salesforce sign-in")["level"] == "ok"


def test_a_failed_sign_in_is_reported_once_with_its_cure(home, org, monkeypatch):
    monkeypatch.setenv("SCENE_SF_SECRET", "wrong-secret")
    said = home.json("doctor", code=1)
    assert said["counts"]["fail"] == 1
    finding = of(said, "salesforce sign-in")
    assert "client_secret: must be the app's Consumer Secret" in finding["text"]
    assert "wrong-secret" not in json.dumps(said)


def test_a_missing_secret_is_reported(home, org, monkeypatch):
    monkeypatch.delenv("SCENE_SF_SECRET")
    said = home.json("doctor", code=1)
    assert any("SCENE_SF_SECRET" in one["text"] for one in said["findings"])


def test_the_setup_command_is_the_cure_for_missing_fields(home, threaded, monkeypatch):
    with threaded(build(bare=True)) as url:
        at(home, monkeypatch, url)
        said = home.json("doctor", code=1)
        assert any("SMS_Event__c" in one["text"] for one in said["findings"])
        assert len([one for one in said["findings"] if "`SMS_Key__c`" in one["text"]]) == 1
        assert "salesforce composite" not in {one["area"] for one in said["findings"]}
        assert "connector salesforce setup" in home.run("doctor").stdout
        home.json("salesforce", "setup", "--yes", "--assign")
        assert home.json("doctor")["ok"]


def test_an_unavailable_api_version_is_reported(home, org):
    home.config.write_text(home.config.read_text() + '    api_version: "99.0"\n')
    said = home.json("doctor", code=1)
    finding = of(said, "salesforce version")
    assert (finding["level"], finding["cure"].startswith("set `api_version:` to a version from 31.0 to 68.0")) == (
        "fail",
        True,
    )
    assert of(said, "salesforce sign-in")["level"] == "ok"


@pytest.mark.parametrize(("seconds", "level"), [(20, "ok"), (100, "warn"), (-100, "warn"), (1000, "fail")])
def test_a_wrong_clock_is_reported(home, org, seconds, level):
    org.ahead = timedelta(seconds=seconds)
    said = home.json("doctor", code=int(level == "fail"))
    finding = of(said, "salesforce clock")
    assert (finding["level"], bool(finding["cure"])) == (level, level != "ok")


def test_an_org_that_refuses_composite_upserts_is_a_warning_unless_they_are_required(home, org):
    org.call("faults", {"fault": "no_composite_upsert"})
    said = home.json("doctor")
    assert of(said, "salesforce composite")["level"] == "warn"
    home.config.write_text(home.config.read_text() + "    composite: on\n")
    finding = of(home.json("doctor", code=1), "salesforce composite")
    assert (finding["level"], finding["cure"]) == ("fail", "set `composite: auto` in the config")


@pytest.mark.parametrize(("address", "level"), [("http://sms.example.org", "fail"), (None, "warn")])
def test_a_missing_public_address_or_one_without_tls_is_reported(home, org, address, level):
    text = home.config.read_text()
    line = 'listen: {public_url: "https://sms.example.org"}\n'
    home.config.write_text(text.replace(line, f'listen: {{public_url: "{address}"}}\n' if address else ""))
    finding = of(home.json("doctor", code=int(level == "fail")), "public address")
    assert (finding["level"], "public_url" in (finding["cure"] + finding["text"])) == (level, True)
