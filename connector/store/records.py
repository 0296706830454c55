"""What is known of CRM records: the shadow (the feed's fields as last written or seen), and which keys name which record."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from connector.model.last_write import LastWrite
from connector.model.operation import ID_FIELD
from connector.store.documents import dumps, last_write_from_json
from connector.store.sql import as_list, execute_rows, micros, read_rows
from connector.store.writer import Writer


class ShadowWrite(Struct, frozen=True, kw_only=True):
    """What is now known of one record. The fields are merged into the shadow; `phone` and `opted_out` stay unchanged if None.

    Without a `record_id` the record is found by its key. If the key is not linked yet, nothing is stored.
    """

    crm: str
    object: str
    record_id: str | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    key_field: str | None = None
    key: str | None = None
    phone: str | None = None  # E.164
    opted_out: bool | None = None
    otherwise: Mapping[str, Any] = field(default_factory=dict)  # for fields of which nothing was known so far
    shown: bool = False  # the CRM has just shown it: the record exists
    written: bool = False  # we have just written it; `fields` are those of the write
    sent_at: datetime | None = None  # of our write: when sending began
    person: str | None = None  # of our write: the person's E.164 number, if the record is found by it


class KnownRecord(Struct, frozen=True, kw_only=True):
    """What is known of one record."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    phone: str | None = None  # E.164; empty if the record has none that is understood
    opted_out: bool = False
    seen_at: int = 0  # microseconds; when it was last written or shown
    gone_at: int | None = None
    merged_into: str | None = None
    last_write: LastWrite | None = None


class Link(Struct, frozen=True, kw_only=True):
    """Which record a key names."""

    crm: str
    object: str
    key_field: str
    key: str
    record_id: str


class OptedOut(Struct, frozen=True, kw_only=True):
    """A record whose flag says that the person is opted out."""

    crm: str
    object: str
    record_id: str
    fields: Mapping[str, Any]
    phone: str | None  # E.164; None if the record has none that is understood


WRITE_SHADOWS = (
    "INSERT INTO shadows (crm, object, record_id, fields, phone, opted_out, seen_at, gone_at, merged_into, last_write) VALUES {rows} "
    "ON CONFLICT (crm, object, record_id) DO UPDATE SET fields = excluded.fields, phone = excluded.phone, "
    "opted_out = excluded.opted_out, seen_at = excluded.seen_at, gone_at = excluded.gone_at, merged_into = excluded.merged_into, "
    "last_write = excluded.last_write"
)
WRITE_LINKS = (
    "INSERT INTO links (crm, object, key_field, key, record_id) VALUES {rows} "
    "ON CONFLICT (crm, object, key_field, key) DO UPDATE SET record_id = excluded.record_id, moved_from = NULL "
    "WHERE record_id <> excluded.record_id"
)
SHADOWS_OF = (
    "SELECT json_group_array(json_array(record_id, fields, phone, opted_out, seen_at, gone_at, merged_into, last_write)) FROM shadows "
    "WHERE crm = ? AND object = ? AND record_id IN (SELECT value FROM json_each(?))"
)
ERASED = """SELECT each.value, erased.opted_out FROM json_each(?) AS each CROSS JOIN erased_records AS erased
    ON erased.crm = ? AND erased.object = ? AND erased.record = pseudonym(each.value)
    WHERE EXISTS (SELECT 1 FROM erased_records)"""
OUT_BY_PHONE = (
    "SELECT json_group_array(json_array(phone, record_id, fields)) FROM shadows INDEXED BY shadows_out "
    "WHERE crm = ? AND object = ? AND opted_out = 1 AND gone_at IS NULL AND phone IN (SELECT value FROM json_each(?))"
)
MARK_SEEN = """UPDATE shadows SET seen_at = ? WHERE crm = ? AND object = ? AND seen_at < ?
    AND record_id IN (SELECT value FROM json_each(?))"""
NOT_SEEN = """SELECT record_id FROM shadows WHERE crm = ? AND object = ? AND record_id > ? AND gone_at IS NULL AND seen_at < ?
    ORDER BY record_id LIMIT ?"""
NOTHING = KnownRecord()


