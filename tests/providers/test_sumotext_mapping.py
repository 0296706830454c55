"""The shipped mappings for Sumotext: they fit a config with it, their tests pass, and its page names what they need."""

import re
from pathlib import Path

import pytest

from connector.config import yaml_document
from connector.config.validation import load
from connector.mapping.compile.ruleset import load_mappings
from connector.pipeline.rule_tests import run_rule_tests
from connector.registry import CONFIG, LoadedConfig, mapping_context

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sumotext.md").read_text()
FILES = ("salesforce-to-sumotext.yaml", "sumotext.yaml")


@pytest.fixture
def rules(tmp_path):
    """The shipped files, put where the page says, with the config that it shows."""
    block = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    settings = load(yaml_document.parse(block, "config.yaml"), CONFIG)
    for name in FILES:
        (tmp_path / name).write_text((ROOT / "mappings" / "more" / name).read_text())
    return load_mappings(tmp_path, mapping_context(LoadedConfig(path=tmp_path / "config.yaml", settings=settings)))


def test_the_mappings_fit_the_config_of_the_docs_page_and_their_tests_pass(rules):
    assert rules.warnings == ()
    results = list(run_rule_tests(rules))
    assert [result for result in results if result.differences] == []
    assert {result.file for result in results} == set(FILES)


def test_each_rule_has_a_test(rules):
    for file in rules.files:
        wanted = {case.expect.rule for case in file.cases}
        assert {rule.name for rule in file.rules} <= wanted


def test_the_docs_page_names_every_field_that_the_mappings_write(rules):
    own = {"Name", "IsActive", "Status", "Campaign", "Contact", "Subject", "Priority", "WhoId", "Description"}
    of_the_log = {"SMS_Event__c"}
    for item in (item for file in rules.files for rule in file.rules for item in rule.items):
        if item.object in of_the_log:
            continue
        for name in {item.key.name, *(one.name for one in (*item.set, *item.create))} - own:
            assert f"`{name}`" in PAGE, (item.object, name)


def test_the_mappings_name_the_schema_relative_to_the_mappings_folder():
    for name in FILES:
        first = (ROOT / "mappings" / "more" / name).read_text().splitlines()[0]
        schema = first.removeprefix("# yaml-language-server: $schema=")
        assert schema != first
        assert (ROOT / "mappings" / schema).resolve().is_file()


def test_a_config_without_sumotext_does_not_load_its_mappings():
    names = {path.name for path in (ROOT / "mappings").glob("*.yaml")}
    assert not names & set(FILES)
