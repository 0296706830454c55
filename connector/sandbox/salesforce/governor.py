"""Governor limits: the maximum number of records in one transaction. All records of a larger one are rejected.

Source: Apex Developer Guide, "Execution Governors and Limits"; texts as in SalesforceFoundation/NPSP issues 1268, 2095
and 2381.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.sandbox.salesforce.drafts import Draft
from connector.sandbox.salesforce.fields import SObject
from connector.sandbox.salesforce.refusals import RecordRefusedError

TRANSACTION = 200  # records for which triggers run at once; Bulk jobs are divided in the same way
CODE = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
QUERIES = "npsp.TDTM_{object}: System.LimitException: npsp:Too many SOQL queries: 101"


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernorLimit:
    """Reject more than `records` of one of the `objects` (none: any) in a transaction, each with the message."""

    records: int
    message: str = QUERIES
    code: str = CODE
    objects: frozenset[str] = frozenset()

    def check(self, sobject: SObject, drafts: Sequence[Draft]) -> None:
        """Reject the drafts if they are too many for the triggers of their object."""
        if self.objects and sobject.name not in self.objects:
            return
        going = [draft for draft in drafts if draft.refusal is None]
        if min(len(going), TRANSACTION) > self.records:
            name = sobject.name.rpartition("__")[0].rpartition("__")[2] if sobject.custom else sobject.name
            for draft in going:
                draft.refusal = RecordRefusedError(self.code, self.message.replace("{object}", name))
