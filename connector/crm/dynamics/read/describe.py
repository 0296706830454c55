"""Converts table definitions to object schemas: one API call for up to ten tables.

Source: "Query table definitions using the Web API": what belongs to one type of column needs a cast to that type.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from connector.crm.crm import DescribeResult
from connector.crm.dynamics.client import responses
from connector.crm.dynamics.client.api import BadName, Operation, identifier, literal
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.crm.dynamics.client.tables import KEY, TABLE
from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.model.crm_schema import FieldKind, FieldSchema, ObjectSchema
from connector.model.http import Http
from connector.model.outcome import Retry

CRM = "Microsoft.Dynamics.CRM."
COMMON = "LogicalName,DisplayName,AttributeType,RequiredLevel,IsValidForCreate,IsValidForUpdate,IsValidForRead"
# The types that have more than the common properties, and which ones these are.
CASTS = {
    "String": "MaxLength,FormatName",
    "Memo": "MaxLength",
    "DateTime": "Format",
    "Lookup": "Targets",
    "Picklist": "LogicalName",
    "State": "LogicalName",
    "Status": "LogicalName",
    "MultiSelectPicklist": "LogicalName",
}
WITH_OPTIONS = frozenset({"Picklist", "State", "Status", "MultiSelectPicklist"})
KINDS = {
    "String": FieldKind.TEXT,
    "Memo": FieldKind.LONG_TEXT,
    "Integer": FieldKind.NUMBER,
    "BigInt": FieldKind.NUMBER,
    "Decimal": FieldKind.NUMBER,
    "Double": FieldKind.NUMBER,
    "Money": FieldKind.NUMBER,
    "Boolean": FieldKind.BOOLEAN,
    "DateTime": FieldKind.DATETIME,
    "Picklist": FieldKind.CHOICE,
    "State": FieldKind.CHOICE,
    "Status": FieldKind.CHOICE,
    "Lookup": FieldKind.REFERENCE,
    "Customer": FieldKind.REFERENCE,
    "Owner": FieldKind.REFERENCE,
}
FORMATS = {"Email": FieldKind.EMAIL, "Phone": FieldKind.PHONE, "Url": FieldKind.URL, "TextArea": FieldKind.LONG_TEXT}
OWN_DEFAULT = frozenset({"Owner", "State", "Status", "Uniqueidentifier"})  # Dataverse fills these itself
TABLES_A_BATCH = 10
STRONG = {"Consistency": "Strong"}


class Describer:
    """Describes tables."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def describe(self, http: Http, names: Sequence[str]) -> Mapping[str, DescribeResult]:
        """The tables, by requested name."""
        web = WebApi(http, self._gate)
        found: dict[str, DescribeResult] = {}
        for start in range(0, len(names), TABLES_A_BATCH):
            some = names[start : start + TABLES_A_BATCH]
            try:
                answers = await web.batch([one for name in some for one in _operations(name)])
            except RequestFailed as failed:
                found |= dict.fromkeys(some, _retry(failed))
                continue
            size = len(answers) // len(some)
            for place, name in enumerate(some):
                found[name] = _described(name, answers[place * size : (place + 1) * size])
        return found


def _operations(name: str) -> list[Operation]:
    try:
        logical = identifier(name)
    except BadName:
        logical = "_"  # no table has this name
    here = f"EntityDefinitions(LogicalName={quote(literal(logical), safe=chr(39))})"
    operations = [
        Operation(
            method="GET",
            target=f"{here}?$select={TABLE}&$expand=Attributes($select={COMMON}),Keys($select={KEY})",
            headers=STRONG,
        )
    ]
    for kind, properties in CASTS.items():
        expand = "&$expand=OptionSet($select=Options)" if kind in WITH_OPTIONS else ""
        select = "LogicalName" if properties == "LogicalName" else f"LogicalName,{properties}"
        target = f"{here}/Attributes/{CRM}{kind}AttributeMetadata?$select={select}{expand}"
        operations.append(Operation(method="GET", target=target, headers=STRONG))
    return operations


