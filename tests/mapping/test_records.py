"""`records:`: a record that is described once and written by several rules. Places are those of the parts as they are written."""

import pytest

from connector.config.yaml_document import parse
from connector.mapping.compile.context import Context
from connector.mapping.compile.ruleset import compile_mappings
from connector.mapping.language.records import load_mapping
from connector.model.problem import ProblemsFound

CONTEXT = Context(sources=("strex.message",), crms=("sf",))
HEAD = """on: strex.message
records:
  donor:
    upsert: Contact
    key: {Key__c: "{msisdn}"}
    create: {LastName: {from: lookup.lastName, default: Unknown}, MobilePhone: "{msisdn}"}
    set: {Source__c: SMS}
"""
LONG = """on: strex.message
rules:
  - name: joined
    when: {action: a}
    do:
      - upsert: Contact
        key: {Key__c: "{msisdn}"}
        create: {LastName: {from: lookup.lastName, default: Unknown}}
        set: {Source__c: SMS, MobilePhone: "{msisdn}"}
  - name: other
    do:
      - upsert: Contact
        key: {Key__c: "{msisdn}"}
        create: {LastName: {from: lookup.lastName, default: Unknown}, MobilePhone: "{msisdn}"}
        set: {Source__c: web}
        if_missing: skip
"""
SHORT = (
    HEAD
    + """rules:
  - name: joined
    when: {action: a}
    do:
      - record: donor
        set: {MobilePhone: "{msisdn}"}
  - name: other
    do:
      - record: donor
        set: {Source__c: web}
        if_missing: skip
"""
)


def problems(text):
    try:
        return [str(one) for one in compile_mappings([parse(text, "f.yaml")], CONTEXT).warnings]
    except ProblemsFound as found:
        return [str(one) for one in found.problems]


def test_a_rule_that_names_a_record_equals_the_rule_with_it_written_out():
    short, long = (load_mapping(parse(text, "f.yaml"))[0] for text in (SHORT, LONG))
    assert short.rules == long.rules
    assert problems(SHORT) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("record: donor", "record: doner", "f.yaml:12:17: no record has the name `doner` (did you mean `donor`?)"),
        ("from: lookup.lastName", "from: lookp.lastName", "f.yaml:6:31: an event has no field `lookp`"),
        (
            "        set: {MobilePhone",
            "        sett: {MobilePhone",
            "f.yaml:13:9: unknown key `sett` (did you mean `set`?)",
        ),
        ("    key: {", "    kye: {", "f.yaml:5:5: unknown key `kye` (did you mean `key`?)"),
        (
            "  donor:\n    upsert: Contact",
            "  donor: [Contact]\n  x:\n    upsert: Contact",
            "f.yaml:3:10: lines of the form",
        ),
        ("set: {Source__c: SMS}", "set: {Source__c: }", "f.yaml:7:21: `Source__c` has no value"),
    ],
)
def test_a_mistake_is_reported_once_at_its_place(old, new, expected):
    found = problems(SHORT.replace(old, new, 1))
    assert [one for one in found if one.startswith(expected)], found
    assert len(found) == len(set(found))


def test_a_record_that_no_rule_writes_is_a_warning():
    text = SHORT.replace("rules:", '  gift:\n    update: Gift\n    id: "{properties.Gift}"\nrules:', 1)
    assert problems(text) == [
        "f.yaml:8:3: no rule writes the record `gift` (write `- record: gift` under `do:` of a rule, or take it out)"
    ]


def test_a_named_record_must_name_its_object():
    text = SHORT.replace("rules:", "  gift: {set: {A__c: x}}\nrules:", 1)
    assert any(one.startswith("f.yaml:8:9: `upsert` is missing here") for one in problems(text))
