import json
from typing import Any

import pytest
from mapping.json_schema import fits_in

from connector.config.yaml_document import parse
from connector.mapping.language.json_schema import mapping_schema
from connector.mapping.language.paths import EVENT_FIELDS

SCHEMA = json.loads(json.dumps(mapping_schema()))


def fits(value: Any, node: Any) -> bool:
    return fits_in(SCHEMA, value, node)


FILE = """
on: {on}
rules:
  - name: one
    when: {when}
    do:
      - upsert: Contact
        key: {{SMS_Key__c: "{{msisdn}}"}}
        set: {{Field__c: {value}}}
tests:
  - {{name: t, event: {{msisdn: "+4798079008", short_number: 2002}}, expect: {{rule: one}}}}
"""


def check(*, on="strex.message", when="{action: A}", value="x") -> bool:
    return fits(parse(FILE.format(on=on, when=when, value=value), "f.yaml").value, SCHEMA)


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"on": "[strex.message, strex.delivery_report]"},
        {"when": "{action: [A, B], price: {above: 5}, any: [{keyword: K}, {not: {lookup.city: Oslo}}]}"},
        {"when": """{'properties["First Name"]': x, consent.remaining: 0, record.Opt_Out__c: true}"""},
        {"value": "5"},
        {"value": "null"},
        {"value": "{from: msisdn, truncate: 80, when_empty: clear}"},
        {"value": "{from: [lookup.lastName, keyword], default: x, map: {a: b}, otherwise: 5}"},
        {"value": "{from: occurred_at, date: {to: date, timezone: Europe/Oslo}}"},
        {"value": '{SMS_Key__c: "{msisdn}"}'},
        {"value": "{type: Contact, SMS_Key__c: {from: msisdn, phone: digits}}"},
    ],
)
def test_valid_mappings_fit_the_schema(part):
    assert check(**part)


@pytest.mark.parametrize(
    "part",
    [
        {"on": "{a: b}"},
        {"when": "{acton: A}"},
        {"when": "{action: {lik: A}}"},
        {"when": "{properties: A}"},
        {"value": "{from: msisdm}"},
        {"value": "{from: msisdn, trunkate: 80}"},
        {"value": "{default: x}"},
        {"value": "{from: msisdn, case: uper}"},
        {"value": "[a]"},
    ],
)
def test_invalid_mappings_do_not_fit_the_schema(part):
    assert not check(**part)


def test_the_schema_offers_every_field_of_an_event_with_a_description():
    offered = SCHEMA["$defs"]["When"]["properties"]
    plain = [name for name in EVENT_FIELDS if name not in {"properties", "lookup", "record"}]
    assert set(plain) <= set(offered)
    assert all(offered[name]["description"] for name in (*plain, "consent.remaining"))


def test_every_property_of_the_schema_has_a_description():
    for name, definition in SCHEMA["$defs"].items():
        for key, part in definition.get("properties", {}).items():
            assert part.get("description"), f"{name}.{key}"


def test_each_reference_of_the_schema_stands_alone_and_exists():
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                assert list(node) == ["$ref"]
                assert node["$ref"].removeprefix("#/$defs/") in SCHEMA["$defs"]
            for part in node.values():
                walk(part)
        elif isinstance(node, list):
            for part in node:
                walk(part)

    walk(SCHEMA)
