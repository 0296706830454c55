"""Keys may not hold every character in every CRM: found when mappings are compiled, and in each key that is made."""

from typing import Any

from connector.config.yaml_document import Where
from connector.mapping.compile.context import Findings
from connector.mapping.language.field_forms import Transform
from connector.mapping.language.paths import BadPath, Get, Reading, parse_path
from connector.mapping.language.templates import parse_template
from connector.mapping.values.transforms import TransformFailed
from connector.mapping.values.values import text
from connector.model.crm_traits import CrmTraits

NUMBER = "msisdn"  # written with a plus sign, unless a step changes it
DIGITS = "{from: msisdn, phone: digits}"
CODE = "key-character"


def check_key(value: Any, where: Where, findings: Findings, sink: str) -> None:
    """Report a key that would always hold a character that its CRM refuses."""
    refused = findings.context.traits_of(sink).refused_in_keys
    found = sorted(refused & _certain_characters(value)) if refused else []
    if not found:
        return
    cure = f"write {DIGITS}" if found == ["+"] else f"leave out {_listed(found)}"
    findings.add(where, CODE, f"a key of {sink} may not hold {_listed(found)}", cure, key=True)


def refusing_characters(get: Get, traits: CrmTraits) -> Get:
    """The key, changed to raise TransformFailed if it holds a character that the CRM refuses."""
    refused = traits.refused_in_keys
    if not refused:
        return get

    def key(reading: Reading) -> Any:
        value = get(reading)
        if value is not None and not refused.isdisjoint(written := text(value)):
            found = _listed(sorted(refused.intersection(written)))
            raise TransformFailed(f"this CRM takes no key with {found}: for a phone number, write {DIGITS}")
        return value

    return key


def _certain_characters(value: Any) -> set[str]:
    """Characters that every key of this form holds."""
    try:
        if isinstance(value, Transform):
            paths = [value.source] if isinstance(value.source, str) else value.source
            changed = not {"from", "required", "truncate", "prefix", "default", "text"}.issuperset(value.order)
            roots = {parse_path(path).root for path in paths}
            signed = value.phone == "e164" or (roots == {NUMBER} and not changed)
            return {*(value.prefix or ""), *(("+",) if signed else ())}
        if not isinstance(value, str):
            return set(text(value)) if value is not None else set()
        template = parse_template(value)
    except BadPath:
        return set()
    plain = {letter for part in template.parts if isinstance(part, str) for letter in part}
    return plain | ({"+"} if any(path.root == NUMBER for path in template.paths) else set())


def _listed(found: list[str]) -> str:
    return " ".join(f"`{one}`" for one in found)
