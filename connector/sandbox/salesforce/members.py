"""Rules for campaign members: each belongs to a contact or a lead, and to a campaign only once."""

from collections.abc import Sequence

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Draft
from connector.sandbox.salesforce.refusals import RecordRefusedError

FIND = """
SELECT "Id" FROM "CampaignMember"
WHERE "CampaignId" = ? AND ("ContactId" = ? OR "LeadId" = ?) AND "IsDeleted" = 0
"""


def check_members(database: Database, drafts: Sequence[Draft]) -> None:
    """Reject new members without a contact or lead, and existing members."""
    seen: set[tuple[object, ...]] = set()
    for draft in drafts:
        if draft.refusal is not None or draft.id is not None:
            continue
        contact, lead = draft.values.get("ContactId"), draft.values.get("LeadId")
        if contact is None and lead is None:
            draft.refusal = RecordRefusedError(
                "REQUIRED_FIELD_MISSING", "Required fields are missing: [ContactId or LeadId]", "LeadId", "ContactId"
            )
            continue
        membership = (draft.values["CampaignId"], contact, lead)
        if membership in seen or database.connection.execute(FIND, membership).fetchone():
            draft.refusal = RecordRefusedError("DUPLICATE_VALUE", "Already a campaign member.")
        seen.add(membership)
