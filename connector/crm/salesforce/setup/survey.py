"""Compares the package with the org: what exists, and what a deployment would add or change. Changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connector.crm.salesforce.client.responses import RequestFailed, read_failure
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read.fields import FieldInfo, fields_of
from connector.crm.salesforce.setup.package import FieldPart, Package, PermissionSetPart, Rights
from connector.crm.salesforce.setup.permissions import Granted, granted, refused

# The Metadata API and describe have different words for the same type.
DESCRIBED = {
    "AutoNumber": "string",
    "Checkbox": "boolean",
    "Currency": "currency",
    "Date": "date",
    "DateTime": "datetime",
    "Email": "email",
    "LongTextArea": "textarea",
    "Lookup": "reference",
    "MasterDetail": "reference",
    "Number": "double",
    "Phone": "phone",
    "Picklist": "picklist",
    "Text": "string",
    "TextArea": "textarea",
    "Url": "url",
}


class PartState(StrEnum):
    """The state of a part of the package in the org."""

    THERE = "there"
    HIDDEN = "hidden"  # exists, but the signed-in user may not see it
    ADD = "add"
    CHANGE = "change"
    IN_THE_WAY = "in_the_way"  # another part has that name, and only a person may replace it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part and its state."""

    name: str  # Contact.SMS_Key__c
    kind: str  # object, field, permission set
    standing: PartState
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All parts, and what to deploy: only what the org lacks, so that changes by people are kept."""

    findings: tuple[Finding, ...]
    wanted: Package
    permission_sets: Mapping[str, Granted]  # by name, as they are now

    @property
    def in_the_way(self) -> tuple[Finding, ...]:
        """Parts that a person must remove first."""
        return tuple(one for one in self.findings if one.standing is PartState.IN_THE_WAY)

    @property
    def to_do(self) -> tuple[Finding, ...]:
        """Parts that a deployment adds or changes."""
        return tuple(one for one in self.findings if one.standing in {PartState.ADD, PartState.CHANGE})


async def survey(rest: RestClient, package: Package, user: str) -> Survey:
    """Compare the package with the org; one API call per object and permission set. Raises ConnectorError."""
    described: dict[str, Mapping[str, FieldInfo] | None] = {}
    for name in sorted({*package.objects, *(one.shown_on for one in package.fields)}):
        described[name] = await _described(rest, name)
    sets: dict[str, Granted] = {}
    for part in package.permission_sets:
        sets[part.name] = await granted(rest, part.name, user)
    findings = tuple(_findings(package, described, sets))
    lacking = {one.name for one in findings if one.standing in {PartState.ADD, PartState.CHANGE}}
    return Survey(findings=findings, wanted=_grown(package.only(lacking), described), permission_sets=sets)


async def _described(rest: RestClient, name: str) -> Mapping[str, FieldInfo] | None:
    """The fields of an object; None if it does not exist or the user may not see it."""
    try:
        known = await fields_of(rest, name)
    except RequestFailed as failed:
        if read_failure(failed).detail.startswith(("NOT_FOUND", "INVALID_TYPE")):
            return None
        raise refused(failed) from None
    return {field.casefold(): info for field, info in known.items()}


def _findings(
    package: Package, described: Mapping[str, Mapping[str, FieldInfo] | None], sets: Mapping[str, Granted]
) -> Iterator[Finding]:
    seen_by_others = {field for one in sets.values() for field in one.fields}
    objects_of_others = {name for one in sets.values() for name in one.objects}
    for name in package.objects:
        standing = PartState.THERE if described[name] is not None else PartState.ADD
        if standing is PartState.ADD and name in objects_of_others:
            standing = PartState.HIDDEN
        yield Finding(name=name, kind="object", standing=standing)
    for field in package.fields:
        info = (described[field.shown_on] or {}).get(field.name.casefold())
        if info is None:
            hidden = field.shown_as in seen_by_others
            yield Finding(name=field.full_name, kind="field", standing=PartState.HIDDEN if hidden else PartState.ADD)
        else:
            yield _compared(field, info)
    for part in package.permission_sets:
        yield _allowed(part, sets[part.name])


def _compared(field: FieldPart, info: FieldInfo) -> Finding:
    wanted = DESCRIBED.get(field.type, field.type.lower())
    if info.type != wanted:
        return Finding(
            name=field.full_name,
            kind="field",
            standing=PartState.IN_THE_WAY,
            detail=f"is of type {info.type}, and {wanted} is needed: rename or remove it in Setup, Object Manager",
        )
    lacks = []
    if field.external_id and not info.external_id:
        lacks.append("becomes an external ID")
    if field.unique and not info.unique:
        lacks.append("becomes unique")
    if field.case_sensitive and not info.case_sensitive:
        lacks.append("becomes case sensitive")
    if field.length is not None and info.length < field.length:
        lacks.append(f"grows from {info.length} to {field.length} characters")
    return Finding(
        name=field.full_name,
        kind="field",
        standing=PartState.CHANGE if lacks else PartState.THERE,
        detail=", ".join(lacks),
    )


def _allowed(part: PermissionSetPart, now: Granted) -> Finding:
    if now.id is None:
        return Finding(name=part.name, kind="permission set", standing=PartState.ADD)
    lacks: Sequence[str] = [
        *(name for name, edit in part.fields.items() if name not in now.fields or (edit and not now.fields[name])),
        *(name for name, rights in part.objects.items() if not _covers(now.objects.get(name), rights)),
    ]
    return Finding(
        name=part.name,
        kind="permission set",
        standing=PartState.CHANGE if lacks else PartState.THERE,
        detail=f"allows {', '.join(lacks)} too" if lacks else "",
    )


def _covers(now: Rights | None, wanted: Rights) -> bool:
    return now is not None and all(
        has or not wants
        for has, wants in ((now.read, wanted.read), (now.create, wanted.create), (now.edit, wanted.edit))
    )


def _grown(package: Package, described: Mapping[str, Mapping[str, FieldInfo] | None]) -> Package:
    """The package, with no field shorter than in the org."""
    return package.with_fields(
        tuple(
            one.as_long_as(info.length) if (info := (described[one.shown_on] or {}).get(one.name.casefold())) else one
            for one in package.fields
        )
    )
