"""Redirects opt-outs of converted, read-only leads to the contact or person account that the lead became.

Other fields are not redirected: they need not have the same meaning on a contact. Source: Object Reference, "Lead"
(IsConverted, ConvertedContactId, ConvertedAccountId), "StatusCode" (CANNOT_UPDATE_CONVERTED_LEAD).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.client.responses import value_of
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.merged_records import find_kept, soql
from connector.crm.salesforce.write.writes import Write
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Rejected

CODE = "CANNOT_UPDATE_CONVERTED_LEAD"
CONVERTED_TO = {"Contact": "ConvertedContactId", "Account": "ConvertedAccountId"}  # what a lead may have become
KEYS = 100  # per query


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """The record that a converted lead became, as far as it is visible to us."""

    object: str
    record_id: str


async def successors(
    rest: RestClient, writes: Mapping[Write, RecordWrite], consent: Mapping[str, ConsentFields]
) -> dict[Write, Successor]:
    """Find the records that the leads of these writes became.

    It is the contact, or the account if consent fields are declared for accounts only (person accounts). Later merges
    are followed. Raises RequestFailed.
    """
    accounts = "account" in consent and "contact" not in consent
    name = "Account" if accounts else "Contact"
    became: dict[Write, str] = {}
    for key_field in {record_write.key_field for record_write in writes.values()}:
        keys_of = {
            lead: _key(key_field, record_write.key)
            for lead, record_write in writes.items()
            if record_write.key_field == key_field
        }
        keys = sorted({writes[lead].key for lead in keys_of})
        columns = (*([key_field] if key_field != ID_FIELD else []), "IsConverted", CONVERTED_TO[name])
        queries = [soql("Lead", columns, key_field, keys[start : start + KEYS]) for start in range(0, len(keys), KEYS)]
        answers = await rest.rows_of(queries)
        rows = [row for rows in answers for row in rows if row.get("IsConverted") is True]
        ids = {_key(key_field, str(value_of(row, key_field))): str(row.get(CONVERTED_TO[name]) or "") for row in rows}
        became |= {lead: ids[key] for lead, key in keys_of.items() if ids.get(key)}
    if not became:
        return {}
    kept_records = await find_kept(rest, name, set(became.values()), ())
    return {
        lead: Successor(object=name, record_id=kept.record_id)
        for lead, record_id in became.items()
        if (kept := kept_records.get(comparable(record_id))) is not None
    }


def opt_out_of(
    record_write: RecordWrite, successor: Successor, consent: Mapping[str, ConsentFields]
) -> RecordWrite | None:
    """The lead's opt-out as a write to its successor; None if the write has other fields, or consent is not declared there."""
    theirs = consent.get(successor.object.casefold())
    if (
        theirs is None
        or not record_write.consent
        or record_write.clears_flag
        or not set(record_write.set) <= set(record_write.consent)
    ):
        return None
    along = {name: value for name, value in record_write.set.items() if name in theirs.along}
    fields = {theirs.flag: theirs.opted_out, **along}
    moved = record_write.at(successor.record_id, fields)
    return replace(moved, object=successor.object, consent=tuple(fields))


def explain_to_person(outcome: Rejected, successor: Successor) -> Rejected:
    """The rejection, with the Id of the record that the lead became."""
    return replace(outcome, detail=f"{outcome.detail}; the lead became the {successor.object} {successor.record_id}")


def _key(key_field: str, key: str) -> str:
    return comparable(key) if key_field == ID_FIELD else key.lower()
