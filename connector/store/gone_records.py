"""Records that were deleted or merged in the CRM: what stays known of them, and whose their keys and numbers are."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from connector.store.sql import as_list, execute_rows, micros, read_rows


class Gone(Struct, frozen=True, kw_only=True):
    """A record that the CRM has shown deleted; `merged_into` is the record that was kept."""

    record_id: str
    merged_into: str | None = None


MERGED_INTO = (
    "SELECT json_group_array(json_array(merged_into, phone, json_extract(last_write, '$.person'))) FROM shadows "
    "INDEXED BY shadows_merged WHERE crm = ? AND object = ? AND merged_into IN (SELECT value FROM json_each(?))"
)
# Records that were merged into one that is itself merged now belong to the record that is left.
MERGED_ON = (
    "WITH gone (crm, object, record_id, merged_into) AS (VALUES {rows}) "
    "UPDATE shadows SET merged_into = gone.merged_into FROM gone WHERE shadows.crm = gone.crm "
    "AND shadows.object = gone.object AND shadows.merged_into = gone.record_id"
)
# A record that is known to be deleted stays so: its feed shows it repeatedly for a while.
MARK_DELETED = (
    "WITH gone (crm, object, record_id, at, merged_into) AS (VALUES {rows}) "
    "UPDATE shadows SET gone_at = gone.at, merged_into = gone.merged_into FROM gone WHERE shadows.crm = gone.crm "
    "AND shadows.object = gone.object AND shadows.record_id = gone.record_id AND shadows.gone_at IS NULL"
)
REDIRECT_LINKS = (
    "WITH gone (crm, object, record_id, merged_into) AS (VALUES {rows}) "
    "UPDATE links SET record_id = gone.merged_into, moved_from = gone.record_id FROM gone WHERE links.crm = gone.crm "
    "AND links.object = gone.object AND links.record_id = gone.record_id"
)


def mark_deleted(connection: sqlite3.Connection, crm: str, name: str, several: Sequence[Gone], now: datetime) -> None:
    """Record that records are deleted. Their keys then name the kept record of a merge, or none. Runs inside the writer."""
    execute_rows(
        connection,
        MARK_DELETED,
        [(crm, name, one.record_id, micros(now), one.merged_into) for one in several],
    )
    merged = [(crm, name, one.record_id, one.merged_into) for one in several if one.merged_into]
    kept = {one.record_id: one.merged_into for one in several if one.merged_into}
    execute_rows(connection, MERGED_ON, [(crm, name, record_id, _last_kept(record_id, kept)) for record_id in kept])
    execute_rows(connection, REDIRECT_LINKS, merged)
    connection.execute(
        "DELETE FROM links WHERE crm = ? AND object = ? AND record_id IN (SELECT value FROM json_each(?))",
        (crm, name, as_list([one.record_id for one in several])),
    )


def _last_kept(record_id: str, kept: Mapping[str, str]) -> str:
    """The record that is left when the kept record was merged itself."""
    followed = {record_id}
    while (record_id := kept[record_id]) in kept and record_id not in followed:
        followed.add(record_id)
    return record_id


def merged_numbers(
    connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The numbers (E.164) of the records that were merged into each of these records."""
    found: dict[str, dict[str, None]] = {}
    for kept, *numbers in read_rows(connection, MERGED_INTO, (crm, name, as_list(record_ids))):
        found.setdefault(kept, {}).update(dict.fromkeys(filter(None, numbers)))
    return {kept: tuple(numbers) for kept, numbers in found.items()}
