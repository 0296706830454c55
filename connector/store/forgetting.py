"""Forgetting a person: what is erased at once, what is waited for, and what stays under a keyed hash.

What is open is finished first: an event that is not delivered, an opt-out that no system has confirmed, a question
whether a text was an opt-out, a charge without a result. So no opt-out and no gift is lost. Everything that is older
than the oldest open event is erased at once; the rest when nothing of it is open any more. What comes after the request
is new, and stays. personal_data.py lists what becomes of each column.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from connector.model.consent import Decision, Scope, Subscription
from connector.model.event import Verdict
from connector.model.operation import RecordWrite
from connector.model.phone import Phone
from connector.store.documents import decision_to_json, operations_from_json
from connector.store.forgotten_list import add_to_list
from connector.store.free_space import FreeSpace
from connector.store.mentions import Mentions
from connector.store.naming_rows import (
    REMEMBER_RECORD,
    UNDECIDED,
    UNIT_IS_OPEN,
    Hit,
    event_of,
    is_open_event_of_another,
    remove_number,
    search,
)
from connector.store.people import forget_id
from connector.store.person_key import PersonKey, PersonKeyMissing, key_file, key_is_missing, remember_key, write_key
from connector.store.sql import as_list, micros, moment
from connector.store.writer import Writer

ENDED = "the person was forgotten"
CLEANED = 500  # pages whose unused space is overwritten at once: callbacks wait some milliseconds for it
FLAG_KEPT = "flag"  # the key of a ledger entry that keeps the opt-out flag of an erased record

# The person's events up to the request. One without a number is theirs if its units or decisions are.
OF_PERSON = """(SELECT id FROM inbox INDEXED BY inbox_phone WHERE msisdn = :number AND id <= :last
    UNION SELECT event_id FROM units INDEXED BY units_lane WHERE sink IN (SELECT DISTINCT sink FROM unit_totals)
        AND lane = :number AND event_id <= :last
    UNION SELECT inbox.id FROM ledger INDEXED BY ledger_phone CROSS JOIN inbox ON inbox.id = ledger.event_id
        WHERE ledger.msisdn = :number AND inbox.msisdn IS NULL AND inbox.id <= :last)"""
NOT_CONFIRMED = "EXISTS (SELECT 1 FROM obligations WHERE obligations.event_id = inbox.id AND closed_at IS NULL)"
STATES = f"""SELECT id, state, state IN ('pending', 'delivering') OR {UNIT_IS_OPEN}, {NOT_CONFIRMED}, {UNDECIDED}
    FROM inbox WHERE id IN {OF_PERSON} ORDER BY id"""  # noqa: S608 - constants of this file.
OPEN_CHARGES = """SELECT charges.id, charges.state FROM agreements
    CROSS JOIN charges ON charges.agreement_id = agreements.id
    WHERE agreements.msisdn = :number AND charges.state IN ('sending', 'asking', 'in_doubt') ORDER BY charges.id"""
ASK = """INSERT INTO forgotten (person, number, last_event_id, asked_at)
    SELECT pseudonym(:number), :number, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'inbox'), 0), :now WHERE true
    ON CONFLICT (person) DO UPDATE SET number = excluded.number, last_event_id = excluded.last_event_id,
        asked_at = excluded.asked_at, erased_at = NULL"""
DUE_CHARGES = """charges.state = 'due' AND agreement_id IN (SELECT id FROM agreements WHERE msisdn = :number)"""
SKIP_LOG = f"""INSERT INTO charge_log (charge_id, at, state, detail)
    SELECT id, :now, 'skipped', :why FROM charges WHERE {DUE_CHARGES}"""  # noqa: S608 - a constant.
SKIP = f"UPDATE charges SET state = 'skipped', detail = :why, changed_at = :now WHERE {DUE_CHARGES}"  # noqa: S608 - a constant.
END = "UPDATE agreements SET ended_at = :now, ended_why = :why WHERE msisdn = :number AND ended_at IS NULL"

REMEMBER_EVENTS = """INSERT OR REPLACE INTO erased_events (key, meaning, event_id, expires_at)
    SELECT pseudonym(key), hashed_meaning(meaning), id, received_at + :kept FROM inbox
    WHERE id IN (SELECT value FROM json_each(:ids))"""
ERASE_EVENTS = (
    "DELETE FROM stop_answers WHERE event_id IN (SELECT value FROM json_each(:ids))",
    "DELETE FROM units WHERE event_id IN (SELECT value FROM json_each(:ids))",
    "DELETE FROM obligations WHERE event_id IN (SELECT value FROM json_each(:ids)) AND closed_at IS NOT NULL",
    "DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(:ids))",
)
ERASE_OLD_OBLIGATIONS = """DELETE FROM obligations WHERE closed_at IS NOT NULL AND event_id IN (
    SELECT event_id FROM ledger INDEXED BY ledger_phone WHERE msisdn = :number AND event_id <= :last)
    AND event_id NOT IN (SELECT value FROM json_each(:open))"""
HASH_LEDGER = """UPDATE ledger SET msisdn = pseudonym(:number), event_key = pseudonym(event_key), detail = NULL,
    decision = json_set(decision, '$.phone', pseudonym(:number))
    WHERE msisdn = :number AND event_id <= :last AND event_id NOT IN (SELECT value FROM json_each(:open))"""
RECORDS = """SELECT crm, object, record_id, opted_out, gone_at, seen_at FROM shadows
    WHERE phone = :number OR json_extract(last_write, '$.person') = :number"""
LAST_WORD = """SELECT json_extract(decision, '$.word') FROM ledger INDEXED BY ledger_phone
    WHERE msisdn IN (:number, pseudonym(:number)) AND phase = 'decided' ORDER BY event_id DESC, id DESC LIMIT 1"""
KEEP_FLAG = """INSERT INTO ledger (event_id, event_key, msisdn, phase, decision, recorded_at)
    VALUES (:last, pseudonym(:key), pseudonym(:number), 'decided', :decision, :now)"""
ERASE_RECORDS = (
    REMEMBER_RECORD,
    "DELETE FROM shadows WHERE crm = ? AND object = ? AND record_id = ?",
    "DELETE FROM links WHERE crm = ? AND object = ? AND record_id = ?",
    "DELETE FROM pointers WHERE crm = ? AND object = ? AND record_id = ?",
)
ERASE_LINK = "DELETE FROM links WHERE crm = ? AND object = ? AND key_field = ? AND key = ?"
HASH_BOOKS = (
    """UPDATE charge_log SET detail = '' WHERE charge_id IN (SELECT charges.id FROM charges
        JOIN agreements ON agreements.id = charges.agreement_id WHERE agreements.msisdn = :number AND event_id <= :last)""",
    """UPDATE charges SET detail = '' WHERE agreement_id IN (
        SELECT id FROM agreements WHERE msisdn = :number AND event_id <= :last)""",
    "UPDATE agreements SET msisdn = pseudonym(:number) WHERE msisdn = :number AND event_id <= :last",
)


class OpenItems(Struct, frozen=True, kw_only=True):
    """What must be finished before the rest can be erased. The members are ids of events and of charges."""

    delivering: tuple[int, ...] = ()  # not planned, or not delivered yet
    not_confirmed: tuple[int, ...] = ()  # opt-outs that a CRM or provider has not confirmed
    undecided: tuple[int, ...] = ()  # opt-outs, or what may be one, that wait for a person's decision
    charges: tuple[int, ...] = ()  # charges whose result is not known

    def __bool__(self) -> bool:
        return bool(self.delivering or self.not_confirmed or self.undecided or self.charges)

    @property
    def events(self) -> tuple[int, ...]:
        """All events that are waited for."""
        return tuple(sorted({*self.delivering, *self.not_confirmed, *self.undecided}))


class Forgotten(Struct, frozen=True, kw_only=True):
    """A request to forget a person. `erased_at` is None while something is waited for."""

    person: str  # the pseudonym
    asked_at: datetime
    erased_at: datetime | None


class Erased(Struct, frozen=True, kw_only=True):
    """What one step has erased. It is done when nothing is waited for."""

    events: int
    waits: OpenItems


class NamedElsewhere(Struct, frozen=True, kw_only=True):
    """Events that are not the person's and name their number."""

    unreadable: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    mappings: bool = False  # the stored copy of the mapping files names it


