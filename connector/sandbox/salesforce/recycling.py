"""A person's changes to whole records: delete, undelete and merge. The recycle bin is a flag on the row.

Sources: SOAP API Developer Guide, "merge()" and "undelete()"; Object Reference, "System Fields" and Contact
(MasterRecordId).
"""

from collections.abc import Sequence
from typing import Any

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author
from connector.sandbox.salesforce.fields import Kind, SObject
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.writing import Outcome, Writer


class RecyclingError(Exception):
    """A request is not possible; the text says why."""


class Recycling:
    """Moves records to the recycle bin and back; the caller holds the transaction."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    def delete(self, sobject: SObject, ids: Sequence[str], author: Author) -> list[str]:
        """Move records to the recycle bin."""
        return [_done_or_raise(outcome) for outcome in self._writer.delete(sobject, ids, author)]

    def undelete(self, sobject: SObject, ids: Sequence[str], author: Author) -> list[str]:
        """Restore records unchanged; a merged one is separate again, but records that referenced it still reference the winner."""
        return [_done_or_raise(outcome) for outcome in self._writer.undelete(sobject, ids, author)]

    def erase(self, sobject: SObject, ids: Sequence[str]) -> list[str]:
        """Delete records permanently, like emptying the recycle bin or a hard delete: not even queryAll returns them."""
        wanted = [canonical(one) for one in ids]
        marks = ", ".join("?" * len(wanted))
        sql = f'SELECT "Id" FROM "{sobject.name}" WHERE "Id" IN ({marks})'  # noqa: S608 - names are ours
        gone = [row[0] for row in self._database.connection.execute(sql, wanted)]
        if len(gone) < len(set(wanted)):
            raise RecyclingError(f"{sobject.name} does not have all of these records")
        self._database.connection.execute(f'DELETE FROM "{sobject.name}" WHERE "Id" IN ({marks})', wanted)  # noqa: S608 - the same
        return gone

    def merge(
        self, sobject: SObject, winner: str, losers: Sequence[str], fields: dict[str, Any], author: Author
    ) -> tuple[str, list[str]]:
        """Merge one or two records into the winner, which gets the chosen `fields`.

        Other fields keep the winner's value, even if it is empty. References to a loser are changed to the winner.
        """
        if not sobject.mergeable:
            raise RecyclingError(f"{sobject.name} records cannot be merged; Account, Contact and Lead can")
        if not 1 <= len(losers) <= 2:  # noqa: PLR2004 - the maximum on Salesforce's page.
            raise RecyclingError("one or two records are merged into another")
        master = _done_or_raise(self._writer.update(sobject, [{"Id": winner}], author)[0])
        # Delete the losers first: a key that is taken from one of them must be free.
        gone = [
            _done_or_raise(outcome) for outcome in self._writer.delete(sobject, losers, author, MasterRecordId=master)
        ]
        if master in gone:
            raise RecyclingError("they are the same record")
        _done_or_raise(self._writer.update(sobject, [{**fields, "Id": master}], author)[0])
        for child in self._database.schema.objects.values():
            for field in child.fields:
                if field.kind is Kind.REFERENCE and sobject.name in field.targets and field.writable:
                    self._repoint(child, field.name, gone, master, author)
        return master, gone

    def _repoint(self, child: SObject, field: str, losers: Sequence[str], winner: str, author: Author) -> None:
        sql = f'SELECT "Id" FROM "{child.name}" WHERE "{field}" IN ({{}}) AND "IsDeleted" = 0'  # noqa: S608 - names are ours
        rows = list(self._database.lookup(sql, losers))
        self._writer.update(child, [{"Id": row[0], field: winner} for row in rows], author)


def _done_or_raise(outcome: Outcome) -> str:
    if outcome.refusal is not None:
        raise RecyclingError(f"{outcome.refusal.code}: {outcome.refusal.message}")
    return str(outcome.id)
