"""Which keys name a record of a CRM: read, and forgotten."""

import sqlite3
from collections.abc import Iterable, Sequence

from connector.store.sql import as_list, read_rows

KEYS_OF = (
    "SELECT json_group_array(json_array(record_id, key_field, key)) FROM links INDEXED BY links_record "
    "WHERE crm = ? AND object = ? AND record_id IN (SELECT value FROM json_each(?))"
)


def keys_of(
    connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """By record id: the keys (field and key) by which our writes find these records, also those of merged ones."""
    found: dict[str, list[tuple[str, str]]] = {}
    for record_id, key_field, key in read_rows(connection, KEYS_OF, (crm, name, as_list(record_ids))):
        found.setdefault(record_id, []).append((key_field, key))
    return {record_id: tuple(keys) for record_id, keys in found.items()}


# A key that the record has now is linked to it already, unless it has just got that key.
UNLINK_CHANGED = """WITH shown (record_id, key_field, key) AS (
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:keys))
    DELETE FROM links WHERE (crm, object, key_field, key) IN (
        SELECT old.crm, old.object, old.key_field, old.key FROM shown
        CROSS JOIN links AS old INDEXED BY links_record
        ON old.crm = :crm AND old.object = :object AND old.record_id = shown.record_id AND old.key_field = shown.key_field
        WHERE old.moved_from IS NULL AND NOT EXISTS (
            SELECT 1 FROM links AS same WHERE same.crm = :crm AND same.object = :object AND same.key_field = shown.key_field
            AND same.key = shown.key AND same.record_id = shown.record_id))"""


def unlink_changed_keys(
    connection: sqlite3.Connection, crm: str, name: str, shown: Iterable[tuple[str, str, str]]
) -> None:
    """Forget the former keys of records (id, key field, key) whose key is another one now, or empty. Runs inside the writer.

    A match may have linked further keys with a record. They stay while its own key is the same.
    """
    keys = list(shown)
    if keys:
        connection.execute(UNLINK_CHANGED, {"keys": as_list(keys), "crm": crm, "object": name})


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
