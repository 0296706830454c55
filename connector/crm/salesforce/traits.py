"""Salesforce's traits, and where each of them is told.

Lengths of texts are counted in UTF-16 units, as model/text.py counts them: an emoji is two (Salesforce Help, article 005166849).
A request in which a key stands twice fails in each of these rows: delivery/batch.py folds the writes of one record.
"""

from datetime import timedelta

from connector.crm.salesforce.client.record_ids import full_id
from connector.model.crm_traits import CrmTraits

RELATIONSHIP, COLUMN = "__r", "__c"  # how the names of custom relationships and of their columns end


def relationship_column(name: str) -> str:
    """The column behind a custom relationship; letter case is kept. Any other name stays as it is."""
    plain = name[: -len(RELATIONSHIP)]
    return plain + COLUMN if name[len(plain) :].casefold() == RELATIONSHIP else name


TRAITS = CrmTraits(
    # Salesforce Help, "Recycle Bin": a deleted record can come back for 15 days.
    deleted_kept=timedelta(days=16),
    # An outbound message that is not acknowledged is repeated for 24 hours.
    notices_repeat=timedelta(hours=25),
    # An address of 16 KB holds twice as many Ids.
    lookup_limit=200,
    # Few requests of 20 seconds and more run at once, and an opt-out waits for the batch before it. Triggers run for 200 records at
    # once: their limits strike all of these, and a locked household several of them.
    slow_request=timedelta(seconds=10),
    full_id=full_id,
    # An external ID field minds letter case only where it was made so, and no operation says whether its field was.
    folded_key=str.lower,
    relationship_column=relationship_column,
)
