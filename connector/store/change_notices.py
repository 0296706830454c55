"""Change notices: records that a feed must read soon. They say only where to look; the feed judges the record like any page."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.ports import Notice
from connector.store.inbox import used_nonces
from connector.store.sql import as_list, execute_rows, micros
from connector.store.writer import Writer


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice that its feed has not handled yet: a record that must be read."""

    id: int
    record_id: str


INSERT = "INSERT INTO pointers (crm, object, record_id) VALUES {rows}"


class ChangeNotices:
    """Reads and writes the change notices."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def add_new(self, crm: str, notices: Sequence[Notice], *, expires: datetime) -> int:
        """Store the notices that are new; returns how many. They are on disk when this returns.

        A repeated notice is recognised until `expires`. Raises StoreUnavailable.
        """

        def work(connection: sqlite3.Connection) -> int:
            nonces = {f"{crm}:{one.id}": one for one in notices}
            known = set(used_nonces(connection, list(nonces)))
            fresh = [(nonce, one) for nonce, one in nonces.items() if nonce not in known]
            execute_rows(
                connection,
                "INSERT INTO nonces (nonce, expires_at) VALUES {rows}",
                [(nonce, micros(expires)) for nonce, _ in fresh],
            )
            execute_rows(connection, INSERT, [(crm, one.object, one.record_id) for _, one in fresh])
            return len(fresh)

        return await self._writer.run(work, new=True)

    async def add(self, crm: str, name: str, record_ids: Sequence[str]) -> None:
        """Store notices about these records, so that their feed reads them."""
        await self._writer.run(lambda connection: add_notices(connection, crm, name, record_ids))

    def has(self, crm: str, name: str, record_ids: Sequence[str]) -> bool:
        """Whether there is a notice about one of these records."""
        return bool(records_with_notice(self._reader, crm, name, record_ids))

    async def delete(self, notices: Sequence[StoredNotice]) -> None:
        """Delete these notices."""
        await self._writer.run(lambda connection: delete_notices(connection, notices))

    def waiting(self, crm: str, name: str, limit: int) -> list[StoredNotice]:
        """The oldest notices about records of the object, at most `limit`."""
        rows = self._reader.execute(
            "SELECT id, record_id FROM pointers WHERE crm = ? AND object = ? ORDER BY id LIMIT ?", (crm, name, limit)
        )
        return [StoredNotice(*row) for row in rows.fetchall()]


def add_notices(connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]) -> None:
    """Store notices about these records, so that their feed reads them. Runs inside the writer."""
    execute_rows(connection, INSERT, [(crm, name, record_id) for record_id in record_ids])


def records_with_notice(
    connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]
) -> frozenset[str]:
    """Those of the records about which there is a notice. Runs inside the writer."""
    rows = connection.execute(
        "SELECT record_id FROM pointers WHERE crm = ? AND object = ? AND record_id IN (SELECT value FROM json_each(?))",
        (crm, name, as_list(record_ids)),
    )
    return frozenset(row[0] for row in rows.fetchall())


def delete_notices(connection: sqlite3.Connection, notices: Sequence[StoredNotice]) -> None:
    """Delete the notices that a page has handled. A newer one about the same record has another id, and stays.

    Runs inside the writer.
    """
    connection.execute(
        "DELETE FROM pointers WHERE id IN (SELECT value FROM json_each(?))", (as_list([one.id for one in notices]),)
    )
