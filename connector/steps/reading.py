"""A page of a feed → what the store keeps of it: shadows, events and the cursor, all in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

import orjson
from msgspec.structs import replace

from connector.consent.changes import Reading, change_event, read_rows
from connector.consent.merges import merges_of, review_event, taken_over
from connector.delivery.peers import Watch
from connector.model.event import Event, Verdict
from connector.model.phone import Phone
from connector.model.record_number import NO_NUMBER, NumberReader, RecordNumber
from connector.model.roles import Feed, Page, Row
from connector.steps.keeping import entry
from connector.store.following import FollowStep, Seen
from connector.store.moments import micros
from connector.store.pointers import Pointer
from connector.store.records import Gone, ShadowWrite
from connector.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a feed is, and whether its first look is over."""

    fields: tuple[str, ...]
    position: str | None = None
    baseline: bool = True

    @classmethod
    def read(cls, text: str | None, feed: Feed) -> Self:
        """The stored cursor; a new one, and so a first look, where there is none or other fields are watched now."""
        fields = tuple(sorted({*feed.fields, *feed.key_fields}))
        if text is not None:
            stored = orjson.loads(text)
            if tuple(stored["fields"]) == fields:
                return cls(fields=fields, position=stored["position"], baseline=stored["baseline"])
        return cls(fields=fields)

    def after(self, page: Page) -> str:
        """The cursor to be stored behind a page."""
        done = {"fields": self.fields, "position": page.position, "baseline": self.baseline and not page.last}
        return orjson.dumps(done).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that was put to a feed."""

    watch: Watch
    cursor: Cursor
    asked: datetime  # by our clock
    pointers: tuple[Pointer, ...] = ()  # it was about these records; else about what comes after the cursor
    numbers: NumberReader = field(default_factory=NumberReader)  # of the CRM's phone fields


async def keep_page(store: Store, asked: Asked, page: Page, *, now: datetime) -> int:
    """Judge the answer and keep what follows from it; how many events that were."""
    feed = asked.watch.feed
    kept = await store.following.follow(
        feed.name,
        lambda seen: read_page(asked, page, seen, now=now),
        crm=feed.crm,
        object=feed.object,
        record_ids=[record_id for row in page.rows for record_id in (row.record_id, row.merged_into) if record_id],
        pointers=asked.pointers,
        now=now,
    )
    return sum(not one.known for one in kept)


def read_page(asked: Asked, page: Page, seen: Seen, *, now: datetime) -> FollowStep:
    """Hold each row against its shadow. Runs inside the transaction that keeps the result."""
    watch, cursor, numbers = asked.watch, asked.cursor, asked.numbers
    feed, consent = watch.feed, watch.consent

    def whose(fields: Mapping[str, Any]) -> RecordNumber:
        keys = [fields.get(name) for name in feed.key_fields]
        return numbers.of(fields, consent, keys) if consent else NO_NUMBER

    def number(fields: Mapping[str, Any]) -> Phone | None:
        return whose(fields).phone

    later = _later(asked, page, seen, now)
    rows = [row for row in page.rows if row.record_id not in later]
    living = [row for row in rows if not row.deleted]
    known = {record_id: one.fields for record_id, one in seen.records.items()}
    gone = [row for row in rows if row.deleted and not _known_gone(row, seen)]
    deleted = [row for row in gone if row.merged_into is None and row.record_id in known]
    merges = merges_of(gone, living, known)
    lost = [(merge, party) for merge in merges if consent and (party := merge.lost_by(consent))]
    shadows: list[ShadowWrite] = []
    events: list[Event] = []
    moved: list[str] = []  # records with another number than before: whoever calls by the old one is matched anew
    for one in read_rows(
        living + deleted,
        feed=feed,
        consent=consent,
        shadows=known,
        under_way=seen.in_doubt,
        numbers=numbers,
        no_news=taken_over(merges, consent, number),
        in_review={merge.survivor_id for merge, _ in lost},
    ):
        read = whose(one.row.fields)
        if not one.row.deleted:
            shadows.extend(_known(one, feed, read.phone))
            if consent and consent.phone in one.change.fields:
                moved.append(one.row.record_id)
        # Who sets the flag and deletes the record at once has opted the donor out; nothing else of a deleted record counts.
        if one.change and (not one.row.deleted or one.change.verdict is Verdict.OPT_OUT):
            poll = watch.between if asked.pointers else watch.poll or ""
            events.append(
                change_event(
                    one,
                    crm=feed.crm,
                    object_name=feed.object,
                    number=read,
                    poll=poll,
                    unique=uuid4().hex,
                    received_at=now,
                )
            )
    events += [
        review_event(merge, party, crm=feed.crm, object_name=feed.object, msisdn=number(party), received_at=now)
        for merge, party in lost
    ]
    if cursor.baseline:
        # What we wrote meanwhile is newer; a first look adds only what nothing is known of.
        under = [row for row in page.rows if row.record_id in later and not row.deleted]
        shadows += [
            ShadowWrite(crm=feed.crm, object=feed.object, record_id=row.record_id, otherwise=_watched(row, feed))
            for row in under
        ]
        events, later = [], {}
    return FollowStep(
        entries=tuple(entry(event, b"") for event in events),
        shadows=tuple(shadows),
        unlink=tuple(moved),
        gone=tuple(Gone(record_id=row.record_id, merged_into=row.merged_into) for row in gone),
        look_again=tuple(sorted(set(later.values()) - (frozenset() if asked.pointers else seen.pointed))),
        cursor=None if asked.pointers else cursor.after(page),
    )


def _later(asked: Asked, page: Page, seen: Seen, now: datetime) -> dict[str, str]:
    """Rows that cannot be judged by this page: record id → whom to look at instead, by itself."""
    # What we have written since we asked, the page may not show yet: it would look as if a person had taken it back.
    here = {row.record_id for row in page.rows}
    later = {
        record_id: record_id
        for record_id, one in seen.records.items()
        if record_id in here and micros(asked.asked) <= one.seen_at <= micros(now)
    }
    if asked.cursor.baseline:
        return later
    if not asked.pointers:
        # A look at a record shows with it what was merged into it; a page may show only one of them.
        later |= {
            row.record_id: row.merged_into
            for row in page.rows
            if row.merged_into and row.merged_into not in here and not _known_gone(row, seen)
        }
        later |= {record_id: record_id for record_id in seen.pointed & here}
    # The parties of a merge are judged together.
    for row in page.rows:
        if row.merged_into and (row.record_id in later or row.merged_into in later):
            later |= {row.record_id: row.merged_into, row.merged_into: row.merged_into}
    return later


def _known_gone(row: Row, seen: Seen) -> bool:
    one = seen.records.get(row.record_id)
    return one is not None and one.gone_at is not None


def _watched(row: Row, feed: Feed) -> dict[str, Any]:
    return {name: row.fields.get(name) for name in feed.fields}


def _known(reading: Reading, feed: Feed, phone: Phone | None) -> list[ShadowWrite]:
    """The row as its record's new shadow, linked with the keys by which we write it."""
    row = reading.row
    base = ShadowWrite(
        crm=feed.crm,
        object=feed.object,
        record_id=row.record_id,
        fields=_watched(row, feed),
        phone=phone.e164 if phone else "",
        opted_out=reading.out,
        shown=True,
    )
    keys = [(name, row.fields.get(name)) for name in feed.key_fields]
    linked = [replace(base, key_field=name, key=str(key)) for name, key in keys if key]
    return linked or [base]
