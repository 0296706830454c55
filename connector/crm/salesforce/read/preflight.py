"""Checks whether an org has the objects and fields that the mappings need. Used by set-up and backfill.

Source: REST API Developer Guide, "sObject Describe".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.delivery.call_failures import SOMETHING_ELSE
from connector.model.operation import ID_FIELD
from connector.model.outcome import Reason, Retry

TEXT_TYPES = frozenset({"string", "email", "phone", "url", "picklist", "id", "textarea"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInfo:
    """One field as the integration user sees it."""

    name: str
    label: str
    type: str
    length: int
    external_id: bool
    id_lookup: bool  # can be used instead of the record's id, as Email can
    unique: bool
    case_sensitive: bool  # values that differ only in letter case are different
    createable: bool
    updateable: bool
    calculated: bool  # a formula or a roll-up summary
    required: bool  # for new records
    picklist: tuple[str, ...]  # active values
    restricted: bool  # only these values are allowed
    relationship: str | None  # the name by which a parent is given
    parents: tuple[str, ...]  # objects that it may reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the mappings need of one object."""

    object: str
    key_fields: tuple[str, ...] = ()  # written by upserts
    written: tuple[str, ...] = ()  # other fields that are written
    read: tuple[str, ...] = ()  # fields that a feed watches


async def fields_of(rest: RestClient, object_name: str) -> Mapping[str, FieldInfo]:
    """The fields of an object, by name. Raises RequestFailed with the org's message."""
    return _fields(await rest.send(rest.api.describe(object_name)))


async def preflight(rest: RestClient, wanted: Sequence[Wanted]) -> list[str]:
    """What the org lacks: one sentence each, with advice. Costs one API call per object."""
    if not wanted:
        return []
    answers = await rest.send_all([rest.api.describe(want.object) for want in wanted])
    findings: list[str] = []
    for want, answer in zip(wanted, answers, strict=True):
        try:
            findings += _compare(want, _fields(answer))
        except RequestFailed as failed:
            why = responses.read_failure(failed)
            findings.append(
                f"{want.object} cannot be described ({why.reason}, {why.detail}): create the object, or give the "
                "integration user access to it"
            )
    return findings


def _compare(want: Wanted, known: Mapping[str, FieldInfo]) -> list[str]:
    by_name = {name.casefold(): info for name, info in known.items()}
    relations = {info.relationship.casefold(): info for info in known.values() if info.relationship}
    findings: list[str] = []
    for name in dict.fromkeys((*want.key_fields, *want.written, *want.read)):
        info = by_name.get(name.casefold()) or relations.get(name.casefold())
        if info is None:
            findings.append(
                f"{want.object}.{name} does not exist, or field-level security hides it: create it, or show it to the "
                "integration user"
            )
            continue
        if name in want.key_fields and name != ID_FIELD:
            findings += _key_findings(want.object, info)
        if name in want.read and info.calculated:
            findings.append(
                f"{want.object}.{name} is calculated, so that its record does not count as changed when its value does: let the "
                "feed watch the fields that it is made of"
            )
        if name in want.written and not (info.createable or info.updateable):
            findings.append(
                f"{want.object}.{name} is read-only: allow the integration user to edit it, or take it out of the mapping"
            )
    return findings


def _key_findings(object_name: str, info: FieldInfo) -> list[str]:
    name = f"{object_name}.{info.name}"
    findings = []
    if not (info.external_id or info.id_lookup):
        findings.append(f"{name} is not an external ID: tick External ID on the field")
    if not info.unique:
        findings.append(
            f"{name} is not unique, so that a repeat could create a second record: tick Unique on the field"
        )
    if info.type not in TEXT_TYPES:
        findings.append(f"{name} is of type {info.type}: a key must be a text field")
    if not info.createable:
        findings.append(f"{name} cannot be set by the integration user: make it editable in field-level security")
    return findings


def _fields(answer: Answer | RequestFailed) -> Mapping[str, FieldInfo]:
    body = responses.checked(answer).body
    fields = body.get("fields") if isinstance(body, dict) else None
    # Every object has an Id, which every user may see.
    if (
        not isinstance(fields, list)
        or not fields
        or not all(isinstance(one, dict) and _is_named(one) for one in fields)
    ):
        what = Retry(reason=Reason.UNEXPECTED_ANSWER, detail="a description without fields", cure=SOMETHING_ELSE)
        raise RequestFailed(outcome=what)
    infos = [read_field(field) for field in fields]
    return {info.name: info for info in infos}


def _is_named(raw: Mapping[str, Any]) -> bool:
    return isinstance(raw.get("name"), str) and isinstance(raw.get("type"), str)


def read_field(raw: Mapping[str, Any]) -> FieldInfo:
    """Parse one entry of `fields` in a description."""
    values, parents = raw.get("picklistValues"), raw.get("referenceTo")
    length = raw.get("length")
    return FieldInfo(
        name=str(raw.get("name")),
        label=str(raw.get("label") or ""),
        type=str(raw.get("type")),
        length=length if isinstance(length, int) else 0,
        external_id=raw.get("externalId") is True,
        id_lookup=raw.get("idLookup") is True,
        unique=raw.get("unique") is True,
        case_sensitive=raw.get("caseSensitive") is True,
        createable=raw.get("createable") is True,
        updateable=raw.get("updateable") is True,
        calculated=raw.get("calculated") is True,
        required=raw.get("nillable") is False
        and raw.get("defaultedOnCreate") is False
        and raw.get("createable") is True,
        picklist=tuple(
            str(value.get("value"))
            for value in (values if isinstance(values, list) else ())
            if isinstance(value, dict) and value.get("active", True)
        ),
        restricted=raw.get("restrictedPicklist") is True,
        relationship=raw.get("relationshipName") or None,
        parents=tuple(str(name) for name in parents) if isinstance(parents, list) else (),
    )
