"""The parts of JSON Schema draft 7 that our schemas use, implemented literally."""

import re
from collections.abc import Callable
from typing import Any

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


def fits_in(schema: dict[str, Any], value: Any, node: Any) -> bool:
    """Whether a value fits a part of the schema."""

    def fits(value: Any, node: Any) -> bool:
        return fits_in(schema, value, node)

    if isinstance(node, bool):
        return node
    if "$ref" in node:
        return fits(value, schema["$defs"][node["$ref"].removeprefix("#/$defs/")])
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
        and ("if" not in node or not fits(value, node["if"]) or fits(value, node["then"]))
        and (not isinstance(value, dict) or object_fits(value, node, fits))
        and (not isinstance(value, list) or all(fits(item, node.get("items", True)) for item in value))
        and (not isinstance(value, list | str | dict) or size_fits(value, node))
        and (not isinstance(value, str) or re.search(node.get("pattern", ""), value) is not None)
    )


def size_fits(value: Any, node: dict[str, Any]) -> bool:
    kind = {list: "Items", str: "Length", dict: "Properties"}[type(value)]
    return node.get(f"min{kind}", 0) <= len(value) <= node.get(f"max{kind}", len(value))


def object_fits(value: dict[str, Any], node: dict[str, Any], fits: Callable[[Any, Any], bool]) -> bool:
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
