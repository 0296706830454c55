"""The fields of an object as the integration user sees them.

Source: REST API Developer Guide, "sObject Describe".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.delivery.call_failures import SOMETHING_ELSE
from connector.model.outcome import Reason, Retry


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


async def fields_of(rest: RestClient, object_name: str) -> Mapping[str, FieldInfo]:
    """The fields of an object, by name. Raises RequestFailed with the org's message."""
    return _fields(await rest.send(rest.api.describe(object_name)))


def _fields(answer: Answer | RequestFailed) -> Mapping[str, FieldInfo]:
    body = responses.raise_if_failed(answer).body
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
