"""The consent table of Customer Insights - Journeys: a row for each address, channel and purpose. A table without logic.

Source: Dynamics 365 reference, "msdynmkt_contactpointconsent4"; "Create a consent record using a cloud flow". The table of
this name without the 4 is an older one that shows the same name to people.
"""

from connector.model.consent_fields import ConsentFields

TABLE = "msdynmkt_contactpointconsent4"
VALUE, PHONE, CHANNEL = "msdynmkt_value", "msdynmkt_contactpointvalue", "msdynmkt_contactpointtype"
OPTED_OUT = "534120002"
TEXT_MESSAGE = "534120001"

# An address has rows for other channels too: only those for text messages are looked for and followed.
ROWS = f"{CHANNEL} eq {TEXT_MESSAGE}"
CONSENT = ConsentFields(object=TABLE, flag=VALUE, opted_out=OPTED_OUT, phone=PHONE)


def narrowing(table: str) -> str:
    """A condition for the rows of this table that are about text messages; empty for other tables."""
    return ROWS if table == TABLE else ""
