"""Lead conversion by a person: the lead becomes a contact, and is read-only afterwards.

Source: SOAP API Developer Guide, "convertLead()"; Object Reference, Lead (IsConverted, ConvertedContactId,
ConvertedAccountId).
"""

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.recycling import RecyclingError
from connector.sandbox.salesforce.writing import Writer

TAKEN_OVER = ("LastName", "FirstName", "Email", "Phone", "MobilePhone")


def convert(database: Database, writer: Writer, lead: str, contact: str | None, author: Author) -> str:
    """Convert the lead to this contact, or to a new one; returns the contact's Id. The caller holds the transaction.

    Raises:
        RecyclingError: there is no such lead, or it is already converted.
    """
    columns = ", ".join(f'"{name}"' for name in TAKEN_OVER)
    sql = f'SELECT {columns} FROM "Lead" WHERE "Id" = ? AND "IsDeleted" = 0 AND "IsConverted" = 0'  # noqa: S608 - names are ours
    row = database.connection.execute(sql, (canonical(lead),)).fetchone()
    if row is None:
        raise RecyclingError(f"{lead} is no lead that can be converted")
    if contact is None:
        person = {name: value for name, value in zip(TAKEN_OVER, row, strict=True) if value is not None}
        (made,) = writer.insert(database.schema.objects["Contact"], [person], author)
        if made.refusal is not None:
            raise RecyclingError(f"{made.refusal.code}: {made.refusal.message}")
        contact = str(made.id)
    database.connection.execute(
        'UPDATE "Lead" SET "IsConverted" = 1, "ConvertedContactId" = ?, '
        '"ConvertedAccountId" = (SELECT "AccountId" FROM "Contact" WHERE "Id" = ?), "LastModifiedDate" = ?, "LastModifiedById" = ?, '
        '"SystemModstamp" = ? WHERE "Id" = ?',
        (canonical(contact), canonical(contact), author.stamp, author.user, author.stamp, canonical(lead)),
    )
    return contact
