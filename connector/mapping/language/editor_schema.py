"""The JSON Schema of mapping files with a CRM's own objects and fields, for completion and checks in editors."""

from collections.abc import Iterable, Sequence
from typing import Any

from connector.mapping.language.json_schema import mapping_schema
from connector.model.crm_schema import PICKED, TEXTS, CrmSchema, FieldSchema, ObjectSchema

GROUPS = {"key": "keyed", "set": "updateable", "create": "createable"}


def own_schema(schemas: Sequence[CrmSchema]) -> dict[str, Any]:
    """The schema (draft 7) with the names of these CRMs. It does not restrict objects that none of them has."""
    made = mapping_schema()
    definitions = made["$defs"]
    objects = [one for schema in schemas for one in schema.objects]
    for one in objects:
        for group, right in GROUPS.items():
            definitions[_name(one, group)] = _fields(one, right, objects)
        definitions[_name(one, "watched")] = {"enum": [field.name for field in one.fields]}
    for kind, word in (("Upsert", "upsert"), ("Update", "update")):
        definition = definitions[kind]
        definition["properties"][word] = _completed(definition["properties"][word], objects)
        definition["allOf"] = [_when(word, one, _groups(definition, one)) for one in objects]
    feed = definitions["FeedSettings"]
    feed["properties"]["object"] = _completed(feed["properties"]["object"], objects)
    feed["allOf"] = [_when("object", one, {"fields": {"items": _reference(one, "watched")}}) for one in objects]
    return made


def _name(one: ObjectSchema, group: str) -> str:
    return f"{one.name}.{group}"


def _reference(one: ObjectSchema, group: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{_name(one, group)}"}


def _completed(written: dict[str, Any], objects: Sequence[ObjectSchema]) -> dict[str, Any]:
    """The schema of an object's name: it completes the known names, and accepts others."""
    rest = {word: value for word, value in written.items() if word not in {"description", "title"}}
    return {**written, "anyOf": [{"enum": [one.name for one in objects]}, rest]}


def _when(word: str, one: ObjectSchema, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "if": {"properties": {word: {"const": one.name}}, "required": [word]},
        "then": {"properties": properties},
    }


def _groups(definition: dict[str, Any], one: ObjectSchema) -> dict[str, Any]:
    return {group: _reference(one, group) for group in GROUPS if group in definition["properties"]}


def _fields(one: ObjectSchema, right: str, objects: Sequence[ObjectSchema]) -> dict[str, Any]:
    """The fields allowed in one place, and no others."""
    properties: dict[str, Any] = {}
    for field in one.fields:
        if not getattr(field, right):
            continue
        properties[field.name] = _field(field)
        if field.relationship and right != "keyed":
            properties[field.relationship] = _parent(field, objects)
    return {"properties": properties, "additionalProperties": False}


def _field(field: FieldSchema) -> dict[str, Any]:
    made: dict[str, Any] = {"description": _described(field)}
    if field.kind in PICKED and field.choices:
        made["anyOf"] = [{"enum": list(field.choices)}, {}]
    return made


def _described(field: FieldSchema) -> str:
    about: list[str] = [str(field.kind).replace("_", " ")]
    if field.length and field.kind in TEXTS:
        about.append(f"at most {field.length} characters")
    about += [word for mark, word in (("external_id", "external ID"), ("unique", "unique")) if getattr(field, mark)]
    if field.required:
        about.append("needed by new records")
    return f"{field.label or field.name}: {', '.join(about)}"


def _parent(field: FieldSchema, objects: Iterable[ObjectSchema]) -> dict[str, Any]:
    """The schema of a parent that is named by one of its keys."""
    keys = [key for one in objects if one.name in field.parents for key in one.fields if key.keyed]
    properties: dict[str, Any] = {key.name: {"description": _described(key)} for key in keys}
    if len(field.parents) > 1:
        properties["type"] = {"enum": list(field.parents)}
    return {"description": f"The parent, by its key: {' or '.join(field.parents)}", "properties": properties}
