"""Compares a page of a feed with the shadows, and stores new shadows, events and the cursor in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from msgspec import structs

from connector.consent.change_events import change_events, deletion_events, numbers_in_keys
from connector.consent.changes import ComparedRow, compare_rows, is_opted_out
from connector.consent.guard import with_flag_at_creation
from connector.consent.merges import Merge, merges_in, review_event, subscriber_questions, values_taken_over
from connector.delivery.channels import FeedChannel
from connector.model.consent import CLOCK_TOLERANCE
from connector.model.consent_fields import ConsentFields
from connector.model.event import Event, Verdict
from connector.model.last_write import LastWrite
from connector.model.operation import RecordWrite
from connector.model.phone import Phone
from connector.model.record_number import NO_NUMBER, NumberReader, RecordNumber
from connector.pipeline.cleared_in_doubt import with_cleared_flags
from connector.pipeline.cursor import Cursor
from connector.pipeline.receive import entry
from connector.ports import Feed, Page, Row, Shadow
from connector.store.change_notices import StoredNotice
from connector.store.feeds import FollowStep, Seen
from connector.store.gone_records import Gone
from connector.store.inbox import Entry
from connector.store.records import ShadowWrite
from connector.store.restore import Restored
from connector.store.sql import micros
from connector.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuery:
    """A query that was sent to a feed."""

    channel: FeedChannel
    cursor: Cursor
    asked: datetime  # by our clock
    # The records that were queried; if empty, the query was for changes after the cursor.
    notices: tuple[StoredNotice, ...] = ()
    poll: str | None = None  # the poll that counts the changes, if the query was for opted-out or differing records
    only_known: bool = False  # records without a shadow are only stored
    numbers: NumberReader = field(default_factory=NumberReader)  # of the CRM's phone fields

    @property
    def moves_cursor(self) -> bool:
        """Whether the cursor moves past the page."""
        return not self.notices and self.poll is None

    def compared(self, shadow: Shadow) -> tuple[str, ...]:
        """The fields of a row that are compared with its shadow; the others are only stored."""
        return () if self.only_known and shadow is None else self.cursor.compared(self.channel.feed, shadow)


LostOptOut = tuple[Merge, Mapping[str, Any]]  # a merge, and the fields of the record whose opt-out it lost
# By new verdict: the ids of records whose flag automation changed after our write.
Rewritten = Mapping[Verdict, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageKept:
    """The result of a page."""

    entries: tuple[Entry, ...]  # the events that are new
    rewritten: Rewritten


async def keep_page(store: Store, query: FeedQuery, page: Page, *, now: datetime) -> PageKept:
    """Compare the page with the shadows, and store the result."""
    feed = query.channel.feed
    rewritten: Rewritten = {}
    entries: tuple[Entry, ...] = ()

    def compare(seen: Seen) -> FollowStep:
        nonlocal rewritten, entries
        step, rewritten = read_page(query, page, seen, now=now, restored=store.restored)
        entries = step.entries
        return step

    kept = await store.following.follow(
        feed.name,
        compare,
        crm=feed.crm,
        object=feed.object,
        record_ids=[record_id for row in page.rows for record_id in (row.record_id, row.merged_into) if record_id],
        notices=query.notices,
        now=now,
    )
    new = tuple(entry for entry, kept_entry in zip(entries, kept, strict=True) if not kept_entry.known)
    return PageKept(entries=new, rewritten=rewritten)


def read_page(
    query: FeedQuery, page: Page, seen: Seen, *, now: datetime, restored: Restored | None = None
) -> tuple[FollowStep, Rewritten]:
    """Compare each row with its shadow. Runs inside the transaction that stores the result."""
    cursor, feed, consent = query.cursor, query.channel.feed, query.channel.consent
    deferred = _deferred_rows(query, page, seen, now)
    rows = [row for row in page.rows if row.record_id not in deferred]
    existing = [row for row in rows if not row.deleted]
    shadows = {record_id: record.fields for record_id, record in seen.records.items()}
    gone = [row for row in rows if row.deleted and not _is_known_deleted(row, seen)]
    # The flag of a kept record may come from a merged one, which is compared by itself.
    kept = {row.merged_into for row in gone}
    known_gone = [row for row in gone if row.record_id in shadows and not (row.merged_into and row.record_id in kept)]
    merges = merges_in(gone, existing, shadows)
    lost_opt_outs = [(merge, party) for merge in merges if consent and (party := merge.lost_opt_out(consent))]
    found = _PageFindings(query, seen, now)
    found.note_merges(merges)
    last_writes = {record_id: record.last_write for record_id, record in seen.records.items() if record.last_write}
    missing_writes = _writes_missing_from_backup(rows, seen, restored) if restored else ()
    last_writes |= {row.record_id: _all_but_flag(feed, consent) for row in missing_writes}
    compared_rows = compare_rows(
        existing + known_gone,
        feed=feed,
        consent=consent,
        shadows=with_cleared_flags(shadows, existing, seen, feed, consent, query.numbers),
        under_way=_as_sent(seen, consent),
        further_keys=_further_keys(merges, seen, feed) if seen.in_doubt else {},
        numbers=query.numbers,
        unchanged_values={
            **values_taken_over(merges, consent, found.number, seen.opted_out),
            **_values_of_forgotten(rows, seen, consent),
        },
        in_review={merge.kept_id for merge, _ in lost_opt_outs}
        | {row.record_id for row in missing_writes if consent and not is_opted_out(row.fields, consent)},
        last_writes=last_writes,
        compared=query.compared,
    )
    for compared in compared_rows:
        if compared.row.deleted:
            found.add_deleted_row(compared)
        else:
            found.add_row(compared)
    found.add_questions_about(merges, lost_opt_outs)
    if cursor.baseline:
        # Our own writes since the query are newer than the page, so only unknown fields are stored.
        found.shadows += [
            _shadow_of_unknown_fields(row, feed, cursor, shadows.get(row.record_id))
            for row in page.rows
            if row.record_id in deferred and not row.deleted
        ]
    if cursor.first:
        found.events, deferred = [], {}
    step = FollowStep(
        entries=tuple(entry(event, b"") for event in found.events),
        shadows=tuple(found.shadows),
        unlink=tuple(found.renumbered),
        keys=tuple(
            (row.record_id, name, str(row.fields.get(name) or "")) for row in existing for name in feed.key_fields
        ),
        gone=tuple(Gone(record_id=row.record_id, merged_into=row.merged_into) for row in gone),
        look_again=tuple(sorted(set(deferred.values()) - (frozenset() if query.notices else seen.with_notice))),
        cursor=cursor.after(page, query.channel.poll) if query.moves_cursor else None,
        taken_back=found.taken_back,
        out=_e164(found.opted_out),
        deleted=_e164(phone for row in known_gone if not row.merged_into for phone in found.former_numbers(row)),
    )
    return step, found.rewritten


def _writes_missing_from_backup(rows: Iterable[Row], seen: Seen, restored: Restored) -> list[Row]:
    """Rows that we wrote last, after the backup that was restored: the database has no record of these writes.

    They are no changes by a person. An opt-out among them still counts, because the backup may lack the donor's STOP.
    """
    earliest, latest = restored.taken_at - CLOCK_TOLERANCE, restored.restored_at + CLOCK_TOLERANCE
    return [
        row
        for row in rows
        if row.by_us
        and earliest <= row.stamp <= latest
        and not ((known := seen.records.get(row.record_id)) and known.seen_at > micros(restored.restored_at))
    ]


def _values_of_forgotten(
    rows: Iterable[Row], seen: Seen, consent: ConsentFields | None
) -> dict[str, dict[str, list[Any]]]:
    """Values of rows whose person was forgotten: they are no change, except a flag that was set since then."""
    flag = None if consent is None else consent.flag
    forgotten = {row.record_id: row.fields for row in rows if row.record_id in seen.erased}
    return {
        record: {name: [value] for name, value in fields.items() if name != flag or seen.erased[record]}
        for record, fields in forgotten.items()
    }


def _further_keys(merges: Iterable[Merge], seen: Seen, feed: Feed) -> dict[str, list[tuple[str, str]]]:
    """By record id: keys by which our writes find it although it has another one, also those of records merged into it."""
    keys = {record_id: list(several) for record_id, several in seen.keys.items()}
    for merge in merges:
        merged = merge.merged_away
        shown = [(name, str(merged.fields[name])) for name in feed.key_fields if merged.fields.get(name)]
        keys.setdefault(merge.kept_id, []).extend([*shown, *seen.keys.get(merged.record_id, ())])
    return keys


def _all_but_flag(feed: Feed, consent: ConsentFields | None) -> LastWrite:
    return LastWrite(fields=tuple(name for name in feed.fields if not consent or name != consent.flag))


def _as_sent(seen: Seen, consent: ConsentFields | None) -> list[RecordWrite]:
    """Our writes that are under way or may have been done, as they were sent."""
    return [
        with_flag_at_creation(write, consent)
        if consent is not None and write.may_create and seen.opted_out(lane)
        else write
        for lane, write in seen.in_doubt
    ]


class _PageFindings:
    """Collects the events and shadows of a page's rows."""

    def __init__(self, query: FeedQuery, seen: Seen, now: datetime) -> None:
        self.events: list[Event] = []
        self.shadows: list[ShadowWrite] = []
        # Ids of records with a changed number: a write by the old number is matched again.
        self.renumbered: list[str] = []
        self.opted_out: list[Phone] = []
        self.taken_back: dict[str, str] = {}
        self.rewritten: dict[Verdict, list[str]] = {}
        self._merged: dict[str, list[Phone]] = {}  # by kept record: numbers of records that this page shows merged
        self._poll = query.poll or (query.channel.round_id if query.notices else query.channel.poll) or ""
        self._feed, self._consent = query.channel.feed, query.channel.consent
        self._numbers = query.numbers
        self._records = seen.records
        self._merged_before = seen.merged_numbers
        self._now = now

    def note_merges(self, merges: Iterable[Merge]) -> None:
        """Note the numbers of merged records: an opt-out of the kept record is one for them too."""
        for merge in merges:
            # A merged record that was opted out itself needs no second opt-out.
            if self._consent and not merge.was_opted_out(self._consent):
                self._merged.setdefault(merge.kept_id, []).extend(self._numbers_of_merged(merge))

    def add_row(self, compared: ComparedRow) -> None:
        """Add a row of an existing record."""
        row, change = compared.row, compared.change
        number = self._number_of(row.fields)
        self.shadows += _shadows_of(compared, self._feed, number.phone)
        if self._consent and self._consent.phone in change.fields:
            self.renumbered.append(row.record_id)
        if compared.opted_out and number.phone:
            self.opted_out.append(number.phone)
        if change.rewritten is not Verdict.NONE:
            self.rewritten.setdefault(change.rewritten, []).append(row.record_id)
            if change.rewritten is Verdict.OPT_IN:
                name = f"{self._feed.object} {row.record_id}"
                self.taken_back |= dict.fromkeys(_e164(self._all_numbers(row, number)), name)
        if change:
            self.events += self._change_events(compared, number)

    def add_deleted_row(self, compared: ComparedRow) -> None:
        """Add a row of a record that was deleted or merged since we last read it.

        If a person set its flag before that, the donor is opted out. Its other changes do not count. Some CRMs accept
        writes to a merged record: then the flag is ours, and is on the kept record too.
        """
        row = compared.row
        number = self._number_of(row.fields)
        if compared.change.verdict is Verdict.OPT_OUT and not (row.merged_into and row.by_us):
            self.events += self._change_events(compared, number)
        elif row.merged_into is None and not self._records[row.record_id].opted_out:
            self.events += deletion_events(
                row,
                self._all_numbers(row, number),
                crm=self._feed.crm,
                object_name=self._feed.object,
                received_at=self._now,
                unique=uuid4().hex,
            )

    def add_questions_about(self, merges: Iterable[Merge], lost_opt_outs: Iterable[LostOptOut]) -> None:
        """Add the questions to a person about merges that lost an opt-out, or that joined a subscriber to an opted-out record."""
        feed, consent = self._feed, self._consent
        self.events += [
            review_event(
                merge, fields, crm=feed.crm, object_name=feed.object, msisdn=self.number(fields), received_at=self._now
            )
            for merge, fields in lost_opt_outs
        ]
        self.events += [
            question
            for merge in merges
            if consent and merge.joins_opted_out(consent)
            for question in subscriber_questions(
                merge, self._numbers_of_merged(merge), feed=feed, consent=consent, poll=self._poll, at=self._now
            )
        ]

    def number(self, fields: Mapping[str, Any]) -> Phone | None:
        """The number of a record, if it is clear."""
        return self._number_of(fields).phone

    def former_numbers(self, row: Row) -> list[Phone]:
        """The former numbers of a record: of its shadow, of the person of our last write, and in its keys.

        Numbers of records that were merged into it are included.
        """
        before = self._records.get(row.record_id)
        known = [] if before is None else [before.phone, before.last_write.person if before.last_write else None]
        keys = numbers_in_keys((row.fields.get(name) for name in self._feed.key_fields), self._feed.traits)
        merged = [Phone(e164) for e164 in self._merged_before.get(row.record_id, ())]
        return [*(Phone(e164) for e164 in known if e164), *keys, *merged, *self._merged.get(row.record_id, ())]

    def _numbers_of_merged(self, merge: Merge) -> list[Phone]:
        """The numbers of a merged record."""
        return self._all_numbers(merge.merged_away, self._number_of(merge.before or merge.merged_away.fields))

    def _all_numbers(self, row: Row, number: RecordNumber) -> list[Phone]:
        return [*((number.phone,) if number.phone else ()), *self.former_numbers(row)]

    def _number_of(self, fields: Mapping[str, Any]) -> RecordNumber:
        keys = [fields.get(name) for name in self._feed.key_fields]
        return self._numbers.of(fields, self._consent, keys) if self._consent else NO_NUMBER

    def _change_events(self, compared: ComparedRow, number: RecordNumber) -> list[Event]:
        return change_events(
            compared,
            crm=self._feed.crm,
            object_name=self._feed.object,
            consent=self._consent,
            number=number,
            earlier_numbers=self.former_numbers(compared.row),
            poll=self._poll,
            unique=uuid4().hex,
            received_at=self._now,
        )


