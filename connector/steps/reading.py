"""A page of a feed → what the store keeps of it: shadows, events and the cursor, all in one transaction."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import uuid4

import orjson

from connector.consent.changes import Reading, change_event, read_rows
from connector.delivery.peers import Watch
from connector.model.phone import Phone, phone_as_written
from connector.model.roles import Feed, Page
from connector.steps.keeping import entry
from connector.store.following import FollowStep, Seen
from connector.store.inbox import Entry
from connector.store.records import ShadowWrite


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
        done = replace(self, position=page.position, baseline=self.baseline and not page.last)
        return orjson.dumps(done).decode()


def read_page(watch: Watch, page: Page, cursor: Cursor, seen: Seen, *, region: str | None, now: datetime) -> FollowStep:
    """Hold each row against its shadow. Runs inside the transaction that keeps the result."""
    feed, consent = watch.feed, watch.consent
    shadows: list[ShadowWrite] = []
    entries: list[Entry] = []
    moved: list[str] = []  # records with another number than before: whoever calls by the old one is matched anew
    rows = [row for row in page.rows if not row.deleted]
    for one in read_rows(
        rows, feed=feed, consent=consent, shadows=seen.shadows, under_way=seen.in_doubt, region=region
    ):
        fields = one.row.fields
        phone = phone_as_written(fields.get(consent.phone), region) if consent and consent.phone else None
        shadows.extend(_known(one, feed, phone))
        if consent and consent.phone in one.change.fields:
            moved.append(one.row.record_id)
        if one.change and not cursor.baseline:
            event = change_event(
                one,
                crm=feed.crm,
                object_name=feed.object,
                msisdn=phone,
                poll=watch.poll or "",
                unique=uuid4().hex,
                received_at=now,
            )
            entries.append(entry(event, b""))
    gone = tuple(row.record_id for row in page.rows if row.deleted)
    return FollowStep(
        entries=tuple(entries), shadows=tuple(shadows), unlink=tuple(moved), forget=gone, cursor=cursor.after(page)
    )


def _known(reading: Reading, feed: Feed, phone: Phone | None) -> list[ShadowWrite]:
    """The row as its record's new shadow, linked with the keys by which we write it."""
    row = reading.row
    base = ShadowWrite(
        crm=feed.crm,
        object=feed.object,
        record_id=row.record_id,
        fields={name: row.fields.get(name) for name in feed.fields},
        phone=phone.e164 if phone else "",
        opted_out=reading.out,
    )
    keys = [(name, row.fields.get(name)) for name in feed.key_fields]
    linked = [replace(base, key_field=name, key=str(key)) for name, key in keys if key]
    return linked or [base]
