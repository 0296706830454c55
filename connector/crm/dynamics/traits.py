"""Dataverse's traits, with their sources.

Text lengths are counted in UTF-16 units, as in model/text.py: Dataverse keeps texts as nvarchar, whose length is counted
in byte-pairs (Microsoft Learn, "nchar and nvarchar (Transact-SQL)").
"""

import re
from datetime import timedelta

from connector.crm.dynamics.client.api import FORBIDDEN_IN_KEYS
from connector.model.crm_traits import CrmTraits

OWN_PREFIX = "crmc_"  # of the publisher whose columns `connector dynamics setup` adds


def own_field(label: str) -> str:
    """The logical name of a column with this label: the publisher's prefix, then letters and digits in lower case."""
    return OWN_PREFIX + re.sub(r"\W+", "", label).lower()


TRAITS = CrmTraits(
    # A deleted record is gone at once. Organisations that keep deleted records for a while restore them as new versions
    # of the same record, which the feed shows.
    deleted_kept=timedelta(days=1),
    # A filter by id is about 40 characters for each record; an address in a batch may have 64 KB.
    lookup_limit=200,
    # Service protection: 20 minutes of execution in five minutes for one user. An opt-out waits for the batch before it.
    slow_request=timedelta(seconds=20),
    # A GUID is shown in lower case, and may be written in any, also in braces.
    full_id=lambda record_id: record_id.strip("{}").lower(),
    # Alternate keys compare without letter case.
    folded_key=str.casefold,
    # "Define alternate keys": these characters break the address of a record with such a key, also when encoded.
    refused_in_keys=FORBIDDEN_IN_KEYS,
    own_field=own_field,
)
