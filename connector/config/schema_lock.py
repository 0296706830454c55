"""The schema lock: a CRM's description of its objects, in a file kept with the mappings. No secrets, no times.

The same schema is always written the same way, each field on its own line. So a pull without news changes no byte,
and a version control system shows a change as the field that changed.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from connector.model.crm_schema import CrmSchema, FieldKind, FieldSchema, ObjectSchema
from connector.model.problem import Position, Problem, ProblemsFound

VERSION = 1
ENDING = ".lock.json"
NOTE = "Written by `connector schema pull`. Commit it with the mappings, and do not edit it."
CURE = "write it again with `connector schema pull`, or take the last good one from your version control"
MAX_BYTES = 16 * 1024 * 1024  # a hundred objects of a thousand fields each
DEFAULTS = {one.name: one.default for one in fields(FieldSchema)}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Field(_Strict):
    label: str = ""
    kind: FieldKind = FieldKind.TEXT
    length: int = 0
    choices: tuple[str, ...] = ()
    restricted: bool = False
    createable: bool = False
    updateable: bool = False
    required: bool = False
    unique: bool = False
    external_id: bool = False
    case_sensitive: bool | None = None
    id_lookup: bool = False
    money: bool = False
    calculated: bool = False
    relationship: str | None = None
    parents: tuple[str, ...] = ()


class _Object(_Strict):
    label: str = ""
    currency_field: str | None = None
    fields: dict[str, _Field]


class _Lock(_Strict):
    version: Literal[1]
    note: str = ""
    crm: str
    objects: dict[str, _Object]


def lock_path(directory: Path, crm: str) -> Path:
    """The path of a CRM's lock file."""
    return directory / f"{crm}{ENDING}"


def lock_text(schema: CrmSchema) -> str:
    """The text of the lock file: objects and fields sorted by name; default values are left out."""
    objects = sorted(schema.objects, key=lambda one: one.name)
    parts = [_object_text(one) for one in objects]
    head = f'{{\n  "version": {VERSION},\n  "note": {_json(NOTE)},\n  "crm": {_json(schema.crm)},\n  "objects": {{'
    return head + ("\n" + ",\n".join(parts) + "\n  " if parts else "") + "}\n}\n"


def _object_text(schema: ObjectSchema) -> str:
    lines = [
        f"        {_json(field.name)}: {_json(_described(field))}"
        for field in sorted(schema.fields, key=lambda it: it.name)
    ]
    inside = "{\n" + ",\n".join(lines) + "\n      }" if lines else "{}"
    currency = f'      "currency_field": {_json(schema.currency_field)},\n' if schema.currency_field else ""
    return f'    {_json(schema.name)}: {{\n      "label": {_json(schema.label)},\n{currency}      "fields": {inside}\n    }}'


def _described(field: FieldSchema) -> dict[str, Any]:
    values = {name: getattr(field, name) for name in DEFAULTS if name != "name"}
    return {name: value for name, value in values.items() if name == "kind" or value != DEFAULTS[name]}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_lock(path: Path, crm: str, file: str | None = None) -> CrmSchema | None:
    """The lock of a CRM; None if there is none. Raises ProblemsFound for an unusable one, in which `file` is its name."""
    name = file or path.name
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(name, f"this cannot be read: {error.strerror}", "let the service's user read it") from None
    return parse_lock(raw, crm, name)


def parse_lock(raw: bytes, crm: str, file: str) -> CrmSchema:
    """The same from the text of a lock file. Raises ProblemsFound."""
    if len(raw) > MAX_BYTES:
        raise _unusable(file, f"this is larger than {MAX_BYTES // 1024 // 1024} MiB, and no schema lock", CURE)
    try:
        document = json.loads(raw)
    except json.JSONDecodeError as error:
        place = Position(error.lineno, error.colno)
        raise _unusable(file, f"this is not a schema lock: {error.msg}", CURE, place) from None
    except (UnicodeDecodeError, RecursionError):
        raise _unusable(file, "this is not a schema lock", CURE) from None
    if isinstance(document, Mapping) and document.get("version", VERSION) != VERSION:
        raise _unusable(file, "this was written by another version of the connector", CURE)
    try:
        lock = _Lock.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        at = ".".join(str(step) for step in first["loc"])
        raise _unusable(file, f"this is not a schema lock: {at or 'the whole'}: {first['msg']}", CURE) from None
    if lock.crm != crm:
        raise _unusable(file, f"this is the schema of `{lock.crm}`, and not of `{crm}`", CURE)
    return CrmSchema(crm=lock.crm, objects=tuple(_object(name, one) for name, one in lock.objects.items()))


def _object(name: str, raw: _Object) -> ObjectSchema:
    fields = tuple(FieldSchema(name=field, **dict(about)) for field, about in raw.fields.items())
    return ObjectSchema(name=name, label=raw.label, fields=fields, currency_field=raw.currency_field)


def _unusable(file: str, message: str, hint: str, position: Position | None = None) -> ProblemsFound:
    return ProblemsFound([Problem(file=file, position=position, code="bad-lock", message=message, hint=hint)])
