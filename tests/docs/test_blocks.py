"""Every YAML block in README and docs is a mapping that compiles and passes its tests, valid rules, or a config that loads."""

import re
from pathlib import Path

import pytest
import yaml
from example_config import with_sinks

from connector.config import yaml_document
from connector.config.validation import load
from connector.mapping.compile.ruleset import load_mappings
from connector.model.states import EventState
from connector.pipeline.rule_tests import run_rule_tests
from connector.registry import CONFIG, load_config, mapping_context

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCKS = [
    pytest.param(match[1], id=f"{page.name}:{page.read_text()[: match.start()].count(chr(10)) + 1}")
    for page in PAGES
    for match in re.finditer(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
]


@pytest.fixture
def context(tmp_path):
    """The example config, with the sinks that it shows in comments."""
    config = tmp_path / "config" / "config.yaml"
    config.parent.mkdir()
    config.write_text(with_sinks())
    return mapping_context(load_config(config))


@pytest.mark.parametrize("block", BLOCKS)
def test_the_block_works(block, context, tmp_path):
    content = yaml.safe_load(block)
    if isinstance(content, dict) and {"providers", "sinks", "console"} & content.keys():
        rest = "" if "providers" in content else (ROOT / "config.example.yaml").read_text()
        load(yaml_document.parse(block + rest, "block.yaml"), CONFIG)
        return
    if isinstance(content, list):
        # The rules of a fragment stand for a part of a file; the rest is what a whole file must have.
        head = "  - name: opt-outs\n    when: {verdict: opt_out}\n    ignore: true\n    consent: opt_out\n"
        block = "on: strex.delivery_report\nrules:\n" + head + "".join(f"  {line}\n" for line in block.splitlines())
    (tmp_path / "block.yaml").write_text(block)
    matching = (ROOT / "mappings/more/match-by-phone").glob("*.yaml") if "match:" in block else ()
    for shipped in (*(ROOT / "mappings").glob("*.yaml"), *matching):
        # The way back of a block stands for the shipped one: together they would send each command twice.
        if not (block.startswith("on: salesforce.change") and shipped.name == "salesforce-to-strex.yaml"):
            (tmp_path / shipped.name).write_text(shipped.read_text())
    rules = load_mappings(tmp_path, context)
    failed = [result for result in run_rule_tests(rules) if result.file == "block.yaml" and result.differences]
    assert not failed


def test_there_are_blocks():
    assert len(BLOCKS) >= 5


def test_the_page_on_setting_up_names_every_field_that_the_shipped_mappings_use(context):
    rules = load_mappings(ROOT / "mappings", context)
    page = (ROOT / "docs" / "salesforce-setup.md").read_text()
    for file in rules.files:
        for rule in file.rules:
            for item in rule.items:
                for one in (*getattr(item, "set", ()), *getattr(item, "create", ())):
                    name = one.name.removesuffix("__r") + "__c" if one.name.endswith("__r") else one.name
                    assert f"`{name}`" in page, name


def test_the_states_of_an_event_are_all_explained():
    text = (ROOT / "docs" / "guarantees.md").read_text()
    for state in EventState:
        assert f"| {state.value} |" in text
