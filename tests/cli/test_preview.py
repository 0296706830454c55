"""`connector preview`: past events by the edited mappings against those in use; nothing is written, nothing is sent."""

import json

import pytest
from admin.scene import DONOR, report

REPORT = json.loads(report("Unsubscribe"))
FLAG = "          SMS_Opt_Out__c: true\n"


def keep_in_use(*bodies):
    """The mappings as they are now are in use, and these reports have come and were delivered."""

    async def work(scene):
        await scene.store.mappings.accept(scene.rules.version, scene.rules.texts, scene.now)
        for body in bodies:
            await scene.receive(body)
        await scene.plan()
        await scene.settle("salesforce")
        return scene.store.path

    return work


def without_tests(home, name):
    path = home.mappings / name
    path.write_text(path.read_text().partition("\ntests:")[0] + "\n")


@pytest.fixture
def used(home):
    without_tests(home, "strex-subscription.yaml")
    home.on_the_road(
        keep_in_use(
            report("Unsubscribe"),
            report("Subscribe", transaction="t-2", phone="+4790000001"),
            report("AlterPrice", transaction="t-3", phone="+4790000002"),
        )
    )
    return home


def test_unchanged_mappings_change_nothing(used):
    said = used.json("preview", "--since", "2026-01-01")
    assert (said["events"], said["changed"], said["changes"]) == (3, 0, [])


def test_opt_outs_come_first_with_rule_field_and_masked_examples(used):
    used.edit("strex-subscription.yaml", FLAG, "")
    used.edit(
        "strex-subscription.yaml",
        "SMS_Keywords__c: {from: keyword, truncate: 255}",
        "SMS_Keywords__c: {from: keyword, truncate: 2}",
    )
    said = used.json("preview", "--since", "2026-01-01", code=1)
    assert (said["events"], said["changed"], said["opt_outs"]) == (3, 2, 1)
    untold, lost, *_, keywords = said["changes"]
    assert untold["examples"] == [{"event": 1, "before": None, "after": "salesforce is not told of it"}]
    assert (lost["what"], lost["kind"]) == ("salesforce Contact.SMS_Opt_Out__c", "removed")
    assert lost["rule"] == "strex-subscription.yaml: donor opted out"
    assert keywords["what"] == "salesforce Contact.SMS_Keywords__c"
    assert keywords["examples"] == [{"event": 2, "before": "KATT", "after": "KA"}]
    assert DONOR not in json.dumps(said)
    shown = used.run("preview", "--since", "2026-01-01")
    assert shown.exit_code == 1
    assert "2 of 3 events would have another result" in shown.stdout
    assert "1 of them concern an opt-out" in shown.stdout
    assert "nothing was sent or written" in shown.stdout


def test_a_harmless_change_fails_only_with_the_option_strict(used):
    used.edit("strex-subscription.yaml", "truncate: 255", "truncate: 2")
    assert used.run("preview", "--since", "2026-01-01").exit_code == 0
    assert used.run("preview", "--since", "2026-01-01", "--strict").exit_code == 1


def test_an_event_that_would_become_unmatched_is_a_failure(used):
    used.edit(
        "strex-subscription.yaml",
        "when: {action: [Subscribe, Signup], result: ok}",
        "when: {action: [Signup], result: ok}",
    )
    for name in ("strex-log.yaml",):
        (used.mappings / name).unlink()
    used.edit(
        "strex-subscription.yaml",
        "  - name: opt-in that did not go through\n    when: {action: [Subscribe, Signup]}\n    ignore: true\n",
        "",
    )
    used.edit("strex-subscription.yaml", "  - name: another service than subscriptions\n    ignore: true\n", "")
    said = used.json("preview", "--since", "2026-01-01", code=1)
    assert said["worse"] == 1
    assert ("result", "changed") in [(one["what"], one["kind"]) for one in said["changes"]]


