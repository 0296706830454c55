"""Salesforce's traits, with their sources.

Text lengths are counted in UTF-16 units, as in model/text.py: an emoji counts as two (Salesforce Help, article
005166849). Each record whose key occurs twice in a request fails; delivery/send.py folds the writes of one record.
"""

import re
from datetime import timedelta

from connector.crm.salesforce.client.record_ids import full_id
from connector.model.crm_traits import CrmTraits

RELATIONSHIP, COLUMN = "__r", "__c"  # suffixes of custom relationships and of their columns


def relationship_column(name: str) -> str:
    """The column of a custom relationship; letter case is kept. Any other name is returned unchanged."""
    plain = name[: -len(RELATIONSHIP)]
    return plain + COLUMN if name[len(plain) :].casefold() == RELATIONSHIP else name


def own_field(label: str) -> str:
    """The API name that Salesforce proposes for a custom field of this label."""
    return re.sub(r"\W+", "_", label).strip("_") + COLUMN


TRAITS = CrmTraits(
    # Salesforce Help, "Recycle Bin": a deleted record can come back for 15 days.
    deleted_kept=timedelta(days=16),
    # An outbound message that is not acknowledged is repeated for 24 hours.
    notices_repeat=timedelta(hours=25),
    # An address of 16 KB could hold twice as many Ids.
    lookup_limit=200,
    # Requests may take 20 seconds and more, few run at once, and an opt-out waits for the batch before it. Triggers run
    # for 200 records at once: a limit fails all of these, and a locked household fails several of them.
    slow_request=timedelta(seconds=10),
    full_id=full_id,
    # An external ID field is case-sensitive only if it was created so, and no operation says whether its field was.
    folded_key=str.lower,
    own_field=own_field,
    relationship_column=relationship_column,
)
