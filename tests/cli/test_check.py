import json

import pytest

from connector.sandbox.salesforce.app import build


def test_valid_files_pass_and_missing_secrets_are_warnings(home):
    said = home.json("check")
    assert (said["ok"], said["errors"], said["warnings"]) == (True, 0, 3)
    assert {one["code"] for one in said["problems"]} == {"secret-missing"}
    assert said["problems"][0]["line"] == 7
    assert said["mapping"]["files"] == 5
    assert home.json("check", "--strict", code=1)["errors"] == 3


def test_existing_secrets_make_no_warning(home, monkeypatch):
    for name in ("SCENE_STREX_SECRET", "SCENE_STREX_KEY", "SCENE_SF_SECRET"):
        monkeypatch.setenv(name, "made-up-secret")
    done = home.run("check", "--strict")
    assert (done.exit_code, "0 error(s), 0 warning(s)" in done.stdout) == (0, True)
    assert "made-up-secret" not in done.output


def test_all_problems_of_all_files_are_reported_with_their_positions(home):
    first = home.edit("strex-log.yaml", "on: [strex.message,", "on: [strex.mesage,")
    second = home.edit("strex-messages.yaml", "ignore: true", "ignroe: true")
    done = home.run("check")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert (
        f"mappings/{first.name}:6:6: `strex.mesage` is not a source of events (did you mean `strex.message`?)" in lines
    )
    assert any(line.startswith(f"mappings/{second.name}:") and "did you mean `ignore`?" in line for line in lines)
    said = home.json("check", code=1)
    assert said["ok"] is False
    assert [one["text"] for one in said["problems"] if one["severity"] == "error"] == [
        line for line in lines if line.startswith("mappings/")
    ]


def test_the_problems_of_a_broken_config_are_reported(home):
    home.config.write_text(home.config.read_text().replace("timezone", "timezon"))
    said = home.json("check", code=1)
    assert [(one["line"], one["hint"]) for one in said["problems"]] == [(4, "did you mean `timezone`?")]
    assert said["mappings_checked"] is False


def test_several_regions_are_a_warning_until_the_country_field_is_named(home):
    text = home.config.read_text().replace("default_region: NO", "default_region: DK")
    home.config.write_text(text)
    (said,) = [one for one in home.json("check")["problems"] if one["code"] == "unclear-numbers"]
    assert said["severity"] == "warning"
    assert "DK or NO" in said["message"]
    home.config.write_text(text.replace("phone: MobilePhone", "phone: MobilePhone, country: MailingCountry"))
    assert "unclear-numbers" not in {one["code"] for one in home.json("check")["problems"]}
    home.config.write_text(text.replace("default_region: DK", "default_region: US"))
    assert "unclear-numbers" not in {one["code"] for one in home.json("check")["problems"]}


def test_a_missing_config_or_mappings_folder_is_a_problem(home):
    assert home.run("--config", "nothing.yaml", "check", config=False).exit_code == 1
    home.mappings.rename(home.directory / "elsewhere")
    assert "mappings: the folder of the mappings cannot be read: No such file or directory" in home.run("check").stdout


@pytest.fixture
def org(threaded):
    with threaded(build()) as url:
        yield url


def at_org(home, org, monkeypatch, *, secret="sandbox"):
    text = home.config.read_text().replace("https://acme.my.salesforce.com", org)
    home.config.write_text(text.replace("client_id: app", "client_id: sandbox"))
    for name in ("SCENE_STREX_SECRET", "SCENE_STREX_KEY"):
        monkeypatch.setenv(name, "made-up-secret")
    monkeypatch.setenv("SCENE_SF_SECRET", secret)


def test_live_signs_in_and_finds_what_the_mappings_need(home, org, monkeypatch):
    at_org(home, org, monkeypatch)
    said = home.json("check", "--live")
    assert (said["ok"], said["problems"]) == (True, [])


def test_live_reports_what_the_org_lacks(home, org, monkeypatch):
    at_org(home, org, monkeypatch)
    home.edit("strex-subscription.yaml", "SMS_Keywords__c:", "SMS_Keyword_List__c:")
    said = home.json("check", "--live", code=1)
    (lack,) = said["problems"]
    assert (lack["file"], lack["line"]) == (
        "mappings/strex-subscription.yaml",
        line_of(home, "strex-subscription.yaml", "SMS_Keyword_List__c:"),
    )
    assert "SMS_Keyword_List__c" in lack["message"]


def test_live_reports_a_failed_sign_in(home, org, monkeypatch):
    at_org(home, org, monkeypatch, secret="wrong-secret")
    done = home.run("check", "--live")
    assert done.exit_code == 1
    assert "salesforce: " in done.stdout
    assert "wrong-secret" not in done.output


def test_live_needs_its_secrets(home):
    said = home.json("check", "--live", code=1)
    assert {one["severity"] for one in said["problems"]} == {"error"}
    assert json.dumps(said).count("SCENE_SF_SECRET") >= 1


