"""`connector check` on broken files, as people write them: each problem stands at its place, with a cure that can be followed."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from connector.cli.check import examine
from connector.cli.main import cli
from connector.cli.setup import Setup
from tests.cli.broken_cases import CASES, CFG, SUB, Case, swap

BASE = Path(__file__).parent / "broken" / "base"


@pytest.fixture
def home(tmp_path, monkeypatch):
    shutil.copytree(BASE, tmp_path / "home")
    monkeypatch.setenv("HOOK", "abcdefabcdef01234567")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def checked():
    return examine(Setup(Path(CFG)), live=False, strict=False)


def test_the_valid_installation_has_no_problem(home):
    assert checked()["problems"] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_file_is_reported_with_position_and_cure(home, case: Case):
    case.edit(home / case.file)
    if case.also:
        case.also(home)
    said = checked()
    problems = [one for one in said["problems"] if one["code"] != "failing-test" or "TEST" in case.name]
    for place, code, cure in case.expected:
        at = [one for one in problems if one["text"].startswith(f"{place}: ")]
        assert any(one["code"] == code and cure in one["text"] for one in at), said["problems"]
    if not case.expected:
        assert problems == []


@pytest.mark.parametrize("case", [one for one in CASES if one.file == SUB], ids=lambda case: case.name)
def test_the_caret_is_below_the_position(home, case: Case):
    case.edit(home / case.file)
    if case.also:
        case.also(home)
    for problem in checked()["problems"]:
        if problem["file"] == SUB and problem["excerpt"]:
            line, carets = problem["excerpt"]
            assert line.startswith(f"{problem['line']:>6} | ")
            assert carets.rstrip().endswith("^")
            assert len(line) <= 80
            if "…" not in line:  # a long one is shown in part
                assert carets.index("^") - len("       | ") == problem["column"] - 1


def test_the_excerpt_is_printed_below_the_problem(home):
    swap("    when: {action: Unsubscribe}", "    When: {action: Unsubscribe}")(home / SUB)
    lines = CliRunner().invoke(cli, ["-c", CFG, "check"]).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if "unknown key `When`" in line)
    assert lines[at : at + 3] == [
        f"{SUB}:12:5: unknown key `When` (did you mean `when`?)",
        "    12 |     When: {action: Unsubscribe}",
        "       |     ^^^^",
    ]


def test_the_caret_is_right_after_wide_characters_and_tabs(home):
    swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', 'SMS_Opt_Out_Source__c: {from: "日本", colour: x}')(home / SUB)
    problem = next(one for one in checked()["problems"] if "colour" in one["message"])
    line, carets = problem["excerpt"]
    assert carets.index("^") == line.index("colour") + len("日本")  # each takes two columns
    swap("    when: {action: Unsubscribe}", "    when: {\taction: Unsubscribe}")(home / SUB)
    (problem,) = checked()["problems"]
    assert problem["excerpt"] == ["    12 |     when: {→action: Unsubscribe}", "       |            ^"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("key: {env: HOOK}", "key: 1234-5678-secret-api-key"),
        ("    path_secrets:\n      - env: HOOK", "    path_secrets:\n      - 1234-5678-secret-api-key"),
        ("key: {env: HOOK}", 'key: "1234-5678-secret-api-key'),
    ],
)
def test_a_secret_in_the_config_is_never_shown(home, old, new):
    swap(old, new)(home / CFG)
    said = CliRunner().invoke(cli, ["-c", CFG, "check"])
    assert said.exit_code == 1
    assert "5678" not in said.output


def test_a_line_of_the_config_without_secrets_is_shown(home):
    swap("  port: 8080", "  port: eighty")(home / CFG)
    (problem,) = checked()["problems"]
    assert problem["excerpt"] == ["    16 |   port: eighty", "       |         ^^^^^^"]
