"""The JSON Schema of mapping files, made from the models that read them, for completion and checks in editors."""

from typing import Any

from connector.config.validation import schema
from connector.mapping.language.paths import CONSENT, EVENT_FIELDS, OPEN_FIELDS
from connector.mapping.language.rules import Described, MappingFile
from connector.mapping.language.test_cases import CaseEvent

WANTED = {"$ref": "#/$defs/Wanted"}
BELOW = r'^(properties|lookup|record)(\.[^."\[\]]+|\["[^"\]]*"\])(\.[^."\[\]]+|\["[^"\]]*"\]|\[[0-9]{1,4}\])*$'
CONSENT_TEXT = {
    "remaining": "How many subscriptions of the person still run behind this event.",
    "verdict": "What the event means for consent, all rules considered.",
    "scope": "How far its decision reaches: subscription, short_number, provider or everything.",
}


def mapping_schema() -> dict[str, Any]:
    """The schema (draft 7), which lists the event's fields by name wherever a path is allowed."""
    made = schema(MappingFile, title="Mapping file of the connector")
    definitions = made["$defs"]
    described = schema(Described, title="Described")
    definitions["Described"] = {word: part for word, part in described.items() if word not in {"$schema", "$defs"}}
    items = definitions["Rule"]["properties"]["do"]["items"]
    items[next(word for word in ("oneOf", "anyOf") if word in items)].append({"$ref": "#/$defs/Described"})
    when = definitions["When"]
    definitions["Wanted"] = when.pop("additionalProperties")
    when["properties"] |= {name: {**_described(text), "allOf": [WANTED]} for name, text in _paths().items()}
    when["patternProperties"] = {BELOW: WANTED}
    when["additionalProperties"] = False
    source = definitions["Transform"]["properties"]["from"]
    definitions["Path"] = {"anyOf": [{"enum": list(_paths())}, {"type": "string", "pattern": BELOW}]}
    path = {"$ref": "#/$defs/Path"}
    source["anyOf"] = [path, {"type": "array", "items": path, "minItems": 1}]
    return made


def _paths() -> dict[str, str]:
    """The paths that every event has, and what each means."""
    described = CaseEvent.model_fields
    plain = {
        name: (described[name].description or "") if name in described else ""
        for name in EVENT_FIELDS
        if name not in OPEN_FIELDS
    }
    return plain | {f"consent.{name}": CONSENT_TEXT[name] for name in CONSENT}


def _described(text: str) -> dict[str, str]:
    return {"description": text} if text else {}
