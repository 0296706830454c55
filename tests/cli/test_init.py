"""`connector init` writes an installation that `check` accepts, and writes nothing over."""

import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from connector.cli.init import CRMS, PROVIDERS
from connector.cli.main import cli
from connector.registry import load_config

KEYWORD = "2002/KATT"
ROOT = Path(__file__).parent.parent.parent


def init(*words, **more):
    return CliRunner().invoke(cli, ["init", *map(str, words)], prog_name="connector", **more)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_installation_of_each_provider_passes_check(tmp_path, provider):
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


def test_an_installation_with_all_providers_passes_check(tmp_path):
    words = [word for provider in PROVIDERS for word in ("--provider", provider)]
    said = json.loads(init(tmp_path, *words, "--keyword", KEYWORD, "--yes", "--json").stdout)
    assert said["ok"]
    (warning,) = said["problems"]  # numbers of several countries are not told apart by their digits
    assert "a number there without its country code may be of" in warning


def test_secrets_are_private_and_the_systemd_drop_in_loads_each(tmp_path):
    (tmp_path / "key.txt").write_text("the-key\n")
    target = tmp_path / "home"
    init(target, "--keyword", KEYWORD, "--secret", f"strex-api-key={tmp_path / 'key.txt'}", "--yes")
    credentials = target / "credentials"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o700
    names = ["strex-path-secret", "strex-api-key", "salesforce-client-secret"]
    assert {path.name for path in credentials.iterdir()} == set(names)
    assert {stat.S_IMODE(path.stat().st_mode) for path in credentials.iterdir()} == {0o600}
    assert (credentials / "strex-api-key").read_text() == "the-key\n"
    drop_in = (target / "systemd/connector.service.d/credentials.conf").read_text().splitlines()
    assert drop_in[1] == "[Service]"
    assert drop_in[2:] == [f"LoadCredential={name}:{credentials / name}" for name in names]
    assert "the-key" not in (target / "config.yaml").read_text()


@pytest.mark.parametrize("crm", CRMS)
def test_editors_find_the_schema_that_each_file_names(tmp_path, crm):
    assert init(tmp_path, "--crm", crm, "--keyword", KEYWORD, "--yes").exit_code == 0
    files = [tmp_path / "config.yaml", *(tmp_path / "mappings").iterdir()]
    assert len(files) > 3
    for path in files:
        named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert "properties" in json.loads((path.parent / named).read_text()), path


def test_init_asks_for_missing_options(tmp_path):
    said = "strex\n2002/KATT 2002/HUND\nDK\nsalesforce\nhttps://acme.my.salesforce.com\napp\nhttps://sms.acme.example\nthe-key\n\n"
    done = init(tmp_path, input=said)
    assert done.exit_code == 0, done.output
    loaded = load_config(tmp_path / "config.yaml")
    assert [one.keyword for one in loaded.providers["strex"].subscriptions] == ["KATT", "HUND"]
    assert (loaded.settings.default_region, loaded.settings.timezone) == ("DK", "Europe/Copenhagen")
    assert "the-key" not in done.output
    assert "https://sms.acme.example/hooks/strex/dlr/" in done.output
    assert str(tmp_path / "credentials" / "salesforce-client-secret") in done.output  # it was left blank


def test_a_wrong_answer_is_reported_and_asked_for_again(tmp_path):
    said = [
        "strexx",
        "strex",
        "KATT",
        KEYWORD,
        "Norge",
        "NO",
        "sap",
        "salesforce",
        "acme",
        "https://acme.my.salesforce.com",
    ]
    done = init(tmp_path, input="\n".join([*said, "app", "sms.example.org", "https://sms.acme.example/", "", "", ""]))
    assert done.exit_code == 0, done.output
    for cure in (
        "`strexx` is no provider: write one or more of ",
        "write SHORT_NUMBER/KEYWORD",
        "did you mean `NO`?",
        "`sap` is no CRM: write one of ",
        "this is not the address of a Salesforce org",
        "this is not an address under which a provider can call",
    ):
        assert done.output.count(cure) == 1, done.output
    settings = load_config(tmp_path / "config.yaml").settings
    assert (settings.default_region, settings.listen.public_url) == ("NO", "https://sms.acme.example")


def test_addresses_for_browsers_contain_no_secret(tmp_path):
    said = json.loads(init(tmp_path, "--provider", "messagecloud", "--keyword", KEYWORD, "--yes", "--json").stdout)
    secret = (tmp_path / "credentials" / "messagecloud-path-secret").read_text().strip()
    assert {one["endpoint"]: one["address"].endswith(f"/{secret}") for one in said["addresses"]} == {
        "mo": True,
        "dlr": True,
    }
    assert [one["address"] for one in said["public_addresses"]] == [
        "https://sms.example.org/hooks/messagecloud/subscribe/<name of the offer>",
        "https://sms.example.org/hooks/messagecloud/return",
    ]


def test_invented_values_are_listed_with_their_lines(tmp_path):
    said = json.loads(init(tmp_path, "--provider", "messagecloud", "--keyword", KEYWORD, "--yes", "--json").stdout)
    text = (tmp_path / "config.yaml").read_text().splitlines()
    for line in said["to_edit"]:
        path, number, words = line.split(":", 2)
        assert (path, text[int(number) - 1].strip()) == (str(tmp_path / "config.yaml"), words.strip())
    listed = "\n".join(said["to_edit"])
    assert all(
        word in listed for word in ("url", "client_id", "campaign_name", "service_id", "thank_you", "public_url")
    )