def test_warnings_of_mappings_are_shown_and_do_not_fail(home):
    home.edit("strex-messages.yaml", "    consent: opt_out\n", "")
    said = home.json("check")
    (warning,) = [one for one in said["problems"] if one["code"] == "consent-field"]
    assert (said["ok"], warning["severity"], warning["file"]) == (True, "warning", "mappings/strex-messages.yaml")
    assert "warning: mappings/strex-messages.yaml:" in home.run("check").stdout


def line_of(home, name, text):
    lines = (home.mappings / name).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def without_tests(home, name):
    path = home.mappings / name
    path.write_text(path.read_text().partition("\ntests:")[0] + "\n")


def errors(said):
    return [one for one in said["problems"] if one["severity"] == "error"]


def test_a_rule_that_loses_an_opt_out_is_reported_with_file_line_and_cure(home):
    without_tests(home, "strex-subscription.yaml")
    home.edit("strex-subscription.yaml", "{verdict: opt_out}", "{action: Unsubscribed}")
    said = home.json("check", code=1)
    (swallowed,) = errors(said)
    assert (swallowed["file"], swallowed["line"], swallowed["code"]) == (
        "mappings/strex-subscription.yaml",
        line_of(home, "strex-subscription.yaml", "when: {action: Unsubscribed}"),
        "opt-out-lost",
    )
    assert "a Strex report with SystemAction Unsubscribe" in swallowed["message"]
    assert "`donor opted out` in line 22: action is Unsubscribe, the rule wants Unsubscribed" in swallowed["hint"]
    assert "and 2 other kinds of opt-outs" in swallowed["message"]
    assert any("did you mean `Unsubscribe`?" in one["hint"] for one in said["problems"] if one["severity"] == "warning")
    # Whatever uses the mappings refuses them too.
    tested = home.run("test")
    assert (tested.exit_code, "would not set the opt-out flag" in tested.output) == (2, True)


def test_a_file_that_is_not_read_as_a_mapping_is_a_warning(home):
    path = home.mappings / "strex-subscription.yaml"
    path.rename(path.with_name("strex-subscription.yaml.txt"))
    said = home.json("check", code=1)
    (warning,) = [one for one in said["problems"] if one["code"] == "unread-file"]
    assert warning["file"] == "mappings/strex-subscription.yaml.txt"
    assert {one["code"] for one in errors(said)} == {"opt-out-lost"}


def test_a_config_with_consent_one_way_is_accepted(home):
    (home.mappings / "salesforce-to-strex.yaml").unlink()
    (refused,) = errors(home.json("check", code=1))
    assert "copy the shipped salesforce-to-strex.yaml into your mappings" in refused["hint"]
    assert "write `consent: one_way` under `crm: salesforce:` in the config" in refused["hint"]
    home.config.write_text(home.config.read_text().rstrip() + "\n    consent: one_way\n")
    assert home.json("check")["ok"] is True
    assert home.run("test").exit_code == 0
    text = home.config.read_text()
    home.config.write_text(text[: text.index("    consent_fields:")] + "    consent: one_way\n")
    # Without consent_fields nothing knows that this field is a flag, and a test of the shipped file holds that it is one.
    (failing,) = errors(home.json("check", code=1))
    assert "`one of two subscriptions ends, and the flag stays` fails" in failing["message"]


def test_a_missing_flag_field_is_reported_once(home, org, monkeypatch):
    at_org(home, org, monkeypatch)
    home.config.write_text(home.config.read_text().replace("flag: SMS_Opt_Out__c", "flag: HasOptedOutOfSMS"))
    (lack,) = errors(home.json("check", "--live", code=1))
    assert (lack["file"], "HasOptedOutOfSMS" in lack["message"], "Email" in lack["hint"]) == (
        "config.yaml",
        True,
        False,
    )


def test_a_failing_test_of_a_mapping_is_an_error(home):
    home.edit("strex-subscription.yaml", "StageName: Closed Won ", "StageName: Closed ")
    failing = [one for one in errors(home.json("check", code=1)) if one["code"] == "failing-test"]
    assert failing
    assert all(one["line"] and one["file"].endswith("strex-subscription.yaml") for one in failing)


def test_a_missing_field_is_reported_once_a_position_with_the_setup_command(home, threaded, monkeypatch):
    with threaded(build(bare=True)) as bare:
        at_org(home, bare, monkeypatch)
        said = home.json("check", "--live", code=1)
        places = [one["text"] for one in said["problems"]]
        assert len(places) == len(set(places))
        assert said["set_up"] == "`connector salesforce setup` adds to the org what the shipped mappings need"
        assert said["set_up"] in home.run("check", "--live").stdout


def test_the_setup_command_is_not_the_cure_for_an_unknown_field(home, org, monkeypatch):
    at_org(home, org, monkeypatch)
    home.edit("strex-subscription.yaml", "SMS_Keywords__c: {from", "Departement: {from")
    said = home.json("check", "--live", code=1)
    assert "has no field `Departement`" in said["problems"][0]["message"]
    assert said["set_up"] is None
    (finding,) = [one for one in home.json("doctor", code=1)["findings"] if "Departement" in one["text"]]
    assert "setup" not in finding["cure"]
