import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from connector.cli.exit_codes import Exit, exit_on_error
from connector.cli.main import COMMANDS, cli, crm_commands
from connector.model.errors import StoreUnavailable

HEAVY = {
    "simple_salesforce",
    "sqlite_utils",
    "sqlite3",
    "aiohttp",
    "pydantic",
    "yaml",
    "rich",
    "requests",
    "phonenumbers",
}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["dead", "--help"], ["run", "--help"], ["check", "--help"], ["explain", "--help"]],
)
def test_help_imports_no_heavy_module(words):
    code = (
        "import sys\nfrom connector.cli.main import cli\n"
        f"try:\n    cli({words!r}, prog_name='connector')\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    assert not HEAVY & {name.partition(".")[0] for name in done.stderr.split()}


def test_help_documents_the_exit_codes_and_every_command():
    said = CliRunner().invoke(cli, ["--help"], prog_name="connector").output
    words = " ".join(said.split())
    assert "Exit codes: 0 done; 1 problems found" in words
    for name, (_, line) in COMMANDS.items():
        assert f"{name} " in words
        assert line in words
    assert "Set up the Dynamics 365 org" in words


@pytest.mark.parametrize("name", [name for name in (*COMMANDS, *crm_commands()) if name != "demo"])
def test_every_command_exists(name):
    assert CliRunner().invoke(cli, [name, "--help"], prog_name="connector").exit_code == 0


def test_every_command_but_run_has_the_option_json():
    here = click.Context(cli, info_name="connector")
    silent = {"demo", "run", "completion", "manual"}  # scripts and pages are no JSON
    tops = [cli.get_command(here, name) for name in cli.list_commands(here) if name not in silent]
    leaves = [
        one
        for top in tops
        for one in (
            [top.get_command(here, name) for name in top.list_commands(here)]
            if hasattr(top, "list_commands")
            else [top]
        )
    ]
    without = [one.name for one in leaves if "--json" not in {word for param in one.params for word in param.opts}]
    assert without == []


@pytest.mark.parametrize("words", [["nothing"], ["status", "--nothing"], ["dead", "list", "--limit", "0"], ["explain"]])
def test_wrong_usage_ends_with_2(home, words):
    assert home.run(*words).exit_code == 2


def test_the_config_is_found_by_its_option_or_variable(home, monkeypatch):
    assert home.run("test", config=False).exit_code == 0
    home.config.rename("other.yaml")
    lost = home.run("test", config=False)
    assert lost.exit_code == 2
    assert "looked for config.yaml, /etc/connector/config.yaml" in lost.stderr
    monkeypatch.setenv("CONNECTOR_CONFIG", "other.yaml")
    assert home.run("test", config=False).exit_code == 0
    assert home.run("--config", "missing.yaml", "test", config=False).exit_code == 2


def test_an_invalid_config_ends_with_2_and_its_problems(home):
    home.config.write_text(home.config.read_text().replace("timezone: Europe/Oslo", "timezone: Europe/Olso"))
    done = home.run("status")
    assert done.exit_code == 2
    assert f"{home.config}:4:11: this is not a time zone" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("error", "code"), [(StoreUnavailable("full"), Exit.UNREACHABLE), (KeyError("+4790000001"), Exit.INTERNAL)]
)
def test_each_error_has_its_exit_code(error, code):
    with pytest.raises(Exception, match=r"full|bug in the connector") as caught, exit_on_error():
        raise error
    assert caught.value.exit_code == code
    assert "+47" not in caught.value.message


def test_python_dash_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "connector", "schema", "print", "config"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["title"] == "Config of the connector"
