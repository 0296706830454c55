"""`connector init` writes an installation that `check` accepts, and writes nothing over."""

import json
import stat

import pytest
from click.testing import CliRunner

from connector.cli.init import PROVIDERS, secret_names
from connector.cli.main import cli
from connector.registry import load_config

KEYWORD = "2002/KATT"


def init(*words, **more):
    return CliRunner().invoke(cli, ["init", *map(str, words)], prog_name="connector", **more)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_s_installation_passes_check(tmp_path, provider):
    done = init(
        tmp_path,
        "--provider",
        provider,
        "--keyword",
        KEYWORD,
        "--org",
        "https://acme.my.salesforce.com",
        "--yes",
        "--json",
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["ok"], said["problems"]) == (True, [])
    assert load_config(tmp_path / "config.yaml").providers.keys() == {provider}
    secret = (tmp_path / "credentials" / f"{provider}-path-secret").read_text().strip()
    assert len(secret) >= 32
    assert said["addresses"]
    assert all(one["address"].endswith(f"/{secret}") for one in said["addresses"])
    assert all(f"https://sms.example.org/hooks/{provider}/" in one["address"] for one in said["addresses"])


def test_all_providers_at_once_pass_check(tmp_path):
    words = [word for provider in PROVIDERS for word in ("--provider", provider)]
    said = json.loads(init(tmp_path, *words, "--keyword", KEYWORD, "--yes", "--json").stdout)
    assert said["ok"]
    (warning,) = said["problems"]  # numbers of several countries are not told apart by their digits
    assert "a number there without its country code may be of" in warning


def test_secrets_are_for_the_owner_alone_and_the_drop_in_loads_each(tmp_path):
    (tmp_path / "key.txt").write_text("the-key\n")
    target = tmp_path / "home"
    init(target, "--keyword", KEYWORD, "--secret", f"strex-api-key={tmp_path / 'key.txt'}", "--yes")
    credentials = target / "credentials"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o700
    assert {path.name for path in credentials.iterdir()} == set(secret_names(["strex"]))
    assert {stat.S_IMODE(path.stat().st_mode) for path in credentials.iterdir()} == {0o600}
    assert (credentials / "strex-api-key").read_text() == "the-key\n"
    drop_in = (target / "systemd/connector.service.d/credentials.conf").read_text().splitlines()
    assert drop_in[1] == "[Service]"
    assert drop_in[2:] == [f"LoadCredential={name}:{credentials / name}" for name in secret_names(["strex"])]
    assert "the-key" not in (target / "config.yaml").read_text()


def test_it_asks_for_what_is_not_given(tmp_path):
    said = "strex\n2002/KATT 2002/HUND\nDK\nhttps://acme.my.salesforce.com\napp\nhttps://sms.acme.example\nthe-key\n\n"
    done = init(tmp_path, input=said)
    assert done.exit_code == 0, done.output
    loaded = load_config(tmp_path / "config.yaml")
    assert [one.keyword for one in loaded.providers["strex"].subscriptions] == ["KATT", "HUND"]
    assert (loaded.settings.default_region, loaded.settings.timezone) == ("DK", "Europe/Copenhagen")
    assert "the-key" not in done.output
    assert "https://sms.acme.example/hooks/strex/dlr/" in done.output
    assert str(tmp_path / "credentials" / "salesforce-client-secret") in done.output  # it was left blank


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "config.yaml").write_text("mine\n")
    done = init(tmp_path, "--yes")
    assert (done.exit_code, "nothing was written" in done.output) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--keyword", "KATT"], "write SHORT_NUMBER/KEYWORD"),
        (["--region", "Norge"], "did you mean `NO`?"),
        (["--org", "acme"], "this is not the address of a Salesforce org"),
        (["--secret", "strex-api-key"], "write NAME=FILE"),
    ],
)
def test_a_wrong_answer_writes_nothing(tmp_path, words, message):
    done = init(tmp_path / "home", *words, "--yes")
    assert (done.exit_code, message in done.output) == (2, True), done.output
    assert not (tmp_path / "home").exists()
