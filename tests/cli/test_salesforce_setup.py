"""`connector salesforce setup` in a new org: what it shows, deploys and assigns, and what it does not change."""

import json
import shutil
import urllib.parse
import urllib.request

import pytest
from sandbox.test_salesforce_signin import pem_pair

from connector.crm.salesforce.setup.metadata import MetadataApi
from connector.crm.salesforce.setup.package import PLACES, shipped
from connector.sandbox.salesforce.app import build

PARTS = 27


class Org:
    def __init__(self, url):
        self.url = url

    def call(self, path, document=None):
        body = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_sandbox/{path}", data=body)) as reply:
            return json.load(reply)

    def records(self, name):
        return self.call(f"records/{name}")["records"]

    def deployments(self):
        return self.call("stats")["requests"].get("POST /services/Soap/m", 0)

    def administrators_token(self):
        import jwt  # noqa: PLC0415 - only here.

        private, _ = pem_pair()
        claims = {"iss": "sandbox", "sub": "person@sandbox.example", "aud": self.url, "exp": 2**31}
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": jwt.encode(claims, private, algorithm="RS256"),
        }
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{self.url}/services/oauth2/token", data=body) as reply:
            return json.load(reply)["access_token"]


@pytest.fixture
def org(threaded, home, monkeypatch):
    with threaded(build(bare=True, clock=lambda: 2**31 - 200)) as url:
        text = home.config.read_text().replace("https://acme.my.salesforce.com", url)
        home.config.write_text(text.replace("client_id: app", "client_id: sandbox"))
        for name in ("SCENE_STREX_SECRET", "SCENE_STREX_KEY"):
            monkeypatch.setenv(name, "made-up-secret")
        monkeypatch.setenv("SCENE_SF_SECRET", "sandbox")
        yield Org(url)


def test_a_new_org_gets_everything_that_the_shipped_mappings_need(home, org):
    assert home.json("check", "--live", code=1)["errors"] > 0
    said = home.json("salesforce", "setup", "--yes", "--assign")
    assert (said["ok"], said["state"], said["changed"], said["lacks"]) == (True, "Succeeded", True, [])
    assert {one["standing"] for one in said["parts"]} == {"add"}
    assert len(said["parts"]) == PARTS
    assert [(one["name"], one["assigned"]) for one in said["permission_sets"]] == [("CRM Connector", True)]
    live = home.json("check", "--live")
    assert (live["ok"], live["problems"]) == (True, [])


def test_a_second_run_changes_nothing_and_says_so(home, org):
    home.json("salesforce", "setup", "--yes", "--assign")
    before = org.deployments()
    said = home.json("salesforce", "setup", "--yes", "--assign")
    assert (said["ok"], said["changed"], said["state"]) == (True, False, None)
    assert {one["standing"] for one in said["parts"]} == {"there"}
    assert org.deployments() == before
    assert len(org.records("PermissionSetAssignment")) == 1
    done = home.run("salesforce", "setup", "--assign")
    assert done.exit_code == 0
    assert "everything exists already; nothing was changed" in done.stdout


def test_fields_that_nobody_may_see_yet_are_not_deployed_twice(home, org):
    said = home.json("salesforce", "setup", "--yes")
    assert [one["assigned"] for one in said["permission_sets"]] == [False]
    before = org.deployments()
    done = home.run("salesforce", "setup", "--yes")
    assert "run this with --assign, or assign it by hand: Setup, Permission Sets, CRM Connector" in done.stdout
    assert org.deployments() == before
    assert home.json("salesforce", "setup", "--yes", "--assign")["lacks"] == []


def test_a_dry_run_asks_the_org_and_changes_nothing(home, org):
    said = home.json("salesforce", "setup", "--dry-run", "--assign")
    assert (said["ok"], said["state"], said["changed"]) == (True, "Succeeded", False)
    assert org.deployments() > 0
    assert org.records("PermissionSet") == []
    assert {one["standing"] for one in home.json("salesforce", "setup", "--dry-run")["parts"]} == {"add"}


def test_the_setup_shows_its_plan_and_asks(home, org, monkeypatch):
    done = home.run("salesforce", "setup")
    assert done.exit_code == 1
    assert "+ field Contact.SMS_Key__c" in done.stdout
    assert "Deploy this to salesforce?" in done.stderr
    assert org.deployments() == 0


def test_the_option_json_asks_nothing(home, org):
    done = home.run("salesforce", "setup", "--json")
    assert (done.exit_code, "--yes or --dry-run" in done.stdout) == (2, True)


def test_an_integration_user_that_may_not_deploy_sees_the_cure(home, org):
    org.call("faults", {"fault": "no_metadata_access"})
    done = home.run("salesforce", "setup", "--yes")
    assert done.exit_code == 1
    assert "requires a user with the ModifyAllData or ModifyMetadata permissions" in done.stderr
    assert "--token-env" in done.stderr


def test_an_administrators_token_deploys_and_assigns_to_the_integration_user(home, org, monkeypatch):
    org.call("faults", {"fault": "no_metadata_access"})
    token = org.administrators_token()
    monkeypatch.setenv("ADMIN_TOKEN", token)
    done = home.run("salesforce", "setup", "--yes", "--assign", "--token-env", "ADMIN_TOKEN")
    assert (done.exit_code, "deployed" in done.stdout) == (0, True)
    assert token not in done.output
    (assignment,) = org.records("PermissionSetAssignment")
    assert assignment["AssigneeId"] == home.json("salesforce", "setup", "--dry-run")["user"]
    assert home.json("check", "--live")["ok"]


def test_a_missing_or_expired_token_is_reported_with_the_cure(home, org, monkeypatch):
    done = home.run("salesforce", "setup", "--yes", "--token-env", "NOTHING")
    assert (done.exit_code, "NOTHING is empty" in done.stderr) == (2, True)
    monkeypatch.setenv("ADMIN_TOKEN", "00D!old")
    done = home.run("salesforce", "setup", "--yes", "--token-env", "ADMIN_TOKEN")
    assert done.exit_code == 1
    assert "INVALID_SESSION_ID" in done.stderr


def test_a_field_of_another_type_stops_the_deployment(home, org, tmp_path):
    root = tmp_path / "other"
    shutil.copytree(PLACES[1], root)
    field = root / "force-app/main/default/objects/Contact/fields/SMS_Opt_Out_Source__c.field-meta.xml"
    text = field.read_text().replace("<type>Text</type>", "<type>LongTextArea</type><visibleLines>3</visibleLines>")
    field.write_text(text)
    token = {"Authorization": f"Bearer {org.administrators_token()}"}
    with MetadataApi(org.url, token, version="62.0", client="tests") as api:
        api.deploy(shipped(places=[root]).archive(), check_only=False)
    home.json("salesforce", "setup", "--yes", "--assign")
    before = org.deployments()
    done = home.run("salesforce", "setup", "--yes", "--assign")
    assert done.exit_code == 1
    assert "! field Contact.SMS_Opt_Out_Source__c: is of type textarea, and string is needed" in done.stdout
    assert "nothing was changed: first remove what is in the way" in done.stdout
    assert org.deployments() == before


def test_an_org_that_is_down_is_reported_as_unreachable(home, org):
    org.call("faults", {"fault": "unavailable"})
    assert home.run("salesforce", "setup", "--yes").exit_code == 3


def test_an_unconfigured_org_is_refused(home, org):
    done = home.run("salesforce", "setup", "--yes", "--crm", "other")
    assert (done.exit_code, "no Salesforce org is called `other`" in done.stderr) == (2, True)
