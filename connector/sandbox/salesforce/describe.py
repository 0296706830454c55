"""The org's self-description: versions, resources, objects and their fields, limits, the user."""

from typing import Any

from connector.sandbox.salesforce import org
from connector.sandbox.salesforce.exchange import DATA
from connector.sandbox.salesforce.fields import Field, Kind, SObject
from connector.sandbox.salesforce.schema import Schema

OLDEST, NEWEST = 31, 68  # API versions that are supported; older ones are retired
BYTES_PER_CHARACTER = 3
ALWAYS_FILLED = frozenset(
    {"OwnerId", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp"}
)
SOAP_TYPES = {
    Kind.ID: "tns:ID",
    Kind.REFERENCE: "tns:ID",
    Kind.BOOLEAN: "xsd:boolean",
    Kind.DATE: "xsd:date",
    Kind.DATETIME: "xsd:dateTime",
    Kind.CURRENCY: "xsd:double",
    Kind.NUMBER: "xsd:double",
}


def versions() -> list[dict[str, str]]:
    """GET /services/data/."""
    return [
        {"label": f"Version {number}", "url": f"{DATA}v{number}.0", "version": f"{number}.0"}
        for number in range(OLDEST, NEWEST + 1)
    ]


def resources(base: str, user: str, url: str) -> dict[str, str]:
    """GET /services/data/vXX.0/."""
    names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs")
    identity = f"{url}/id/{org.ORGANIZATION}/{user}"
    return {**{name: f"{base}/{name}" for name in names}, "identity": identity}


def limits(used: int, most: int) -> dict[str, dict[str, int]]:
    """GET …/limits."""
    return {
        "DailyApiRequests": {"Max": most, "Remaining": max(0, most - used)},
        "DataStorageMB": {"Max": 10_240, "Remaining": 10_000},
        "FileStorageMB": {"Max": 10_240, "Remaining": 10_240},
        "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
    }


def objects(schema: Schema, base: str) -> dict[str, Any]:
    """GET …/sobjects/."""
    return {
        "encoding": "UTF-8",
        "maxBatchSize": 200,
        "sobjects": [_summary(sobject, base) for sobject in schema.objects.values()],
    }


def basic_information(sobject: SObject, base: str) -> dict[str, Any]:
    """GET …/sobjects/{object}/."""
    return {"objectDescribe": _summary(sobject, base), "recentItems": []}


def full_description(sobject: SObject, base: str) -> dict[str, Any]:
    """GET …/sobjects/{object}/describe."""
    return {
        **_summary(sobject, base),
        "fields": [_field(sobject, field) for field in sobject.fields],
        "childRelationships": [],
        "recordTypeInfos": [],
    }


def user_info(user: str, url: str, language: str) -> dict[str, Any]:
    """GET /services/oauth2/userinfo."""
    name = org.USERS[user]["Username"]
    return {
        "sub": f"{url}/id/{org.ORGANIZATION}/{user}",
        "user_id": user,
        "organization_id": org.ORGANIZATION,
        "preferred_username": name,
        "email": name,
        "user_type": "STANDARD",
        "language": language,
        "urls": {"rest": f"{url}{DATA}v{{version}}/", "sobjects": f"{url}{DATA}v{{version}}/sobjects/"},
    }


def _summary(sobject: SObject, base: str) -> dict[str, Any]:
    url = f"{base}/sobjects/{sobject.name}"
    return {
        "name": sobject.name,
        "label": sobject.label,
        "labelPlural": sobject.plural or f"{sobject.label}s",
        "keyPrefix": sobject.prefix,
        "custom": sobject.custom,
        "createable": True,
        "updateable": True,
        "deletable": True,
        "queryable": True,
        "retrieveable": True,
        "replicateable": True,
        "mergeable": sobject.mergeable,
        "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
    }


def _field(sobject: SObject, field: Field) -> dict[str, Any]:
    money = field.kind in {Kind.CURRENCY, Kind.NUMBER}
    long = field.is_long
    return {
        "name": field.name,
        "label": field.label,
        "type": str(field.kind),
        "soapType": SOAP_TYPES.get(field.kind, "xsd:string"),
        "length": field.length,
        "byteLength": field.length * BYTES_PER_CHARACTER,
        "precision": 18 if money else 0,
        "scale": field.scale if money else 0,
        "digits": 0,
        "nillable": not field.required
        and field.kind not in {Kind.BOOLEAN, Kind.ID}
        and field.name not in ALWAYS_FILLED,
        "createable": field.writable,
        "updateable": field.writable and not field.create_only,
        "unique": field.unique,
        "externalId": field.external_id,
        "idLookup": field.id_lookup or field.external_id,
        "caseSensitive": field.case_sensitive,
        "custom": field.custom,
        "calculated": field.formula is not None and field.name != "Name",
        "autoNumber": sobject.custom and field.name == "Name",
        "nameField": field.name == "Name",
        "defaultedOnCreate": field.default is not None,
        "defaultValue": field.default,
        "filterable": not long,
        "sortable": not long,
        "groupable": not long and not money,
        "restrictedPicklist": field.restricted,
        "picklistValues": [
            {"value": value, "label": value, "active": True, "defaultValue": value == field.default, "validFor": None}
            for value in field.values
        ],
        "referenceTo": list(field.targets),
        "relationshipName": field.relationship,
        "polymorphicForeignKey": len(field.targets) > 1,
        "inlineHelpText": None,
    }
