"""The mapping sets besides the plain one: each compiles over it without a warning, and its examples pass."""

import shutil

import pytest
from flow.sets import CONFIGS, NO_EFFECT, copied
from flow.world import ROOT

from connector.mapping.compile.ruleset import load_mappings
from connector.pipeline.rule_tests import run_rule_tests
from connector.registry import load_config, load_rules, mapping_context

ACTIONS = {"Subscribe", "Signup", "Unsubscribe", "Recurring", "AlterPrice", *NO_EFFECT}


@pytest.fixture(params=sorted(CONFIGS))
def rules(request, tmp_path):
    mappings = copied(tmp_path / "mappings", request.param)
    text = CONFIGS[request.param].format(mappings=mappings, strex="http://127.0.0.1:9", salesforce="http://127.0.0.1:9")
    (tmp_path / "config.yaml").write_text(text)
    return load_mappings(mappings, mapping_context(load_config(tmp_path / "config.yaml")))


def test_a_set_has_no_warnings_and_keeps_its_own_examples(rules):
    assert rules.warnings == ()
    assert [result for result in run_rule_tests(rules) if result.differences] == []


def test_a_set_has_an_example_of_each_action_of_the_strex_document(rules):
    (file,) = (file for file in rules.files if file.name == "strex-subscription.yaml")
    assert len(ACTIONS) == 11
    assert {case.event.action for case in file.cases} - {"SomethingNew"} == ACTIONS


def test_every_file_of_a_set_has_examples_and_names_the_schema():
    files = [file for name in CONFIGS for file in (ROOT / "mappings" / name).glob("*.yaml")]
    assert len(files) == 8
    for file in files:
        text = file.read_text()
        assert text.startswith("# yaml-language-server: $schema=../schema/mapping.schema.json\n")
        assert "\ntests:\n" in text


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_the_set_for_messagecloud_has_no_warnings_and_keeps_its_own_examples(name, tmp_path):
    mappings = copied(tmp_path / "mappings", name)
    shutil.copy(ROOT / "mappings" / "more" / name / "messagecloud.yaml", mappings)
    provider = "  messagecloud: {path_secrets: [{env: SECRET}]}\ncrm:\n"
    text = CONFIGS[name].format(mappings=mappings, strex="http://127.0.0.1:9", salesforce="http://127.0.0.1:9")
    (tmp_path / "config.yaml").write_text(text.replace("crm:\n", provider))
    rules = load_mappings(mappings, mapping_context(load_config(tmp_path / "config.yaml")))
    assert rules.warnings == ()
    results = [result for result in run_rule_tests(rules) if result.file == "messagecloud.yaml"]
    assert len(results) >= 6
    assert [result for result in results if result.differences] == []


@pytest.mark.parametrize(
    ("name", "way_back"),
    [
        ("npsp", "salesforce-to-messagecloud.yaml"),
        ("nonprofit-cloud", "nonprofit-cloud/salesforce-to-messagecloud.yaml"),
    ],
)
def test_the_set_for_messagecloud_alone_loses_no_opt_out(name, way_back, tmp_path):
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    for file in (f"{name}/messagecloud.yaml", way_back):
        shutil.copy(ROOT / "mappings" / "more" / file, mappings)
    text = CONFIGS[name].format(mappings=mappings, strex="http://127.0.0.1:9", salesforce="http://127.0.0.1:9")
    before, _, providers_and_crm = text.partition("providers:\n")
    _, _, crm = providers_and_crm.partition("crm:\n")
    provider = "providers:\n  messagecloud: {path_secrets: [{env: SECRET}]}\ncrm:\n"
    (tmp_path / "config.yaml").write_text(before + provider + crm)
    rules = load_rules(load_config(tmp_path / "config.yaml"))
    assert rules.warnings == ()
    assert [result for result in run_rule_tests(rules) if result.differences] == []