class Forgetting:
    """Forgets people, and knows who was forgotten."""

    def __init__(self, path: Path, writer: Writer, reader: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._free_space = FreeSpace(path)
        # A crash may have come between an erasure and its end: so the log is emptied once after each start.
        self.log_holds_erased = self.counts()[0] > 0

    def pseudonym(self, phone: Phone) -> str | None:
        """Under what a person is kept when they are forgotten; None if the key is missing."""
        return PersonKey.of(self._path).pseudonym(phone.e164)

    def key_is_missing(self) -> bool:
        """Whether the key is missing under which people were forgotten: their opt-outs are not recognised."""
        return key_is_missing(self._reader, self._path)

    async def make_new_key(self) -> None:
        """Go on with a new key, because the old one is lost. Who was forgotten before is not recognised any more."""
        await asyncio.to_thread(write_key, self._path)
        await self._writer.run(lambda connection: remember_key(connection, self._path))

    def forgotten(self, phone: Phone) -> Forgotten | None:
        """The last request to forget this person."""
        row = self._reader.execute(
            "SELECT person, asked_at, erased_at FROM forgotten WHERE person = ?", (self.pseudonym(phone),)
        ).fetchone()
        if row is None:
            return None
        person, asked_at, erased_at = row
        return Forgotten(
            person=person, asked_at=moment(asked_at), erased_at=None if erased_at is None else moment(erased_at)
        )

    def counts(self) -> tuple[int, int]:
        """How many people were forgotten, and how many of them are not erased completely yet."""
        if self._reader.execute("SELECT 1 FROM sqlite_schema WHERE name = 'forgotten'").fetchone() is None:
            return 0, 0  # a database of an earlier version, which is only read
        row = self._reader.execute("SELECT count(*), count(number) FROM forgotten").fetchone()
        return int(row[0]), int(row[1])

    def would_wait_for(self, phone: Phone) -> OpenItems:
        """What a request would wait for now."""
        (last,) = self._reader.execute("SELECT coalesce(max(id), 0) FROM inbox").fetchone()
        return _open_items(self._reader, {"number": phone.e164, "last": last})

    def waits_for(self, phone: Phone) -> OpenItems:
        """What the person's unfinished request waits for."""
        row = self._reader.execute("SELECT last_event_id FROM forgotten WHERE number = ?", (phone.e164,)).fetchone()
        return _open_items(self._reader, {"number": phone.e164, "last": row[0] if row else 0})

    def unfinished(self) -> list[Phone]:
        """People whose data is not erased completely yet, the longest waiting first."""
        rows = self._reader.execute(
            "SELECT number FROM forgotten WHERE number IS NOT NULL ORDER BY asked_at"
        ).fetchall()
        return [Phone(number) for (number,) in rows]

    async def ask(self, phone: Phone, *, now: datetime) -> None:
        """Note that a person is to be forgotten, and charge them no more. Raises PersonKeyMissing."""
        if self.key_is_missing():
            raise PersonKeyMissing(
                f"{key_file(self._path)} is missing, or is not the key of this database: without it a forgotten person's "
                "opt-out would not be recognised. Put it back from your backup. If it is lost for good, "
                "`connector person new-key` makes another"
            )
        given = {"number": phone.e164, "now": micros(now), "why": ENDED}

        def work(connection: sqlite3.Connection) -> None:
            for statement in (ASK, SKIP_LOG, SKIP, END):
                connection.execute(statement, given)

        await self._writer.run(work)

    async def erase(self, phone: Phone, *, now: datetime, recognise: timedelta) -> Erased:
        """Erase what nothing waits for of a person who is to be forgotten.

        A repeat of an erased event is recognised for `recognise` after its arrival.
        """
        hits = await asyncio.to_thread(search, self._path, phone)
        work = partial(_erase, phone=phone, hits=hits, now=now, recognise=recognise)
        done = await self._writer.run(work)
        self.log_holds_erased = True
        if not done.waits:
            await asyncio.to_thread(add_to_list, self._path, self.pseudonym(phone), now)
        return done

    async def empty_log(self) -> bool:
        """Remove what is erased from the write-ahead log and from the unused space of pages too.

        False while a backup or another reader needs the log.
        """
        if not await self._writer.empty_log():
            return False
        pages = await asyncio.to_thread(lambda: list(self._free_space.unclean()))
        for start in range(0, len(pages), CLEANED):
            if not await self._writer.empty_log(partial(self._free_space.overwrite, pages[start : start + CLEANED])):
                return False
        self.log_holds_erased = False
        return True

    def close(self) -> None:
        """Close the file, after SQLite has closed it."""
        self._free_space.close()

    async def named_elsewhere(self, phone: Phone) -> NamedElsewhere:
        """Which events of other people, and which unreadable bodies, name the number. It reads the whole database."""
        hits = await asyncio.to_thread(search, self._path, phone)
        unreadable: set[int] = set()
        others: set[int] = set()
        for hit in hits:
            if hit.table in {"inbox", "units"}:
                query = "SELECT msisdn, event IS NULL FROM inbox WHERE id = ?"
                event_id = event_of(self._reader, hit)
                row = self._reader.execute(query, (event_id,)).fetchone()
                if row is not None and row[0] != phone.e164:
                    (unreadable if row[1] else others).add(event_id)
        return NamedElsewhere(
            unreadable=tuple(sorted(unreadable)),
            others=tuple(sorted(others)),
            mappings=any(hit.table == "mappings" for hit in hits),
        )


def _open_items(connection: sqlite3.Connection, given: Mapping[str, Any]) -> OpenItems:
    rows = connection.execute(STATES, given).fetchall()
    return OpenItems(
        delivering=tuple(row[0] for row in rows if row[2]),
        not_confirmed=tuple(row[0] for row in rows if row[3]),
        undecided=tuple(row[0] for row in rows if row[4]),
        charges=tuple(row[0] for row in connection.execute(OPEN_CHARGES, given).fetchall()),
    )


def _erase(
    connection: sqlite3.Connection, *, phone: Phone, hits: Sequence[Hit], now: datetime, recognise: timedelta
) -> Erased:
    """One transaction inside the writer."""
    row = connection.execute("SELECT last_event_id FROM forgotten WHERE number = ?", (phone.e164,)).fetchone()
    if row is None:
        return Erased(events=0, waits=OpenItems())  # it was erased meanwhile
    given: dict[str, Any] = {"number": phone.e164, "last": row[0], "now": micros(now)}
    waits = _open_items(connection, given)
    mentions = Mentions(phone)
    if others := [
        hit for hit in hits if hit.table in {"inbox", "units"} and is_open_event_of_another(connection, hit, given)
    ]:
        event_ids = {event_of(connection, hit) for hit in others}
        waits = OpenItems(
            delivering=tuple(sorted({*waits.delivering, *event_ids})),
            not_confirmed=waits.not_confirmed,
            undecided=waits.undecided,
            charges=waits.charges,
        )
    mine = [row[0] for row in connection.execute(STATES, given)]
    # A newer event of the person may say what an older one must not overwrite any more.
    first_open = min((one for one in waits.events if one in set(mine)), default=row[0] + 1)
    gone = [one for one in mine if one < first_open]
    given |= {"ids": as_list(gone), "open": as_list([one for one in mine if one >= first_open])}
    given["kept"] = recognise // timedelta(microseconds=1)
    keys = _written_keys(connection, gone) if gone else []
    connection.execute(REMEMBER_EVENTS, given)
    for statement in ERASE_EVENTS:
        connection.execute(statement, given)
    if waits:
        connection.execute(ERASE_OLD_OBLIGATIONS, given)
        connection.execute(HASH_LEDGER, given)
        return Erased(events=len(gone), waits=waits)
    _keep_flag(connection, given, now)
    connection.execute(ERASE_OLD_OBLIGATIONS, given)
    connection.execute(HASH_LEDGER, given)
    _erase_records(connection, given, keys)
    for statement in HASH_BOOKS:
        connection.execute(statement, given)
    connection.execute("DELETE FROM stop_answers WHERE person = pseudonym(:number)", given)
    for hit in hits:
        remove_number(connection, hit, mentions, given)
    forget_id(connection, phone.e164)
    connection.execute("UPDATE forgotten SET number = NULL, erased_at = :now WHERE number = :number", given)
    return Erased(events=len(gone), waits=waits)


def _written_keys(connection: sqlite3.Connection, event_ids: Sequence[int]) -> list[tuple[str, str, str, str]]:
    """CRM, object, field and key of the records that the events wrote, where the key comes from the event or its person."""
    found: dict[tuple[str, str, str, str], None] = {}
    query = """SELECT units.sink, units.operations, inbox.key, inbox.event FROM units CROSS JOIN inbox ON inbox.id = units.event_id
        WHERE units.event_id IN (SELECT value FROM json_each(?))"""
    for sink, operations, event_key, event in connection.execute(query, (as_list(list(event_ids)),)).fetchall():
        for one in operations_from_json(operations):
            if isinstance(one, RecordWrite) and one.keyed and (event_key in one.key or one.key in (event or "")):
                found[sink, one.object, one.key_field, one.key] = None
    return list(found)


def _keep_flag(connection: sqlite3.Connection, given: Mapping[str, Any], now: datetime) -> None:
    """Keep in the ledger an opt-out that only the flag of a record says."""
    flags = [row for row in connection.execute(RECORDS, given).fetchall() if row[3] and row[4] is None]
    word = connection.execute(LAST_WORD, given).fetchone()
    if not flags or (word is not None and word[0] == Verdict.OPT_OUT):
        return
    crm, name, record_id, *_, seen_at = flags[0]
    (pseudonym,) = connection.execute("SELECT pseudonym(?)", (given["number"],)).fetchone()
    decision = Decision(
        phone=Phone(pseudonym),
        word=Verdict.OPT_OUT,
        scope=Scope.EVERYTHING,
        subscription=Subscription(provider=crm),
        origin=crm,
        occurred_at=min(moment(seen_at), now),
    )
    key = f"{FLAG_KEPT} {crm} {name} {record_id}"
    connection.execute(KEEP_FLAG, {**given, "key": key, "decision": decision_to_json(decision)})


def _erase_records(
    connection: sqlite3.Connection,
    given: Mapping[str, Any],
    keys: Sequence[tuple[str, str, str, str]],
) -> None:
    """Erase what is known of the person's records: those with the number, and those that their events wrote by a key of theirs."""
    records = {row[:3] for row in connection.execute(RECORDS, given).fetchall()}
    for crm, name, key_field, key in keys:
        query = "SELECT record_id FROM links WHERE crm = ? AND object = ? AND key_field = ? AND key = ?"
        for (record_id,) in connection.execute(query, (crm, name, key_field, key)).fetchall():
            records.add((crm, name, record_id))
    for record in records:
        for statement in ERASE_RECORDS:
            connection.execute(statement, record)
    for one in keys:
        connection.execute(ERASE_LINK, one)