def write_shadows(
    connection: sqlite3.Connection, writes: Iterable[ShadowWrite], now: datetime
) -> list[tuple[str, str, str]]:
    """Merge what is known into the shadows, later writes over earlier ones. Runs inside the writer.

    Returns the records that got an opt-out while the CRM showed them: it may have shown what was before it.
    """
    at = micros(now)
    unsure: list[tuple[str, str, str]] = []  # CRM, object, record id
    by_object: dict[tuple[str, str], list[ShadowWrite]] = {}
    for write in writes:
        by_object.setdefault((write.crm, write.object), []).append(write)
    for (crm, name), group in by_object.items():
        identified = _identify(connection, crm, name, group)
        known = records_of(connection, crm, name, [record_id for record_id, _ in identified])
        for record_id, write in identified:
            before = known.get(record_id, NOTHING)
            if write.opted_out and write.sent_at and before.seen_at >= micros(write.sent_at):
                unsure.append((crm, name, record_id))
            known[record_id] = _merged(before, write)
        execute_rows(
            connection,
            WRITE_SHADOWS,
            [
                (
                    crm,
                    name,
                    record_id,
                    dumps(one.fields),
                    one.phone,
                    int(one.opted_out),
                    at,
                    one.gone_at,
                    one.merged_into,
                    dumps(one.last_write) if one.last_write else None,
                )
                for record_id, one in known.items()
            ],
        )
        links = {
            (write.key_field, write.key): (crm, name, write.key_field, write.key, record_id)
            for record_id, write in identified
            if write.key_field is not None and write.key is not None and write.key_field != ID_FIELD
        }
        execute_rows(connection, WRITE_LINKS, list(links.values()))
    return unsure


def write_links(connection: sqlite3.Connection, links: Iterable[Link]) -> None:
    """Store which keys name which records; the later one wins. Runs inside the writer."""
    rows = {(one.crm, one.object, one.key_field, one.key): one.record_id for one in links}
    execute_rows(connection, WRITE_LINKS, [(*named, record_id) for named, record_id in rows.items()])


def _identify(
    connection: sqlite3.Connection, crm: str, name: str, writes: Sequence[ShadowWrite]
) -> list[tuple[str, ShadowWrite]]:
    nameless: dict[str, list[str]] = {}
    for write in writes:
        if write.record_id is None and write.key_field is not None and write.key is not None:
            nameless.setdefault(write.key_field, []).append(write.key)
    found = {field: links(connection, crm, name, field, keys) for field, keys in nameless.items()}
    identified = []
    for write in writes:
        record_id = write.record_id
        if record_id is None and write.key_field is not None and write.key is not None:
            record_id = found[write.key_field].get(write.key)
        if record_id is not None:
            identified.append((record_id, write))
    return identified


def _merged(known: KnownRecord, write: ShadowWrite) -> KnownRecord:
    return KnownRecord(
        fields={**write.otherwise, **known.fields, **write.fields},
        phone=known.phone if write.phone is None else write.phone,
        opted_out=known.opted_out if write.opted_out is None else write.opted_out,
        gone_at=None if write.shown else known.gone_at,
        merged_into=None if write.shown else known.merged_into,
        last_write=_last_write(known.last_write, write),
    )


def _last_write(known: LastWrite | None, write: ShadowWrite) -> LastWrite | None:
    if write.written:
        unseen = {**(known.unseen if known else {}), **write.fields}
        person = write.person or (known.person if known else None)
        return LastWrite(fields=tuple(write.fields), unseen=unseen, person=person)
    return replace(known, unseen={}) if known and known.unseen and write.shown else known


def records_of(
    connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]
) -> dict[str, KnownRecord]:
    """What is known of these records, including deleted ones."""
    rows = read_rows(connection, SHADOWS_OF, (crm, name, as_list(record_ids)))
    return {
        record_id: KnownRecord(
            fields=orjson.loads(fields),
            phone=phone,
            opted_out=bool(out),
            seen_at=seen_at,
            gone_at=gone_at,
            merged_into=merged_into,
            last_write=last_write_from_json(last_write) if last_write else None,
        )
        for record_id, fields, phone, out, seen_at, gone_at, merged_into, last_write in rows
    }


def erased_records(connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]) -> dict[str, bool]:
    """Those of the records whose person was forgotten, and whether each said "opted out" then."""
    (any_erased,) = connection.execute("SELECT EXISTS (SELECT 1 FROM erased_records)").fetchone()
    if not any_erased or not record_ids:
        return {}
    rows = connection.execute(ERASED, (as_list(record_ids), crm, name))
    return {record_id: bool(out) for record_id, out in rows.fetchall()}


