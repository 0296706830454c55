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


def test_a_file_that_is_none_of_the_mappings_is_wrong_usage(home):
    done = home.run("test", "elsewhere/strex-log.yaml")
    assert done.exit_code == 2
    assert "which has salesforce-to-strex.yaml, strex-log.yaml" in done.stderr


def test_mappings_that_do_not_compile_are_no_test_failure(home):
    home.edit("strex-messages.yaml", "ignore: true", "ignroe: true")
    done = home.run("test")
    assert done.exit_code == 2
    assert "mappings/strex-messages.yaml:" in done.stderr
