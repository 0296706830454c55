"""Duplicate rules: the records that they find, and the policy for them.

Source: REST API Developer Guide, "Duplicate Rule Header"; Salesforce Help, "Duplicate Rules".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import Single
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.model.outcome import Delivered, Outcome, Retry

SINGLES = 25  # subrequests of one composite
CODE = "DUPLICATES_DETECTED"
RESULTS = ("duplicateResult", "duplicateResut")  # older versions of Salesforce misspell the name


class Policy(StrEnum):
    """What to do with a record that a duplicate rule blocks."""

    ALLOW = "allow"  # save it if the rule only warns
    MATCH = "match"  # update the one matching record instead
    PARK = "park"  # leave it for a person to decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The Ids of matching records of the same object."""

    rule: str
    record_ids: tuple[str, ...]


async def probe(rest: RestClient, singles: Sequence[Single]) -> list[Matches | Outcome]:
    """Send each record in a request of its own, so that Salesforce reports the matches. Records without a match are written."""
    found: list[Matches | Outcome] = []
    for start in range(0, len(singles), SINGLES):
        some = singles[start : start + SINGLES]
        try:
            parts = responses.subanswers(await rest.send(rest.api.singles(some)), len(some))
        except RequestFailed as failed:
            if isinstance(failed.outcome, Retry):
                found += [failed.outcome] * (len(singles) - len(found))
                break
            found += [failed.outcome] * len(some)
            continue
        found += [_read(part, one) for part, one in zip(parts, some, strict=True)]
    return found


def _read(part: Answer | RequestFailed, single: Single) -> Matches | Outcome:
    if isinstance(part, RequestFailed):
        return part.outcome
    if part.status in responses.OK:
        body = part.body if isinstance(part.body, dict) else {}
        record_id = body.get("id")
        return Delivered(
            record_id=record_id if isinstance(record_id, str) else None, created=body.get("created") is True
        )
    error = part.body[0] if isinstance(part.body, list) and part.body and isinstance(part.body[0], dict) else {}
    if error.get("errorCode") == CODE:
        return matches(error, single.object)
    return responses.failed(part).outcome


def matches(error: Mapping[str, Any], object_name: str) -> Matches:
    """The matches in an error, without those of other objects."""
    raw: Mapping[str, Any] = next((error[name] for name in RESULTS if isinstance(error.get(name), dict)), {})
    ids: dict[str, None] = {}
    for result in _objects(raw.get("matchResults")):
        if str(result.get("entityType", object_name)).casefold() != object_name.casefold():
            continue
        for match in _objects(result.get("matchRecords")):
            record = match.get("record")
            record_id = record.get("Id") if isinstance(record, dict) else None
            if isinstance(record_id, str):
                ids[record_id] = None
    return Matches(rule=str(raw.get("duplicateRule", "")), record_ids=tuple(ids))


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