def _e164(phones: Iterable[Phone]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phone.e164 for phone in phones))


def _shadow_of_unknown_fields(row: Row, feed: Feed, cursor: Cursor, shadow: Shadow) -> ShadowWrite:
    """The shadow of a row that is read again later: only its unknown fields."""
    compared = cursor.compared(feed, shadow)
    unseen = {name: value for name, value in _watched(row, feed).items() if name not in compared}
    return ShadowWrite(crm=feed.crm, object=feed.object, record_id=row.record_id, otherwise=unseen)


def _deferred_rows(query: FeedQuery, page: Page, seen: Seen, now: datetime) -> dict[str, str]:
    """Rows that this page cannot decide: record id → the record to read again instead."""
    # The page may lack our writes since the query: it would seem that a person had reverted them.
    on_page = {row.record_id for row in page.rows}
    deferred = {
        record_id: record_id
        for record_id, record in seen.records.items()
        if record_id in on_page and micros(query.asked) <= record.seen_at <= micros(now)
    }
    if query.cursor.first:
        return deferred
    if not query.notices:
        # Reading a kept record also returns the records merged into it; a page may have only one of them.
        deferred |= {
            row.record_id: row.merged_into
            for row in page.rows
            if row.merged_into and row.merged_into not in on_page and not _is_known_deleted(row, seen)
        }
        deferred |= {record_id: record_id for record_id in seen.with_notice & on_page}
    # The records of a merge are compared together.
    for row in page.rows:
        if row.merged_into and (row.record_id in deferred or row.merged_into in deferred):
            deferred |= {row.record_id: row.merged_into, row.merged_into: row.merged_into}
    return deferred


def _is_known_deleted(row: Row, seen: Seen) -> bool:
    record = seen.records.get(row.record_id)
    return record is not None and record.gone_at is not None


def _watched(row: Row, feed: Feed) -> dict[str, Any]:
    return {name: row.fields.get(name) for name in feed.fields}


def _shadows_of(compared: ComparedRow, feed: Feed, phone: Phone | None) -> list[ShadowWrite]:
    """The row as its record's new shadow, linked with the keys by which we write it."""
    row = compared.row
    base = ShadowWrite(
        crm=feed.crm,
        object=feed.object,
        record_id=row.record_id,
        fields=_watched(row, feed),
        phone=phone.e164 if phone else "",
        opted_out=compared.opted_out,
        shown=True,
    )
    linked = [
        structs.replace(base, key_field=name, key=str(key)) for name in feed.key_fields if (key := row.fields.get(name))
    ]
    return linked or [base]
