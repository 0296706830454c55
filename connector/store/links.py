"""Which keys name which record of the CRM. They are written together with what is known of the record."""

import sqlite3
from collections.abc import Sequence

from connector.store.sql import as_list, read_rows

LINKS_OF = (
    "SELECT json_group_array(json_array(key, record_id)) FROM links "
    "WHERE crm = ? AND object = ? AND key_field = ? AND key IN (SELECT value FROM json_each(?))"
)
LINKS_WITH_MOVES = (
    "SELECT json_group_array(json_array(key, record_id, moved_from)) FROM links "
    "WHERE crm = ? AND object = ? AND key_field = ? AND key IN (SELECT value FROM json_each(?))"
)


def links(connection: sqlite3.Connection, crm: str, name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
    """Record ids by key, for the known keys."""
    return dict(read_rows(connection, LINKS_OF, (crm, name, key_field, as_list(list(keys)))))


def links_with_moves(
    connection: sqlite3.Connection, crm: str, name: str, key_field: str, keys: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The same, and for keys whose record was merged into another: the Id that it had. It is unknown who has the key now."""
    rows = read_rows(connection, LINKS_WITH_MOVES, (crm, name, key_field, as_list(keys)))
    return {key: record_id for key, record_id, _ in rows}, {key: before for key, _, before in rows if before}


def unlink_records(connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]) -> None:
    """Forget which keys name these records. Runs inside the writer."""
    if record_ids:
        connection.execute(
            "DELETE FROM links WHERE crm = ? AND object = ? AND record_id IN (SELECT value FROM json_each(?))",
            (crm, name, as_list(record_ids)),
        )


def unlink_key(connection: sqlite3.Connection, crm: str, name: str, key_field: str, key: str) -> None:
    """Forget which record a key names. Runs inside the writer."""
    connection.execute(
        "DELETE FROM links WHERE crm = ? AND object = ? AND key_field = ? AND key = ?",
        (crm, name, key_field, key),
    )