def shadows(
    connection: sqlite3.Connection, crm: str, name: str, record_ids: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """The shadows of those records that have one and are not deleted."""
    found = records_of(connection, crm, name, record_ids)
    return {record_id: known.fields for record_id, known in found.items() if known.gone_at is None}


def opted_out_by_phone(
    connection: sqlite3.Connection, crm: str, name: str, numbers: Sequence[str]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """The shadows of the records with an opt-out and one of these numbers (E.164): by number, then by record id."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for phone, record_id, fields in read_rows(connection, OUT_BY_PHONE, (crm, name, as_list(numbers))):
        found.setdefault(phone, {})[record_id] = orjson.loads(fields)
    return found


class Records:
    """Reads and writes what is known of records."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def known(self, crm: str, name: str, record_ids: Sequence[str]) -> dict[str, KnownRecord]:
        """What is known of these records, including deleted ones."""
        return records_of(self._reader, crm, name, record_ids)

    async def mark_seen(self, crm: str, name: str, record_ids: Sequence[str], *, at: datetime) -> None:
        """Record that the CRM has shown these records unchanged; a later time is kept."""
        values = (micros(at), crm, name, micros(at), as_list(record_ids))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(MARK_SEEN, values)

        await self._writer.run(work)

    def not_seen_since(self, crm: str, name: str, since: datetime, *, after: str, limit: int) -> list[str]:
        """Ids after `after`, in order, of records that are not known to be deleted and were neither shown nor written since."""
        rows = self._reader.execute(NOT_SEEN, (crm, name, after, micros(since), limit))
        return [row[0] for row in rows.fetchall()]

    def shadow(self, crm: str, name: str, record_id: str) -> Mapping[str, Any] | None:
        """The shadow of one record of the object; None if nothing is known of it."""
        return shadows(self._reader, crm, name, [record_id]).get(record_id)

    def ids_by_key(self, crm: str, name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """The ids of records by their key, where they are known."""
        return {key: key for key in keys} if key_field == ID_FIELD else links(self._reader, crm, name, key_field, keys)

    def number(self, crm: str, name: str, record_id: str) -> str | None:
        """The number of one record in E.164; None if it has none that is understood."""
        return records_of(self._reader, crm, name, [record_id]).get(record_id, NOTHING).phone or None

    def opted_out_with_phone(self, crm: str, e164: str, *, but: str | None = None) -> bool:
        """Whether a record of any object with this number, other than the record `but`, has an opt-out."""
        row = self._reader.execute(
            "SELECT 1 FROM shadows INDEXED BY shadows_out_phone WHERE crm = ? AND phone = ? AND opted_out = 1 "
            "AND gone_at IS NULL AND record_id IS NOT ? LIMIT 1",
            (crm, e164, but),
        ).fetchone()
        return row is not None

    def has_phone(self, crm: str, name: str, e164: str, *, but: str) -> bool:
        """Whether an existing record other than `but` has this number."""
        row = self._reader.execute(
            "SELECT 1 FROM shadows INDEXED BY shadows_phone WHERE crm = ? AND object = ? AND phone = ? AND phone <> '' "
            "AND gone_at IS NULL AND record_id <> ? LIMIT 1",
            (crm, name, e164, but),
        ).fetchone()
        return row is not None

    def with_phone(self, crm: str, name: str, e164: str) -> list[tuple[str, bool]]:
        """The ids of the existing records with this number, and whether each says that the person is opted out."""
        rows = self._reader.execute(
            "SELECT record_id, opted_out FROM shadows INDEXED BY shadows_phone WHERE crm = ? AND object = ? AND phone = ? "
            "AND phone <> '' AND gone_at IS NULL ORDER BY record_id",
            (crm, name, e164),
        ).fetchall()
        return [(record_id, bool(out)) for record_id, out in rows]

    def of_phone(self, e164: str) -> list[tuple[str, str, str, KnownRecord]]:
        """All records that are known to have this number: CRM, object, id, and what is known of each."""
        rows = self._reader.execute(
            "SELECT crm, object, record_id FROM shadows WHERE phone = ? ORDER BY 1, 2, 3", (e164,)
        ).fetchall()
        return [(*row, records_of(self._reader, row[0], row[1], [row[2]])[row[2]]) for row in rows]

    def opted_out(self) -> list[OptedOut]:
        """All records that are known to have an opt-out, in the order of their ids."""
        rows = self._reader.execute(
            "SELECT crm, object, record_id, fields, phone FROM shadows WHERE opted_out = 1 AND gone_at IS NULL ORDER BY 1, 2, 3"
        ).fetchall()
        return [
            OptedOut(crm=crm, object=name, record_id=record_id, fields=orjson.loads(fields), phone=phone or None)
            for crm, name, record_id, fields, phone in rows
        ]

    async def write(self, writes: Sequence[ShadowWrite], *, now: datetime) -> None:
        """Merge what is known, as the first poll does."""
        await self._writer.run(lambda connection: write_shadows(connection, writes, now))


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
