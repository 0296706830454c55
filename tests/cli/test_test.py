import pytest
from admin.scene import report


def test_the_shipped_mappings_pass(home):
    said = home.json("test")
    assert (said["ok"], said["failed"], said["without_tests"]) == (True, 0, [])
    assert said["passed"] == sum(len(one["cases"]) for one in said["files"]) > 20


def test_a_failure_names_its_line_its_case_and_the_difference(home):
    path = home.edit(
        "strex-messages.yaml", "expect: {rule: any other message, ignored: true}", "expect: {consent: opt_in}"
    )
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "name: a greeting" in text)
    done = home.run("test")
    assert done.exit_code == 1
    failed = [one for one in done.stdout.splitlines() if one.startswith("FAIL")]
    assert failed == [f"FAIL  mappings/strex-messages.yaml:{line}: a greeting: consent: expected opt_in, got none"]
    assert home.json("test", code=1)["failed"] == 1
    assert home.run("test", "strex-log.yaml").exit_code == 0
    assert home.run("test", "mappings/strex-messages.yaml").exit_code == 1


def test_a_file_without_tests_is_a_warning(home):
    path = home.mappings / "strex-messages.yaml"
    path.write_text(path.read_text().partition("\ntests:")[0])
    done = home.run("test", path)
    assert done.exit_code == 0
    assert "warning: mappings/strex-messages.yaml has no tests" in done.stdout
    assert "0 passed, 0 failed" in done.stdout


def test_a_file_outside_the_mappings_is_wrong_usage(home):
    done = home.run("test", "elsewhere/strex-log.yaml")
    assert done.exit_code == 2
    assert "which has salesforce-to-strex.yaml, strex-log.yaml" in done.stderr


def test_mappings_that_do_not_compile_are_not_reported_as_test_failures(home):
    home.edit("strex-messages.yaml", "ignore: true", "ignroe: true")
    done = home.run("test")
    assert done.exit_code == 2
    assert "mappings/strex-messages.yaml:" in done.stderr


def test_passed_tests_are_listed_only_on_request(home):
    quiet, loud = home.run("test"), home.run("test", "-v")
    assert ("ok " in quiet.stdout, "ok    mappings/" in loud.stdout) == (False, True)
    assert quiet.stdout.splitlines()[-1] == loud.stdout.splitlines()[-1]


def test_tests_are_selected_by_words_of_their_names(home):
    said = home.json("test", "-k", "a gift")
    names = {one["name"] for file in said["files"] for one in file["cases"]}
    assert names == {"a gift", "a charge that failed is not a gift"}
    done = home.run("test", "-k", "no such words")
    assert (done.exit_code, "no test has `no such words`" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (
            "SMS_Opt_Out__c: true, SMS_Opt_Out_Source__c: Strex MYKEYWORD",
            "SMS_Opt_Out__c: false",
            "expected false, got true",
        ),
        ("create: {LastName: Unknown}", "create: {LastName: null}", "expected null, got 'Unknown'"),
    ],
)
def test_values_are_shown_as_yaml_writes_them(home, old, new, shown):
    home.edit("strex-subscription.yaml", old, new)
    assert shown in home.run("test").stdout


async def one_opt_out(scene):
    from datetime import UTC, datetime  # noqa: PLC0415 - the command asks for the last month by the real clock.

    scene.now = datetime.now(UTC)
    await scene.receive(report("Unsubscribe"))


def test_coverage_names_rules_that_no_test_and_no_event_reaches(home):
    path = home.mappings / "strex-subscription.yaml"
    before, reversal, after = path.read_text().partition("  - name: a reversal\n")
    path.write_text(before + after.partition("\n\n")[2])
    assert reversal
    said = home.json("test", "--coverage")["coverage"]
    assert said["events"] is None
    untested = [(one["rule"], one["field"]) for one in said["not_reached"] if not one["tests"]]
    assert ("strex-subscription.yaml: gift reversed", None) in untested
    assert said["rules_tested"] < said["rules"]
    home.on_the_road(one_opt_out)
    said = home.json("test", "--coverage")["coverage"]
    assert said["events"] == 1
    assert "strex-subscription.yaml: donor opted out" not in [
        one["rule"] for one in said["not_reached"] if not one["field"]
    ]
    shown = home.run("test", "--coverage").stdout
    assert "no test and no event: strex-subscription.yaml:" in shown
