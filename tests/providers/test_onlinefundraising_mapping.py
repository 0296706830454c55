"""The shipped mapping for OnlineFundraising: it fits its page's config, its tests pass, and the page names its fields."""

import re
from pathlib import Path

import pytest

from connector.config import yaml_document
from connector.config.validation import load
from connector.mapping.compile.ruleset import load_mappings
from connector.pipeline.rule_tests import run_rule_tests
from connector.registry import CONFIG, LoadedConfig, mapping_context

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "onlinefundraising.md").read_text()
FILE = ROOT / "mappings" / "more" / "onlinefundraising.yaml"


@pytest.fixture
def rules(tmp_path):
    block = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    settings = load(yaml_document.parse(block, "config.yaml"), CONFIG)
    (tmp_path / FILE.name).write_text(FILE.read_text())
    return load_mappings(tmp_path, mapping_context(LoadedConfig(path=tmp_path / "config.yaml", settings=settings)))


def test_the_mapping_fits_the_config_of_the_docs_page_and_its_tests_pass(rules):
    assert rules.warnings == ()
    assert [result for result in run_rule_tests(rules) if result.differences] == []


def test_each_rule_has_a_test(rules):
    (file,) = rules.files
    assert {rule.name for rule in file.rules} <= {case.expect.rule for case in file.cases}


def test_the_docs_page_names_every_field_that_the_mapping_writes(rules):
    for item in (item for file in rules.files for rule in file.rules for item in rule.items):
        if item.object == "SMS_Event__c":
            continue
        for name in {item.key.name, *(one.name for one in (*item.set, *item.create))} - {"Parent"}:
            assert f"`{name}`" in PAGE, (item.object, name)


def test_the_mapping_names_the_schema_relative_to_the_mappings_folder():
    first = FILE.read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (FILE.parents[1] / schema).resolve().is_file()
