"""Each row of docs/mapping-steps.md is run: the value makes of the event what the page says. Every step is on the page."""

import re
from pathlib import Path

import pytest

from connector.config.yaml_document import parse
from connector.mapping.compile.context import Context
from connector.mapping.compile.ruleset import compile_mappings
from connector.mapping.language.field_forms import TRANSFORM_WORDS
from connector.mapping.language.test_cases import build_case
from connector.mapping.values.values import text
from connector.model.problem import ProblemsFound
from connector.model.states import EventState
from connector.pipeline.planning import plan

PAGE = Path(__file__).parents[2] / "docs" / "mapping-steps.md"
ROW = re.compile(r"^\| `(.*?)` \| (?:`(.*?)`)? ?\| (.*) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))
CONTEXT = Context(sources=("strex.message",), crms=("sf",))


def planned(value, event):
    event = event if event.startswith("{") else f"{{{event}}}"
    file = f"""on: strex.message
rules:
  - name: it
    do:
      - upsert: Thing
        key: {{Key__c: "{{key}}"}}
        set:
          Field: {value}
tests:
  - {{name: it, event: {event}, expect: {{}}}}
"""
    rules = compile_mappings([parse(file, "page")], CONTEXT)
    (made,) = rules.files
    happened, known = build_case(made.cases[0], made.frame)
    return plan(happened, rules, known)


def test_the_page_has_rows():
    assert len(ROWS) > 40


@pytest.mark.parametrize(("value", "event", "makes"), ROWS, ids=[f"{value} {event}" for value, event, _ in ROWS])
def test_a_row_is_true(value, event, makes):
    if makes.startswith(("not a path", "two pairs")):
        with pytest.raises(ProblemsFound) as found:
            planned(value, event)
        assert makes.partition("`")[2].strip("`") in str(found.value)
        return
    done = planned(value, event)
    if makes == "the record is not written":
        assert done.state is EventState.DEAD
        return
    (write,) = done.operations
    if makes == "emptied":
        assert write.set["Field"] is None
    elif makes.startswith("nothing"):
        assert "Field" not in write.set
        assert bool(done.left_out) is ("note" in makes)
    else:
        found = write.set["Field"]
        assert text(found) == makes.partition("`")[2].strip("`")
        if makes.startswith("the text"):
            assert isinstance(found, str)


def test_every_step_is_on_the_page():
    values = " ".join(value for value, _, _ in ROWS)
    assert [word for word in sorted(TRANSFORM_WORDS) if f"{word}:" not in values] == []
