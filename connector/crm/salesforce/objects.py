"""An org's objects in the words of the house: what sObject Describe tells, as schemas.

Source: REST API Developer Guide, "sObject Describe", "Conditional Request Headers"; SOAP API Developer Guide, "DescribeSObjectResult".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connector.crm.crm import Told
from connector.crm.salesforce import decode
from connector.crm.salesforce.decode import Failed
from connector.crm.salesforce.describe import FieldInfo, read_field
from connector.crm.salesforce.encode import Api
from connector.model.exchange import Exchange, HttpReply, Reply
from connector.model.outcome import Reason, Retry
from connector.model.schema import FieldKind, FieldSchema, ObjectSchema

NOT_MODIFIED = 304
# Objects have it in orgs with several currencies. Source: Object Reference, "Currency Field Type".
CURRENCY = "CurrencyIsoCode"
KINDS = {
    "string": FieldKind.TEXT,
    "encryptedstring": FieldKind.TEXT,
    "combobox": FieldKind.TEXT,  # a picklist that also takes any other text
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
    """Describes objects; remembers what it was told, so that asking again costs a call, but no answer where nothing has changed."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: dict[str, tuple[str, ObjectSchema]] = {}  # by name: Last-Modified, and what was told then

    def describe(self, names: Sequence[str]) -> Exchange[Mapping[str, Told]]:
        """The objects by the names that were asked for; one API call each."""
        if not names:
            return {}
        calls = [self._api.describe(name, since=self._seen[name][0] if name in self._seen else None) for name in names]
        replies = yield calls
        return {name: self._told(name, reply) for name, reply in zip(names, replies, strict=True)}

    def _told(self, name: str, reply: Reply) -> Told:
        if isinstance(reply, HttpReply) and reply.status == NOT_MODIFIED and name in self._seen:
            return self._seen[name][1]
        whole = decode.answer(reply)
        failed = whole if isinstance(whole, Failed) else None
        if not isinstance(whole, Failed) and whole.status not in decode.OK:
            failed = decode.failed(whole)
        if failed is not None:
            return None if failed.no_such_path or failed.code == "INVALID_TYPE" else decode.read_failure(failed)
        made = _object(name, whole.body if not isinstance(whole, Failed) else None)
        if isinstance(made, ObjectSchema) and isinstance(reply, HttpReply) and "last-modified" in reply.headers:
            self._seen[name] = reply.headers["last-modified"], made
        return made


def _object(name: str, body: Any) -> ObjectSchema | Retry:
    told = body.get("fields") if isinstance(body, dict) else None
    if not isinstance(told, list):
        return Retry(reason=Reason.UNEXPECTED_ANSWER, detail="a description without fields")
    fields = [_field(read_field(one)) for one in told if isinstance(one, dict)]
    own = str(body.get("name") or name)
    return ObjectSchema(
        name=own,
        label=str(body.get("label") or own),
        fields=tuple(_demanded(own, fields)),
        currency_field=next((one.name for one in fields if one.name == CURRENCY), None),
    )


def _field(told: FieldInfo) -> FieldSchema:
    kind = KINDS.get(told.type, FieldKind.OTHER)
    return FieldSchema(
        name=told.name,
        label=told.label,
        kind=kind,
        length=told.length if kind not in {FieldKind.REFERENCE, FieldKind.ID} else 0,
        choices=told.picklist,
        restricted=told.restricted,
        createable=told.createable,
        updateable=told.updateable,
        required=told.required,
        unique=told.unique,
        external_id=told.external_id,
        case_sensitive=told.case_sensitive if told.external_id else None,
        id_lookup=told.id_lookup and kind is not FieldKind.ID,
        money=told.type == "currency",
        relationship=told.relationship,
        parents=told.parents,
    )


def _demanded(name: str, fields: Sequence[FieldSchema]) -> Sequence[FieldSchema]:
    """Where accounts can be persons, one without a Name is none that lacks it: a person brings LastName instead."""
    if name != "Account" or not any(one.name == "PersonEmail" for one in fields):
        return fields
    return [replace(one, required=False) if one.name in {"Name", "LastName"} else one for one in fields]
