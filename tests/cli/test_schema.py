"""The committed JSON Schemas match the models, and the example config loads unchanged."""

import json
from pathlib import Path

import pytest

from connector.cli.schema_files import KINDS, json_schema_text
from connector.mapping.compile.ruleset import load_mappings
from connector.pipeline.rule_tests import run_rule_tests
from connector.registry import load_config, mapping_context

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schemas_equal_the_models(kind):
    committed = (ROOT / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert committed == json_schema_text(kind), "run `make schema`, and commit what it writes"


@pytest.mark.parametrize("kind", KINDS)
def test_every_reference_in_a_schema_exists(kind):
    made = json.loads(json_schema_text(kind))

    def references(node):
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            node = list(node.values())
        if isinstance(node, list):
            for one in node:
                yield from references(one)

    found = set(references(made))
    assert found
    assert {one.removeprefix("#/$defs/") for one in found} <= set(made["$defs"])


def test_the_example_config_loads_unchanged_with_the_shipped_mappings():
    loaded = load_config(ROOT / "config.example.yaml")
    assert set(loaded.providers) == {"strex"}
    assert set(loaded.crms) == {"salesforce"}
    consent = loaded.crms["salesforce"].consent["Contact"]
    assert (consent.flag, consent.phone) == ("SMS_Opt_Out__c", "MobilePhone")
    rules = load_mappings(loaded.resolve_path(loaded.settings.mappings), mapping_context(loaded))
    assert rules.warnings == ()
    assert [result for result in run_rule_tests(rules) if result.differences] == []
    assert all(file.cases for file in rules.files)


def test_every_shipped_file_names_its_schema_as_it_is_found_from_the_folder_of_the_mappings():
    for path in (ROOT / "config.example.yaml", *sorted((ROOT / "mappings").rglob("*.yaml"))):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        named = first.removeprefix("# yaml-language-server: $schema=")
        assert named != first, path
        folder = ROOT if path.parent == ROOT else ROOT / "mappings"  # the sets are copied there
        assert (folder / named).resolve().is_file(), path
