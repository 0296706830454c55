import json
import re
from typing import Any

import pytest

from connector.config.document import parse
from connector.mapping.paths import EVENT_FIELDS
from connector.mapping.schema import mapping_schema

SCHEMA = json.loads(json.dumps(mapping_schema()))
TYPES = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}


def is_a(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def fits(value: Any, node: Any) -> bool:
    """As much of JSON Schema draft 7 as the schema uses, read literally."""
    if isinstance(node, bool):
        return node
    if "$ref" in node:
        return fits(value, SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")])
    kinds = node.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return (
        (not kinds or any(is_a(value, kind) for kind in kinds))
        and value in node.get("enum", [value])
        and value == node.get("const", value)
        and all(fits(value, part) for part in node.get("allOf", ()))
        and any(fits(value, part) for part in node.get("anyOf", [True]))
        and ("oneOf" not in node or sum(fits(value, part) for part in node["oneOf"]) == 1)
        and not ("not" in node and fits(value, node["not"]))
        and (not isinstance(value, dict) or object_fits(value, node))
        and (not isinstance(value, list) or all(fits(item, node.get("items", True)) for item in value))
        and (not isinstance(value, list | str | dict) or size_fits(value, node))
        and (not isinstance(value, str) or re.search(node.get("pattern", ""), value) is not None)
    )


def size_fits(value: Any, node: dict[str, Any]) -> bool:
    kind = {list: "Items", str: "Length", dict: "Properties"}[type(value)]
    return node.get(f"min{kind}", 0) <= len(value) <= node.get(f"max{kind}", len(value))


def object_fits(value: dict[str, Any], node: dict[str, Any]) -> bool:
    if not set(node.get("required", ())) <= set(value):
        return False
    for key, item in value.items():
        parts = [node["properties"][key]] if key in node.get("properties", {}) else []
        parts += [part for pattern, part in node.get("patternProperties", {}).items() if re.search(pattern, key)]
        if not all(fits(item, part) for part in parts or [node.get("additionalProperties", True)]):
            return False
        if not fits(key, node.get("propertyNames", True)):
            return False
    return True


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
def test_what_can_be_written_fits_the_schema(part):
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
def test_what_cannot_be_written_does_not(part):
    assert not check(**part)


def test_every_field_of_an_event_is_offered_with_its_meaning():
    offered = SCHEMA["$defs"]["When"]["properties"]
    plain = [name for name in EVENT_FIELDS if name not in {"properties", "lookup", "record"}]
    assert set(plain) <= set(offered)
    assert all(offered[name]["description"] for name in (*plain, "consent.remaining"))


def test_everything_that_can_be_written_is_described():
    for name, definition in SCHEMA["$defs"].items():
        for key, part in definition.get("properties", {}).items():
            assert part.get("description"), f"{name}.{key}"


def test_no_reference_has_neighbours_and_none_leads_nowhere():
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