def test_an_event_is_planned_with_what_was_known_before_it(home):
    """The second report repeats an opt-out: by itself it would be news, and is none."""
    home.on_the_road(keep_in_use(report("Unsubscribe"), report("Unsubscribe", transaction="t-2")))
    without_tests(home, "strex-subscription.yaml")
    home.edit("strex-subscription.yaml", "consent: opt_out", "consent: opt_out   # edited")
    assert home.json("preview", "--since", "2026-01-01")["changed"] == 0


def test_a_preview_does_not_change_the_database(used):
    before = used.store.read_bytes()
    used.edit("strex-subscription.yaml", FLAG, "")
    used.run("preview", "--since", "2026-01-01")
    assert used.store.read_bytes() == before


def test_a_preview_of_a_file_of_callbacks_needs_no_database(home, tmp_path):
    in_use = tmp_path / "before"
    in_use.mkdir()
    for path in home.mappings.glob("*.yaml"):
        (in_use / path.name).write_text(path.read_text())
    lines = tmp_path / "callbacks.jsonl"
    lines.write_text(
        "\n".join(json.dumps({"endpoint": "strex/dlr", "body": body}) for body in (REPORT, json.dumps(REPORT)))
    )
    without_tests(home, "strex-subscription.yaml")
    home.edit("strex-subscription.yaml", '"Strex {keyword?}"', '"SMS {keyword?}"')
    said = home.json("preview", "--events", lines, "--against", in_use, code=1)
    assert (said["events"], said["changed"]) == (2, 2)
    assert said["changes"][0]["examples"][0] == {"event": 1, "before": "Strex KATT", "after": "SMS KATT"}
    assert not home.store.exists()


@pytest.mark.parametrize(
    ("words", "code", "cure"),
    [
        ((), 3, "there is no database"),
        (("--events", "none.jsonl", "--against", "mappings"), 2, "cannot read none.jsonl"),
        (("--events", "bad.jsonl", "--against", "mappings"), 2, "bad.jsonl:1: a line is"),
        (("--events", "bad.jsonl", "--against", "nowhere"), 2, "is not a folder of mappings"),
    ],
)
def test_a_missing_file_or_option_is_reported_with_the_cure(home, words, code, cure):
    (home.directory / "bad.jsonl").write_text("{}\n")
    done = home.run("preview", *words)
    assert (done.exit_code, cure in done.stderr) == (code, True), done.stderr


def test_a_preview_without_known_mappings_in_use_is_refused(home):
    async def nothing(scene):
        await scene.receive(report("Unsubscribe"))

    home.on_the_road(nothing)
    done = home.run("preview")
    assert (done.exit_code, "or give --against" in done.stderr) == (3, True)


def test_a_preview_says_that_a_reload_would_refuse_the_files(used):
    used.edit("strex-subscription.yaml", FLAG, "")
    said = used.json("preview", "--since", "2026-01-01", code=1)
    assert said["errors"] >= 1
    assert "a reload would refuse these files: `connector check`" in used.run("preview", "--since", "2026-01-01").stdout


def test_a_field_that_no_event_fills_is_reported(used):
    """As a property whose name is misspelt: no event has another result."""
    used.edit(
        "strex-subscription.yaml",
        "          SMS_Keywords__c: {",
        "          Title: {from: properties.titel}\n          SMS_Keywords__c: {",
    )
    done = used.run("preview", "--since", "2026-01-01").stdout
    assert "0 of 3 events would have another result" in done
    assert "rules differ, but no event shows it; `connector test --coverage`" in done
    said = used.json("reload", "--dry-run")
    assert said["changes"]["changed"]
    assert said["events"]["differing"] == 0  # as the preview says


def test_fields_that_change_together_are_one_line(used):
    (used.mappings / "strex-log.yaml").unlink()
    lines = used.run("preview", "--since", "2026-01-01").stdout.splitlines()
    (record,) = [
        line for line in lines if "salesforce SMS_Event__c: " in line and "fields (" in line and "removed" in line
    ]
    assert "by strex-log.yaml: everything else" in record
    assert "Event_Key__c" in record or "Action__c" in record
