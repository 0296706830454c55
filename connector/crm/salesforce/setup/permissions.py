"""Permission sets of an org: what they allow, who has them, and assigning them.

Source: Object Reference, "PermissionSet", "FieldPermissions", "ObjectPermissions", "PermissionSetAssignment"; REST API
Developer Guide, "Resources by Version", whose response names the user.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import RECORD_ID, Api, identifier, literal
from connector.crm.salesforce.client.responses import Answer, Failed
from connector.crm.salesforce.setup.package import Rights
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Exchange, HttpCall
from connector.model.outcome import Reason, Retry

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


def user_id(api: Api) -> Exchange[str]:
    """The id of the signed-in user. Raises ConnectorError."""
    (reply,) = yield [api.read(f"{api.root}/")]
    raw = _body(responses.answer(reply))
    identity = str(raw.get("identity", "")) if isinstance(raw, dict) else ""
    found = identity.rsplit("/", 1)[-1]
    if not RECORD_ID.fullmatch(found):
        raise ConnectorError(f"Salesforce does not say who the integration user is: {ASSIGN.format(name='the set')}")
    return found


def granted(api: Api, name: str, user: str) -> Exchange[Granted]:
    """What the permission set allows, and whether the user has it; one API call. Raises ConnectorError."""
    values = {"name": literal(identifier(name)), "user": literal(user)}
    (reply,) = yield [api.queries([query.format(**values) for query in QUERIES])]
    whole = responses.answer(reply)
    parts = whole if isinstance(whole, Failed) else responses.subanswers(whole, len(QUERIES))
    if isinstance(parts, Failed):
        raise refused(responses.read_failure(parts))
    sets, fields, objects, assignments = (_rows(part) for part in parts)
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


def assign(api: Api, permission_set: str, user: str, *, label: str) -> Exchange[None]:
    """Assign the permission set with that id to the user. Raises ConnectorError with instructions for doing it by hand."""
    body = orjson.dumps({"AssigneeId": user, "PermissionSetId": permission_set})
    (reply,) = yield [
        HttpCall(
            method="POST",
            path=f"{api.root}/sobjects/PermissionSetAssignment",
            body=body,
            headers={"Content-Type": "application/json; charset=UTF-8"},
        )
    ]
    try:
        _body(responses.answer(reply))
    except PeerUnavailable:
        raise
    except ConnectorError as error:
        raise ConnectorError(f"{error}: {ASSIGN.format(name=label)}") from error


def refused(outcome: Retry) -> ConnectorError:
    """The error for a query that Salesforce rejected."""
    words = f"Salesforce does not answer ({outcome.reason}{f', {outcome.detail}' if outcome.detail else ''})"
    return PeerUnavailable(f"{words}: try again") if outcome.reason in PASSING else ConnectorError(words)


def _rows(part: Answer | Failed) -> Sequence[Mapping[str, Any]]:
    body = part if isinstance(part, Failed) else responses.rows(part)
    if isinstance(body, Failed):
        raise refused(responses.read_failure(body))
    found: Sequence[Mapping[str, Any]] = body["records"]
    return found


def _body(whole: Answer | Failed) -> Any:
    if isinstance(whole, Failed):
        raise refused(responses.read_failure(whole))
    if whole.status not in responses.OK:
        raise refused(responses.read_failure(responses.failed(whole)))
    return whole.body
