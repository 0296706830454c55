"""Rules for leads: a converted one is read-only."""

from collections.abc import Sequence

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Draft
from connector.sandbox.salesforce.refusals import RecordRefusedError


def check_converted(database: Database, drafts: Sequence[Draft]) -> None:
    """Reject changes of converted leads."""
    sql = 'SELECT "Id" FROM "Lead" WHERE "Id" IN ({}) AND "IsConverted" = 1'
    converted = {row[0] for row in database.lookup(sql, [draft.id for draft in drafts if draft.id])}
    for draft in drafts:
        if draft.refusal is None and draft.id in converted:
            draft.refusal = RecordRefusedError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