def _retry(failed: RequestFailed) -> Retry:
    outcome = failed.outcome
    return (
        outcome if isinstance(outcome, Retry) else Retry(reason=outcome.reason, detail=outcome.detail, code=failed.code)
    )


def _described(name: str, answers: Sequence[Answer | RequestFailed]) -> DescribeResult:
    table, *casts = answers
    if isinstance(table, RequestFailed):
        return None if table.status == responses.NOT_FOUND else _retry(table)
    more: dict[str, Mapping[str, Any]] = {}
    for answer in casts:
        if isinstance(answer, RequestFailed):
            if answer.status == responses.NOT_FOUND:
                continue  # an org without this type of column
            return _retry(answer)
        more |= {str(one.get("LogicalName")): one for one in responses.rows(answer)}
    body = table.body if isinstance(table.body, dict) else {}
    attributes = body.get("Attributes")
    if not isinstance(attributes, list):
        return responses.unexpected_answer("a definition without columns")
    unique = {
        key["KeyAttributes"][0]
        for key in body.get("Keys", ())
        if len(key.get("KeyAttributes", ())) == 1 and key.get("EntityKeyIndexStatus") == "Active"
    }
    own = str(body.get("PrimaryIdAttribute"))
    logical = str(body.get("LogicalName") or name)
    fields = [
        _field({**one, **more.get(str(one.get("LogicalName")), {})}, own, unique)
        for one in attributes
        if isinstance(one, dict) and one.get("IsValidForRead", True)
    ]
    return ObjectSchema(name=logical, label=label(body.get("DisplayName")) or logical, fields=tuple(fields))


def _field(raw: Mapping[str, Any], own_id: str, unique: set[str]) -> FieldSchema:
    name, kind = str(raw.get("LogicalName")), str(raw.get("AttributeType"))
    shown = _kind(raw, kind)
    is_id = name == own_id
    keyed = is_id or name in unique
    required = (raw.get("RequiredLevel") or {}).get("Value") == "SystemRequired" and kind not in OWN_DEFAULT
    reference = shown is FieldKind.REFERENCE
    return FieldSchema(
        name=name,
        label=label(raw.get("DisplayName")),
        kind=FieldKind.ID if is_id else shown,
        length=raw["MaxLength"] if isinstance(raw.get("MaxLength"), int) else 0,
        choices=_options(raw.get("OptionSet")),
        restricted=shown in {FieldKind.CHOICE, FieldKind.CHOICES},
        createable=is_id or raw.get("IsValidForCreate") is True,
        updateable=raw.get("IsValidForUpdate") is True,
        required=required,
        unique=keyed,
        external_id=keyed,
        case_sensitive=is_id if keyed else None,
        money=kind == "Money",
        relationship=name if reference else None,
        parents=tuple(str(one) for one in raw.get("Targets") or ()) if reference else (),
    )


def _kind(raw: Mapping[str, Any], kind: str) -> FieldKind:
    if kind == "String":
        return FORMATS.get(str((raw.get("FormatName") or {}).get("Value")), FieldKind.TEXT)
    if kind == "DateTime" and raw.get("Format") == "DateOnly":
        return FieldKind.DATE
    if str(raw.get("@odata.type", "")).endswith("MultiSelectPicklistAttributeMetadata"):
        return FieldKind.CHOICES
    return KINDS.get(kind, FieldKind.OTHER)


def _options(raw: Any) -> tuple[str, ...]:
    options = raw.get("Options") if isinstance(raw, dict) else None
    return tuple(str(one.get("Value")) for one in options or () if isinstance(one, dict))


def label(raw: Any) -> str:
    """The text of a label in the user's language."""
    text = (raw.get("UserLocalizedLabel") or {}).get("Label") if isinstance(raw, dict) else None
    return str(text or "")
