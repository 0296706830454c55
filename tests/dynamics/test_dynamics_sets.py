"""The mapping sets for Dynamics 365: each fits its org without a warning, and its examples pass."""

import shutil

import pytest
from flow.world import ROOT

from connector.checks.consent_fields import consent_problems
from connector.checks.crm_requirements import needs
from connector.checks.describe_crm import describe_what_is_used
from connector.config.yaml_document import read
from connector.delivery.http_client import Transport
from connector.mapping.compile.ruleset import load_mappings
from connector.pipeline.rule_tests import run_rule_tests
from connector.registry import build_crms, load_config, mapping_context
from connector.sandbox.dynamics.app import build
from connector.sandbox.serve import serving

CONFIG = """\
providers:
  strex:
    path_secrets: [{{env: HOOK_SECRET}}]
    api: {{key: {{env: STREX_KEY}}}}
    subscriptions:
      - {{short_number: "2002", keyword: KATT}}
crm:
  dynamics:
    url: {url}
    sign_in: {{tenant: sandbox, client_id: sandbox, client_secret: {{env: DYNAMICS_SECRET}}}}
    consent_fields:
      contact: {{flag: crmc_smsoptout, phone: mobilephone, along: [crmc_smsoptoutat, crmc_smsoptoutsource]}}
"""
SETS = ("plain", "fundraising")


def copied(directory, name):
    """The plain set with another one copied over it."""
    directory.mkdir()
    for one in dict.fromkeys(("plain", name)):
        for file in (ROOT / "mappings" / "dynamics" / one).glob("*.yaml"):
            shutil.copy(file, directory)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
async def test_a_set_fits_its_org_and_keeps_its_own_examples(name, tmp_path, monkeypatch):
    mappings = copied(tmp_path / "mappings", name)
    for secret in ("HOOK_SECRET", "STREX_KEY"):
        monkeypatch.setenv(secret, "made-up")
    monkeypatch.setenv("DYNAMICS_SECRET", "sandbox")
    async with serving(build(preset=name)) as url, Transport() as http:
        (tmp_path / "config.yaml").write_text(CONFIG.format(url=url))
        loaded = load_config(tmp_path / "config.yaml")
        rules = load_mappings(mappings, mapping_context(loaded))
        crm = build_crms(loaded)["dynamics"]
        pulled = await describe_what_is_used(http.client(crm.credentials), crm, needs(rules)["dynamics"])
    assert rules.warnings == ()
    assert [(one.name, one.differences) for one in run_rule_tests(rules) if one.differences] == []
    assert pulled.absent == ()
    schemas = {"dynamics": pulled.schema}
    assert [str(one) for one in rules.misfits(schemas)] == []
    assert consent_problems(read(loaded.path), {"dynamics": crm.consent_fields}, schemas) == []


def test_every_file_has_examples_and_names_the_schema():
    files = sorted((ROOT / "mappings" / "dynamics").rglob("*.yaml"))
    assert {file.parent.name for file in files} >= set(SETS)
    for file in files:
        text = file.read_text()
        assert text.startswith("# yaml-language-server: $schema=../schema/mapping.schema.json\n")
        assert "\ntests:\n" in text


def test_the_set_for_two_crms_compiles_and_keeps_its_examples(tmp_path):
    salesforce = "  salesforce:\n    url: https://acme.my.salesforce.com\n"
    salesforce += "    sign_in: {client_id: app, client_secret: {env: SF_SECRET}}\n"
    salesforce += (
        "    consent_fields: {Contact: {flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c]}}\n"
    )
    (tmp_path / "config.yaml").write_text(CONFIG.format(url="https://acme.crm4.dynamics.com") + salesforce)
    context = mapping_context(load_config(tmp_path / "config.yaml"))
    rules = load_mappings(ROOT / "mappings" / "dynamics" / "both", context)
    assert rules.warnings == ()
    assert [(one.name, one.differences) for one in run_rule_tests(rules) if one.differences] == []


def test_the_set_for_consent_rows_compiles_beside_the_plain_one_and_keeps_its_examples(tmp_path):
    mappings = copied(tmp_path / "mappings", "contact-point")
    config = CONFIG.replace("    consent_fields:", "    consent: both\n    consent_fields:")
    (tmp_path / "config.yaml").write_text(config.format(url="https://acme.crm4.dynamics.com"))
    rules = load_mappings(mappings, mapping_context(load_config(tmp_path / "config.yaml")))
    assert rules.warnings == ()
    assert [(one.name, one.differences) for one in run_rule_tests(rules) if one.differences] == []
