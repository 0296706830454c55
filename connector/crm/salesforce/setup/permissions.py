"""Permission sets of an org: what they allow, who has them, and assigning them.

Source: Object Reference, "PermissionSet", "FieldPermissions", "ObjectPermissions", "PermissionSetAssignment"; REST API
Developer Guide, "Resources by Version", whose response names the user.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import RECORD_ID, identifier, literal
from connector.crm.salesforce.client.responses import RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.setup.package import Rights
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import HttpCall
from connector.model.outcome import Reason

QUERIES = (
    "SELECT Id FROM PermissionSet WHERE Name = {name}",
    "SELECT Field, PermissionsRead, PermissionsEdit FROM FieldPermissions WHERE Parent.Name = {name}",
    "SELECT SobjectType, PermissionsRead, PermissionsCreate, PermissionsEdit FROM ObjectPermissions WHERE Parent.Name = {name}",
    "SELECT Id FROM PermissionSetAssignment WHERE PermissionSet.Name = {name} AND AssigneeId = {user}",
)
PASSING = frozenset(
    {Reason.UNAVAILABLE, Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.SERVER_ERROR, Reason.RATE_LIMITED}
)
ASSIGN = "assign it by hand: Setup, Permission Sets, {name}, Manage Assignments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What a permission set allows now; without an id, the org has no such permission set."""

    id: str | None
    fields: Mapping[str, bool]  # full name → whether it may also be edited
    objects: Mapping[str, Rights]
    assigned: bool  # to the given user


async def user_id(rest: RestClient) -> str:
    """The id of the signed-in user. Raises ConnectorError."""
    try:
        raw = responses.raise_if_failed(await rest.send(rest.api.read(f"{rest.api.root}/"))).body
    except RequestFailed as failed:
        raise refused(failed) from None
    identity = str(raw.get("identity", "")) if isinstance(raw, dict) else ""
    found = identity.rsplit("/", 1)[-1]
    if not RECORD_ID.fullmatch(found):
        raise ConnectorError(f"Salesforce does not say who the integration user is: {ASSIGN.format(name='the set')}")
    return found


async def granted(rest: RestClient, name: str, user: str) -> Granted:
    """What the permission set allows, and whether the user has it; one API call. Raises ConnectorError."""
    values = {"name": literal(identifier(name)), "user": literal(user)}
    try:
        whole = await rest.send(rest.api.queries([query.format(**values) for query in QUERIES]))
        parts = responses.subanswers(whole, len(QUERIES))
        sets, fields, objects, assignments = (responses.rows(part)["records"] for part in parts)
    except RequestFailed as failed:
        raise refused(failed) from None
    return Granted(
        id=str(sets[0]["Id"]) if sets else None,
        fields={str(row.get("Field")): row.get("PermissionsEdit") is True for row in fields},
        objects={
            str(row.get("SobjectType")): Rights(
                read=row.get("PermissionsRead") is True,
                create=row.get("PermissionsCreate") is True,
                edit=row.get("PermissionsEdit") is True,
            )
            for row in objects
        },
        assigned=bool(assignments),
    )


async def assign(rest: RestClient, permission_set: str, user: str, *, label: str) -> None:
    """Assign the permission set with that id to the user. Raises ConnectorError with instructions for doing it by hand."""
    body = orjson.dumps({"AssigneeId": user, "PermissionSetId": permission_set})
    call = HttpCall(
        method="POST",
        path=f"{rest.api.root}/sobjects/PermissionSetAssignment",
        body=body,
        headers={"Content-Type": "application/json; charset=UTF-8"},
    )
    try:
        responses.raise_if_failed(await rest.send(call))
    except RequestFailed as failed:
        error = refused(failed)
        if isinstance(error, PeerUnavailable):
            raise error from None
        raise ConnectorError(f"{error}: {ASSIGN.format(name=label)}") from None


def refused(failed: RequestFailed) -> ConnectorError:
    """The error for a request that Salesforce rejected."""
    outcome = responses.read_failure(failed)
    words = f"Salesforce does not answer ({outcome.reason}{f', {outcome.detail}' if outcome.detail else ''})"
    return PeerUnavailable(f"{words}: try again") if outcome.reason in PASSING else ConnectorError(words)
