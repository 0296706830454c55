"""Finds values for phone, e-mail and Id fields of the CRM that can never be one, as far as a static check can tell."""

import re
from collections.abc import Iterator, Mapping

from connector.config.yaml_document import Where
from connector.mapping.checks.rules import writes_of
from connector.mapping.compile.context import Findings
from connector.mapping.language.paths import BadPath
from connector.mapping.language.rules import MappingFile
from connector.mapping.language.templates import Part, parse_template
from connector.model.crm_schema import CrmSchema, FieldKind, FieldSchema

# Fields of an event that hold words, times or amounts, and never a number, an address or an Id.
NEITHER = frozenset(
    {
        "verdict",
        "result",
        "final",
        "price",
        "currency",
        "occurred_at",
        "received_at",
        "service_command",
        "known_to_provider",
        "shape",
        "provider",
    }
)
NEVER = {
    FieldKind.PHONE: NEITHER | {"keyword", "action", "status", "key"},
    FieldKind.EMAIL: NEITHER | {"keyword", "action", "status", "key", "msisdn", "short_number"},
    FieldKind.ID: NEITHER | {"keyword", "action", "msisdn", "short_number", "text", "key"},
}
NEVER[FieldKind.REFERENCE] = NEVER[FieldKind.ID]
BESIDE_A_NUMBER = re.compile(r"[\d\s+()./#*,;-]*(?:ext\.?|x)?[\d\s]*", re.IGNORECASE)
BESIDE_AN_ADDRESS = re.compile(r"[^\s,;:<>()\[\]$]*")
BESIDE_AN_ID = re.compile(r"[A-Za-z0-9-]*")
ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
BESIDE = {FieldKind.PHONE: BESIDE_A_NUMBER, FieldKind.EMAIL: BESIDE_AN_ADDRESS, FieldKind.ID: BESIDE_AN_ID}
BESIDE[FieldKind.REFERENCE] = BESIDE_AN_ID
CALLED = {FieldKind.PHONE: "a phone number", FieldKind.EMAIL: "an e-mail address", FieldKind.ID: "an Id"}
CALLED[FieldKind.REFERENCE] = "the Id of a record"


def check_addresses(model: MappingFile, findings: Findings, schemas: Mapping[str, CrmSchema]) -> None:
    """Check the fields of one file against the schemas of the CRMs that it writes to. A CRM without a schema is skipped."""
    for item, where in writes_of(model):
        schema = schemas.get(findings.context.crm_of(item.crm))
        known = schema.object(item.object_name) if schema else None
        if known is None:
            continue
        for group, fields in (("set", item.set), ("create", item.create)):
            for name, value in fields.items():
                field = known.field(name)
                if field and field.kind in NEVER and isinstance(value, str):
                    _check(value, field, f"{known.name}.{field.name}", (*where, group, name), findings)


def _check(written: str, field: FieldSchema, name: str, where: Where, findings: Findings) -> None:
    for why in _faults(written, field.kind):
        findings.add(where, "wrong-kind", f"`{name}` takes {CALLED[field.kind]}, and {why}", _cure(field.kind))
        return


def _faults(written: str, kind: FieldKind) -> Iterator[str]:
    try:
        parts = parse_template(written).parts
    except BadPath:
        return
    literals = "".join(part for part in parts if isinstance(part, str))
    roots = [part.path.root for part in parts if isinstance(part, Part)]
    if not BESIDE[kind].fullmatch(literals):
        yield f"`{literals.strip()}` cannot be a part of one"
    for root in roots:
        if root in NEVER[kind]:
            yield f"`{root}` is none"
    if not roots and literals and not _complete(literals, kind):
        yield f"`{literals}` is none"


def _complete(literal: str, kind: FieldKind) -> bool:
    if kind is FieldKind.PHONE:
        return any(character.isdigit() for character in literal)
    if kind is FieldKind.EMAIL:
        return ADDRESS.fullmatch(literal) is not None
    return True  # Only the CRM knows the length of an Id.


def _cure(kind: FieldKind) -> str:
    if kind is FieldKind.PHONE:
        return 'write "{msisdn}" for the number of the event'
    return (
        "write the path of a value that is one"
        if kind is FieldKind.EMAIL
        else "name the record by its key: {Key__c: …}"
    )
