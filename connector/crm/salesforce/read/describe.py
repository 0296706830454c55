"""Converts sObject Describe responses to object schemas.

Source: REST API Developer Guide, "sObject Describe", "Conditional Request Headers"; SOAP API Developer Guide,
"DescribeSObjectResult".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connector.crm.crm import DescribeResult
from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read.fields import FieldInfo, read_field
from connector.model.crm_schema import FieldKind, FieldSchema, ObjectSchema
from connector.model.http import Http
from connector.model.outcome import Reason, Retry

NOT_MODIFIED = 304
# Objects have this field in orgs with several currencies. Source: Object Reference, "Currency Field Type".
CURRENCY = "CurrencyIsoCode"
KINDS = {
    "string": FieldKind.TEXT,
    "encryptedstring": FieldKind.TEXT,
    "combobox": FieldKind.TEXT,  # a picklist that also accepts any other text
    "textarea": FieldKind.LONG_TEXT,
    "email": FieldKind.EMAIL,
    "phone": FieldKind.PHONE,
    "url": FieldKind.URL,
    "int": FieldKind.NUMBER,
    "long": FieldKind.NUMBER,
    "double": FieldKind.NUMBER,
    "currency": FieldKind.NUMBER,
    "percent": FieldKind.NUMBER,
    "boolean": FieldKind.BOOLEAN,
    "date": FieldKind.DATE,
    "datetime": FieldKind.DATETIME,
    "time": FieldKind.TIME,
    "picklist": FieldKind.CHOICE,
    "multipicklist": FieldKind.CHOICES,
    "reference": FieldKind.REFERENCE,
    "id": FieldKind.ID,
}


class Describer:
    """Describes objects and remembers the responses: unchanged objects still cost a call, but are not transferred again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: dict[str, tuple[str, ObjectSchema]] = {}  # by name: Last-Modified and the schema

    async def describe(self, http: Http, names: Sequence[str]) -> Mapping[str, DescribeResult]:
        """The objects, by requested name; one API call each."""
        if not names:
            return {}
        calls = [self._api.describe(name, since=self._seen[name][0] if name in self._seen else None) for name in names]
        answers = await RestClient(self._api, http).send_all(calls)
        return {name: self._described(name, answer) for name, answer in zip(names, answers, strict=True)}

    def _described(self, name: str, answer: Answer | RequestFailed) -> DescribeResult:
        if isinstance(answer, Answer) and answer.status == NOT_MODIFIED and name in self._seen:
            return self._seen[name][1]
        try:
            answer = responses.raise_if_failed(answer)
        except RequestFailed as failed:
            return None if failed.no_such_path or failed.code == "INVALID_TYPE" else responses.read_failure(failed)
        made = _object(name, answer.body)
        if isinstance(made, ObjectSchema) and "last-modified" in answer.headers:
            self._seen[name] = answer.headers["last-modified"], made
        return made


def _object(name: str, body: Any) -> ObjectSchema | Retry:
    raw = body.get("fields") if isinstance(body, dict) else None
    if not isinstance(raw, list):
        return Retry(reason=Reason.UNEXPECTED_ANSWER, detail="a description without fields")
    fields = [_field(read_field(one)) for one in raw if isinstance(one, dict)]
    own = str(body.get("name") or name)
    return ObjectSchema(
        name=own,
        label=str(body.get("label") or own),
        fields=tuple(_demanded(own, fields)),
        currency_field=next((one.name for one in fields if one.name == CURRENCY), None),
    )


def _field(raw: FieldInfo) -> FieldSchema:
    kind = KINDS.get(raw.type, FieldKind.OTHER)
    return FieldSchema(
        name=raw.name,
        label=raw.label,
        kind=kind,
        length=raw.length if kind not in {FieldKind.REFERENCE, FieldKind.ID} else 0,
        choices=raw.picklist,
        restricted=raw.restricted,
        createable=raw.createable,
        updateable=raw.updateable,
        required=raw.required,
        unique=raw.unique,
        external_id=raw.external_id,
        case_sensitive=raw.case_sensitive if raw.external_id else None,
        id_lookup=raw.id_lookup and kind is not FieldKind.ID,
        money=raw.type == "currency",
        calculated=raw.calculated,
        relationship=raw.relationship,
        parents=raw.parents,
    )


def _demanded(name: str, fields: Sequence[FieldSchema]) -> Sequence[FieldSchema]:
    """If accounts can be persons, Name is not required: a person account has LastName instead."""
    if name != "Account" or not any(one.name == "PersonEmail" for one in fields):
        return fields
    return [replace(one, required=False) if one.name in {"Name", "LastName"} else one for one in fields]
