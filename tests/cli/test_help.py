"""What the command line offers beside its answers: examples, did you mean, completion, the manual, errors as JSON, narrow tables."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from connector.cli import render
from connector.cli.examples import EXAMPLES, examples_of
from connector.cli.main import cli


def run(*words, **more):
    return CliRunner().invoke(cli, words, prog_name="connector", **more)


def every_command(group=cli, ctx=None, words=()):
    ctx = ctx or click.Context(cli, info_name="connector")
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        yield " ".join((*words, name)), command
        if isinstance(command, click.Group):
            yield from every_command(command, click.Context(command, info_name=name, parent=ctx), (*words, name))


COMMANDS = dict(every_command())
SHOWN = {words: examples_of(command.epilog) for words, command in COMMANDS.items()}


def test_every_command_has_an_example_and_every_example_a_command():
    assert [words for words, lines in SHOWN.items() if not lines] == []
    assert EXAMPLES.keys() <= COMMANDS.keys()


def test_every_option_has_a_help():
    options = [
        (words, one) for words, command in COMMANDS.items() for one in command.params if isinstance(one, click.Option)
    ]
    assert len(options) > 100
    assert [(words, one.name) for words, one in options if not one.help] == []


@pytest.mark.parametrize("words", sorted(SHOWN))
def test_help_shows_the_examples(words):
    said = run(*words.split(), "--help").output
    assert all(f"  {line}\n" in said for line in SHOWN[words]), said


@pytest.mark.parametrize("line", sorted({line for lines in SHOWN.values() for line in lines}))
def test_each_example_can_be_run(line, tmp_path, monkeypatch):
    (tmp_path / "body.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    name, *words = shlex.split(line.partition(" > ")[0])
    assert name == "connector"
    group, ctx = cli, cli.make_context("connector", list(words))
    words = [*ctx._protected_args, *ctx.args]
    while isinstance(group, click.Group):
        name, group, words = group.resolve_command(ctx, words)
        if any("FILE" in one.make_metavar(ctx) for one in group.params):
            return  # a file that the example names is not there
        ctx = group.make_context(name, list(words), parent=ctx)
        words = [*ctx._protected_args, *ctx.args] if isinstance(group, click.Group) else words


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["chek"], "`check`"), (["statsu"], "`status`"), (["dead", "lst"], "`list`"), (["dead", "retyr"], "`retry`")],
)
def test_the_nearest_command_is_suggested_for_a_misspelt_one(words, meant):
    done = run(*words)
    assert (done.exit_code, f"Did you mean {meant}?" in done.output) == (2, True)


def test_short_help_texts_are_not_truncated():
    assert "...\n" not in run("dead", "--help").output.partition("Commands:")[2]


@pytest.mark.parametrize("words", [["--json", "status"], ["status", "--json"], ["dead", "show", "25", "--json"]])
def test_an_error_is_json_with_the_option_json(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONNECTOR_CONFIG", str(tmp_path / "none.yaml"))
    done = run(*words)
    said = json.loads(done.stdout)
    assert (said["ok"], said["exit_code"], done.exit_code) == (False, 2, 2)
    assert "there is no such file" in said["error"]
    assert "there is no such file" in done.stderr


def test_wrong_usage_is_json_with_the_option_json():
    said = json.loads(run("stauts", "--json").stdout)
    assert said == {"ok": False, "error": "There is no command `stauts`. Did you mean `status`?", "exit_code": 2}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_the_named_shell(shell):
    assert "_CONNECTOR_COMPLETE" in run("completion", shell).output


def completed(home, *words):
    line = ["connector", "--config", str(home.config), *words]
    env = os.environ | {
        "_CONNECTOR_COMPLETE": "bash_complete",
        "COMP_WORDS": shlex.join(line),
        "COMP_CWORD": str(len(line) - 1),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run([sys.executable, "-m", "connector"], capture_output=True, text=True, env=env, check=False)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_events_rules_and_keywords_are_completed(home):
    assert completed(home, "dead", "re") == ["retry"]
    assert "strex-log.yaml: everything else" in completed(home, "events", "--rule", "strex-log")
    assert completed(home, "events", "--keyword", "MY") == ["MYKEYWORD"]
    assert completed(home, "dead", "show", "") == []  # there is no database yet


def test_without_a_config_nothing_is_completed(tmp_path):
    class Nowhere:
        config = tmp_path / "none.yaml"

    assert completed(Nowhere, "events", "--rule", "s") == []


def test_the_manual_has_every_command_option_and_example():
    page = run("manual").output.replace("\\-", "-").replace("\\e", "\\")
    for words, command in COMMANDS.items():
        assert f'.SS "connector {words}' in page
        assert all(
            max(option.opts, key=len) in page
            for option in command.params
            if isinstance(option, click.Option) and not option.hidden
        )
    assert all(line in page for lines in SHOWN.values() for line in lines)


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_man_can_read_the_manual():
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-Kutf8"],
        input=run("manual").output,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "connector dead retry" in re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_fits_its_terminal(width, capsys):
    paper = render.Paper()
    paper._console = Console(
        width=width, force_terminal=True, no_color=True, highlight=False, markup=False, emoji=False
    )
    columns = ["event", "received", "provider", "state", "why", "rule"]
    why = "the value has no phone number with its country code, so that nobody is found by it"
    rows = [(25, "2026-01-31 12:00", "onlinefundraising", "dead", why, "strex-subscription.yaml: donor opted out")]
    paper.table(columns, rows)
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, said.splitlines())) <= width
    assert "onlinefundraising" in said  # no short cell is cut or broken
    assert why.split(maxsplit=1)[0] in said
