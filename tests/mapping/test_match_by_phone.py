"""The mapping files for orgs without external IDs: equal to the plain ones, except that contacts are matched by phone."""

from copy import deepcopy
from pathlib import Path

import pytest

from connector.config.yaml_document import read
from connector.mapping.compile.ruleset import load_mappings
from connector.mapping.language.records import load_mapping
from connector.pipeline.rule_tests import run_rule_tests
from connector.registry import load_config, mapping_context

ROOT = Path(__file__).parents[2]
PLAIN, MATCHING = ROOT / "mappings", ROOT / "mappings/more/match-by-phone"
NAMES = sorted(path.name for path in MATCHING.glob("*.yaml"))
MATCH = {"phone": ["MobilePhone", "HomePhone"], "none": "create", "many": "oldest"}


def rules_of(path):
    """The rules as they are written, with the records that they name."""
    return load_mapping(read(path))[1].value["rules"]


@pytest.fixture
def rules(tmp_path):
    for path in (*PLAIN.glob("*.yaml"), *MATCHING.glob("*.yaml")):
        (tmp_path / path.name).write_text(path.read_text())
    return load_mappings(tmp_path, mapping_context(load_config(ROOT / "config.example.yaml")))


def test_the_matching_files_replace_the_plain_files_and_their_tests_pass(rules):
    assert rules.warnings == ()
    assert [result for result in run_rule_tests(rules) if result.differences] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_matching_file_is_the_plain_file_with_a_match_on_every_contact(name):
    expected = deepcopy(rules_of(PLAIN / name))
    for item in (item for rule in expected for item in rule.get("do", ())):
        if item.get("upsert") == "Contact":
            item["match"] = MATCH
            # A number that a person has written in their own way is not written over.
            if "MobilePhone" in item.get("set", {}):
                item["create"]["MobilePhone"] = item["set"].pop("MobilePhone")
    assert rules_of(MATCHING / name) == expected


def test_every_plain_file_that_writes_contacts_has_a_matching_file():
    writing = {
        path.name
        for path in PLAIN.glob("*.yaml")
        for rule in rules_of(path)
        for item in rule.get("do", ())
        if "Contact" in {item.get("upsert"), item.get("update")}
    }
    assert set(NAMES) == writing


def test_the_matching_files_name_the_schema_relative_to_the_mappings_folder():
    for name in NAMES:
        first = (MATCHING / name).read_text().splitlines()[0]
        assert (PLAIN / first.removeprefix("# yaml-language-server: $schema=")).resolve().is_file()
