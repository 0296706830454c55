"""`connector schema pull`, and how `check` and `test` use its lock file."""

import json
import urllib.request

import pytest
from admin.scene import report

from connector.sandbox.salesforce.app import build


def changed(org, path, body=None):
    """What an administrator does; without a body something is taken away."""
    request = urllib.request.Request(
        f"{org}/_sandbox/{path}", data=json.dumps(body).encode() if body else None, method="PATCH" if body else "DELETE"
    )
    with urllib.request.urlopen(request) as response:
        assert response.status == 200


@pytest.fixture
def org(home, threaded, monkeypatch):
    for name in ("SCENE_STREX_SECRET", "SCENE_STREX_KEY"):
        monkeypatch.setenv(name, "made-up-secret")
    monkeypatch.setenv("SCENE_SF_SECRET", "sandbox")
    with threaded(build()) as url:
        text = home.config.read_text().replace("https://acme.my.salesforce.com", url)
        home.config.write_text(text.replace("client_id: app", "client_id: sandbox"))
        yield url


@pytest.fixture
def lock(home, org):
    assert home.run("schema", "pull").exit_code == 0
    return home.directory / "schema" / "salesforce.lock.json"


def texts(said, severity="error"):
    return [one["text"] for one in said["problems"] if one["severity"] == severity]


def test_a_pull_stores_used_fields_and_no_secret(home, org):
    said = home.json("schema", "pull")
    assert [(one["crm"], one["objects"], one["new"], one["absent"]) for one in said["crms"]] == [
        ("salesforce", 3, True, [])
    ]
    lock = home.directory / "schema" / "salesforce.lock.json"
    held = json.loads(lock.read_text())
    assert list(held["objects"]) == ["Contact", "Opportunity", "SMS_Event__c"]
    assert held["objects"]["Contact"]["fields"]["SMS_Key__c"]["external_id"] is True
    assert "sandbox" not in lock.read_text()
    assert org not in lock.read_text()
    assert said["header"] == "../schema/own.mapping.schema.json"
    own = json.loads((home.directory / said["editor"]).read_text())
    assert "SMS_Opt_Out__c" in own["$defs"]["Contact.set"]["properties"]


def test_a_second_pull_changes_nothing_and_says_so(home, lock):
    before = lock.read_bytes()
    assert "no changes" in home.run("schema", "pull").stdout
    assert lock.read_bytes() == before


def test_a_pull_reports_what_has_changed(home, org, lock):
    changed(org, "fields/Contact/FirstName", {"length": 20})
    changed(org, "fields/Contact/SMS_Keywords__c", {"name": "SMS_Words__c"})
    (one,) = home.json("schema", "pull")["crms"]
    assert one["changes"] == [
        "Contact.FirstName holds 20 characters, and held 40",
        "Contact.SMS_Keywords__c is gone, or hidden",
        "Contact.SMS_Words__c is new",
    ]


def test_parents_of_the_mappings_are_pulled(home, org):
    home.edit(
        "strex-log.yaml",
        "Contact__r: {SMS_Key__c:",
        'OwnerId: "{properties.owner}"\n          Owner: {Username: "{properties.boss}"}\n          Contact__r: {SMS_Key__c:',
    )
    (one,) = home.json("schema", "pull")["crms"]
    assert one["objects"] == 4
    assert "`User.Username` is not an external ID" in "".join(texts(home.json("check", code=1)))


def test_only_the_named_type_of_a_polymorphic_field_is_pulled(home, org):
    (home.mappings / "tasks.yaml").write_text(
        'on: strex.message\nrules:\n  - name: task\n    do:\n      - upsert: Task\n        key: {SMS_Key__c: "{key}"}\n'
        '        set: {What: {type: campaign, SMS_Key__c: "{keyword_id}"}}\n'
    )
    (one,) = home.json("schema", "pull")["crms"]
    assert one["objects"] == 5
    assert next(iter(json.loads((home.directory / one["lock"]).read_text())["objects"])) == "Campaign"
    assert home.json("check")["problems"] == []


def test_a_missing_object_is_reported_and_the_others_are_stored(home, org):
    changed(org, "objects/SMS_Event__c")
    (one,) = home.json("schema", "pull", code=1)["crms"]
    assert (one["absent"], one["objects"]) == (["SMS_Event__c"], 2)
    assert "hidden from the integration user" in home.run("schema", "pull").stdout
    assert any("`SMS_Event__c` is not a known object" in text for text in texts(home.json("check", code=1)))