DYNAMICS = (
    "--crm",
    "dynamics",
    "--org",
    "https://acme.crm4.dynamics.com",
    "--tenant",
    "acme.example",
    "--client-id",
    "app",
)


def test_an_installation_for_dynamics_passes_check_and_names_its_next_step(tmp_path):
    said = json.loads(init(tmp_path, *DYNAMICS, "--keyword", KEYWORD, "--yes", "--json").stdout)
    assert (said["ok"], said["problems"], said["next_steps"]) == (True, [], ["dynamics setup"])
    loaded = load_config(tmp_path / "config.yaml")
    org = loaded.crms["dynamics"]
    assert (org.url, org.sign_in.tenant, org.sign_in.client_id) == (
        "https://acme.crm4.dynamics.com",
        "acme.example",
        "app",
    )
    assert org.consent["contact"].flag == "crmc_smsoptout"
    assert {path.name for path in (tmp_path / "mappings").iterdir()} == {
        path.name for path in (ROOT / "mappings" / "dynamics" / "plain").glob("*.yaml")
    }
    secret = tmp_path / "credentials" / "dynamics-client-secret"
    assert said["to_write"] == [str(tmp_path / "credentials" / "strex-api-key"), str(secret)]
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_certificate_is_copied_from_its_file(tmp_path):
    pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
    (tmp_path / "app.pem").write_text(pem)
    home = tmp_path / "home"
    given = f"dynamics-certificate={tmp_path / 'app.pem'}"
    done = init(home, *DYNAMICS, "--sign-in", "certificate", "--secret", given, "--yes")
    assert done.exit_code == 0, done.output
    sign_in = load_config(home / "config.yaml").crms["dynamics"].sign_in
    assert (sign_in.client_secret, sign_in.certificate.credential) == (None, "dynamics-certificate")
    assert (home / "credentials" / "dynamics-certificate").read_text() == f"{pem}\n"
    assert pem not in (home / "config.yaml").read_text()


def test_init_asks_what_dynamics_needs(tmp_path):
    (tmp_path / "app.pem").write_text("the certificate")
    answers = (
        "strex", KEYWORD, "NO", "dynamics", "https://acme.crm4.dynamics.com", "acme.example", "app", "certificate",
        "https://sms.acme.example", "the-key", str(tmp_path / "app.pem"),
    )  # fmt: skip
    done = init(tmp_path / "home", input="\n".join(answers) + "\n")
    assert done.exit_code == 0, done.output
    assert load_config(tmp_path / "home" / "config.yaml").crms["dynamics"].sign_in.tenant == "acme.example"
    assert (tmp_path / "home" / "credentials" / "dynamics-certificate").read_text() == "the certificate\n"
    assert f"connector --config {tmp_path / 'home' / 'config.yaml'} dynamics setup\n" in done.output
    assert "Write these secrets" not in done.output


def test_consent_is_one_way_if_no_provider_takes_commands(tmp_path):
    init(tmp_path / "a", "--provider", "onlinefundraising", "--yes")
    init(tmp_path / "b", "--provider", "onlinefundraising", "--provider", "strex", "--yes")
    directions = [load_config(tmp_path / one / "config.yaml").crms["salesforce"].direction for one in "ab"]
    assert directions == ["one_way", "two_way"]


def test_no_existing_file_is_overwritten(tmp_path):
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
        (
            ["--secret", "api-key=/dev/null"],
            "no secret is called api-key: this config has strex-path-secret, strex-api-key",
        ),
        (["--tenant", "acme"], "--tenant is not for Salesforce: remove it, or add --crm dynamics"),
        (["--crm", "dynamics", "--org", "https://acme.my.salesforce.com"], "not the address of a Dynamics 365 org"),
        (["--crm", "dynamics", "--provider", "sumotext"], "no shipped mappings from sumotext to Dynamics 365"),
    ],
)
def test_a_wrong_option_writes_nothing(tmp_path, words, message):
    done = init(tmp_path / "home", *words, "--yes")
    assert (done.exit_code, message in done.output) == (2, True), done.output
    assert not (tmp_path / "home").exists()


def test_the_service_can_read_what_root_writes_under_a_strict_umask(tmp_path):
    before = os.umask(0o077)
    try:
        init(tmp_path / "etc" / "connector", "--keyword", KEYWORD, "--yes")
    finally:
        os.umask(before)
    made = [one for one in (tmp_path / "etc").rglob("*") if one.parent.name != "credentials"]
    shut = {one.name for one in made if not one.stat().st_mode & 0o004}
    assert shut == {"credentials"}
    assert (tmp_path / "etc").stat().st_mode & 0o005 == 0o005


def test_the_service_can_read_the_program_that_root_installs_under_a_strict_umask():
    recipe = (ROOT / "Makefile").read_text().partition("\ninstall:")[2].partition("\n\n")[0]
    writing = [line for line in recipe.splitlines() if "venv" in line or "/pip " in line or " > " in line]
    assert len(writing) == 5
    assert all(line.startswith("\t@umask 022; ") for line in writing)