def test_nothing_is_written_if_the_crm_does_not_reply(home, org, lock, monkeypatch):
    before = lock.read_bytes()
    monkeypatch.setenv("SCENE_SF_SECRET", "wrong-secret")
    done = home.run("schema", "pull")
    assert done.exit_code == 1
    assert "cannot read the schema of SMS_Event__c from salesforce (credentials: " in done.stderr
    assert "wrong-secret" not in done.output
    assert lock.read_bytes() == before


def test_check_compares_the_mappings_with_the_schema_lock_without_a_call(home, lock, monkeypatch):
    monkeypatch.delenv("SCENE_SF_SECRET")
    assert home.json("check")["schemas"] == {"salesforce": "schema/salesforce.lock.json"}
    path = home.edit("strex-subscription.yaml", "SMS_Keywords__c:", "SMS_Keyword__c:")
    home.edit("strex-log.yaml", "LastName: {from: [lookup.lastName", "Nonsense: {from: [lookup.lastName")
    first, second, third = texts(home.json("check", code=1))
    assert first.startswith("mappings/strex-log.yaml:42:17: a new `Contact` needs `LastName`")
    assert second.startswith("mappings/strex-log.yaml:45:11: `Contact` has no field `Nonsense`")
    assert third.startswith(f"mappings/{path.name}:45:11: ")
    assert "did you mean `SMS_Keywords__c`?" in third


def test_check_and_test_use_the_consent_fields_and_the_schema_lock(home, lock):
    home.config.write_text(home.config.read_text().replace("phone: MobilePhone", "phone: MobilPhone"))
    (problem,) = home.json("check", code=1)["problems"]
    assert (problem["file"], problem["code"], "did you mean `MobilePhone`?" in problem["hint"]) == (
        "config.yaml",
        "no-such-field",
        True,
    )
    assert problem["line"] == len(home.config.read_text().splitlines())
    assert home.json("check", "--live", code=1)["problems"] == [problem]
    home.edit("strex-subscription.yaml", "SMS_Keywords__c:", "SMS_Keyword__c:")
    assert home.run("test").exit_code == 2


def test_check_without_a_schema_lock_says_how_to_get_one(home):
    assert "`connector schema pull`" in home.run("check").stdout
    assert home.json("check")["schemas"] == {"salesforce": None}


def test_a_broken_schema_lock_is_a_problem_with_position_and_cure(home, lock):
    lock.write_text(lock.read_text().replace('"crm"', '"crm', 1))
    (problem,) = [one for one in home.json("check", code=1)["problems"] if one["severity"] == "error"]
    assert (problem["file"], problem["line"], problem["code"]) == ("schema/salesforce.lock.json", 4, "bad-lock")
    assert "connector schema pull" in problem["hint"]
    assert home.run("test").exit_code == 2
    assert home.run("schema", "pull").exit_code == 0
    assert home.run("check").exit_code == 0


def test_live_asks_the_org_and_reports_an_outdated_schema_lock(home, org, lock):
    changed(org, "fields/Contact/SMS_Keywords__c", {"name": "SMS_Words__c"})
    assert home.json("check")["ok"] is True
    said = home.json("check", "--live", code=1)
    assert said["schemas"] == {"salesforce": "live"}
    (error,), (warning,) = texts(said), texts(said, "warning")
    assert error.startswith("mappings/strex-subscription.yaml:45:11: `Contact` has no field `SMS_Keywords__c`")
    assert "update it with `connector schema pull`" in warning


def test_schema_write_uses_the_existing_schema_lock(home, lock):
    own = lock.with_name("own.mapping.schema.json")
    text = own.read_text()
    own.unlink()
    assert str(own.relative_to(home.directory)) in home.json("schema", "write", "schema")["files"]
    assert own.read_text() == text
    assert "Contact.set" not in (lock.with_name("mapping.schema.json")).read_text()


def test_explain_works_with_an_outdated_schema_lock(home, lock):
    home.edit("strex-subscription.yaml", "SMS_Keywords__c:", "SMS_Keyword__c:")
    body = home.directory / "report.json"
    body.write_bytes(report("Subscribe"))
    assert home.run("check").exit_code == 1
    assert "donor opted in" in home.run("explain", body, "--endpoint", "strex/dlr").stdout
