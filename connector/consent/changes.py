"""What a row of a feed means beside the shadow: nothing new, an echo of ours, or a change that a person made."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from connector.model.event import Event, Verdict, joined_key
from connector.model.operation import ID_FIELD, MATCHED_BY, RecordWrite
from connector.model.record_number import NO_REGION, NumberReader, RecordNumber, known_by_key
from connector.model.roles import ConsentFields, Feed, Row, Shadow

CHANGED = "change"
NUMBER_CHANGED = "number_changed"
SHORT_ID = 15  # characters of a record id without its check digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a row differs from its shadow."""

    fields: tuple[str, ...] = ()  # that changed
    verdict: Verdict = Verdict.NONE
    number_changed: bool = False  # of a record that is opted out: a person must look, nothing is sent

    def __bool__(self) -> bool:
        return bool(self.fields)

    @property
    def action(self) -> str:
        """The action of the event that the change becomes."""
        return NUMBER_CHANGED if self.number_changed else CHANGED


def alike(one: Any, other: Any) -> bool:
    """Whether two values are one to the CRM: numbers by value, times by the second, blank text and null alike."""
    if isinstance(one, bool) or isinstance(other, bool):
        return bool(one) is bool(other) if _flaglike(one) and _flaglike(other) else False
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return Decimal(str(one)) == Decimal(str(other))
    if isinstance(one, str) and isinstance(other, str) and _same_time(one, other):
        return True
    return bool(_trimmed(one) == _trimmed(other))


def _trimmed(value: Any) -> Any:
    """CRMs cut the blanks around a text, and keep nothing where nothing is left."""
    return value.strip() or None if isinstance(value, str) else value


def _same_time(one: str, other: str) -> bool:
    """CRMs keep times to the second, and write them in their own way."""
    if "T" not in one or "T" not in other:
        return False
    try:
        times = [datetime.fromisoformat(text) for text in (one, other)]
    except ValueError:
        return False
    return all(time.tzinfo for time in times) and times[0].replace(microsecond=0) == times[1].replace(microsecond=0)


def _flaglike(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def compare(
    row: Mapping[str, Any],
    shadow: Shadow,
    *,
    fields: Collection[str],
    in_doubt: Mapping[str, Collection[Any]],
    consent: ConsentFields | None,
    numbers: NumberReader = NO_REGION,
) -> Change:
    """Hold a row against its shadow.

    `fields` are those that the feed watches; `in_doubt` holds, for fields of this record, the values of writes of ours that are under
    way or may have been done: they are no change either. A field that the shadow has never held counts as blank before, so that
    a new record with the flag set is a change and one without is not.
    """
    before = shadow or {}
    changed = tuple(
        name
        for name in fields
        if not alike(row.get(name), before.get(name))
        and not any(alike(row.get(name), value) for value in in_doubt.get(name, ()))
    )
    if changed and consent is not None:
        changed = compare_number(changed, row, before, in_doubt=in_doubt, consent=consent, numbers=numbers)
    if not changed or consent is None:
        return Change(fields=changed)
    out = is_out(row, consent)
    verdict = Verdict.NONE
    if consent.flag in changed:
        verdict = Verdict.OPT_OUT if out else Verdict.OPT_IN
    number_changed = consent.phone in changed and out and verdict is Verdict.NONE and shadow is not None
    return Change(fields=changed, verdict=verdict, number_changed=number_changed)


def compare_number(
    changed: tuple[str, ...],
    row: Mapping[str, Any],
    before: Mapping[str, Any],
    *,
    in_doubt: Mapping[str, Collection[Any]],
    consent: ConsentFields,
    numbers: NumberReader,
) -> tuple[str, ...]:
    """The changed fields, with the phone field compared as a number and not as a text.

    The same number in another form is no change, and another country makes another number of one without its country code.
    """
    phone, country = consent.phone, consent.country
    if phone is None or not {phone, country} & set(changed):
        return changed
    # What was never looked at was no other country.
    where = {country: before.get(country, row.get(country))} if country else {}
    now, known = numbers.of(row, consent), numbers.of({phone: before.get(phone), **where}, consent)
    ours = (numbers.of({**row, phone: value}, consent) for value in in_doubt.get(phone, ()))
    if phone in changed:
        same = now.same_as(known) or any(now.same_as(one) for one in ours)
        return tuple(name for name in changed if name != phone) if same else changed
    return changed if now.same_as(known) or not (now.possible and known.possible) else (*changed, phone)


def is_out(fields: Mapping[str, Any], consent: ConsentFields) -> bool:
    """Whether the record's flag says: out."""
    value = fields.get(consent.flag)
    return value is not None and alike(value, consent.opted_out)


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of a feed, held against what is known of its record."""

    row: Row
    change: Change
    out: bool | None  # what its flag says; None where no field of the object bears consent


def read_rows(
    rows: Iterable[Row],
    *,
    feed: Feed,
    consent: ConsentFields | None,
    shadows: Mapping[str, Mapping[str, Any]],
    under_way: Iterable[RecordWrite],
    numbers: NumberReader = NO_REGION,
    no_news: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
    in_review: Collection[str] = (),
) -> list[Reading]:
    """Read a page. `under_way` are writes of ours that are being done or may have been done.

    `numbers` reads whom a match means. `no_news`: by record id and field, values that are no change there; `in_review`: record
    ids about whose flag a person is asked.
    """
    by_record: dict[tuple[str, str], dict[str, list[Any]]] = {}
    matched: dict[str, None] = {}  # the fields in which numbers are looked for
    for write in under_way:
        # An Id of 15 characters names the record too, and tells the cases of its letters apart.
        told = write.key[:SHORT_ID] if write.key_field == ID_FIELD else write.key.lower()
        places = [(write.key_field, told)]
        if write.match is not None:
            matched.update(dict.fromkeys(write.match.fields))
            places.append((MATCHED_BY, write.match.phone.e164))
        for place in places:
            values = by_record.setdefault(place, {})
            for name, value in (*write.create.items(), *write.set.items()):
                values.setdefault(name, []).append(value)
    readings = []
    for row in rows:
        in_doubt = {name: list(values) for name, values in (no_news or {}).get(row.record_id, {}).items()}
        names = [(name, str(row.fields.get(name) or "").lower()) for name in feed.key_fields]
        country = row.fields.get(consent.country) if consent and consent.country else None
        keys = [row.fields.get(name) for name in feed.key_fields]
        phones = {known_by_key(numbers.read(row.fields.get(name), country), keys).phone for name in matched}
        matches = [(MATCHED_BY, phone.e164) for phone in phones if phone is not None]
        for key in [*names, (ID_FIELD, row.record_id[:SHORT_ID]), *matches]:
            for one, several in by_record.get(key, {}).items():
                in_doubt.setdefault(one, []).extend(several)
        shadow = shadows.get(row.record_id)
        watched = feed.fields
        if consent and row.record_id in in_review:
            watched = tuple(name for name in watched if name != consent.flag)
        change = compare(row.fields, shadow, fields=watched, in_doubt=in_doubt, consent=consent, numbers=numbers)
        readings.append(Reading(row, change, is_out(row.fields, consent) if consent else None))
    return readings


def change_event(
    reading: Reading, *, crm: str, object_name: str, number: RecordNumber, poll: str, unique: str, received_at: datetime
) -> Event:
    """The event that a change becomes.

    `unique` sets it apart from all others: a record can change to and fro within one second, which is all that stamps tell. The
    shadow moves in the transaction that keeps the event, so that no change becomes two.
    """
    row, change = reading.row, reading.change
    return Event(
        key=joined_key(crm, "change", row.record_id, unique),
        provider=crm,
        shape=CHANGED,
        action=change.action,
        verdict=change.verdict,
        received_at=received_at,
        occurred_at=row.stamp,
        msisdn=number.phone,
        number_is_unclear=number.is_unclear,
        object=object_name,
        record={"Id": row.record_id, **row.fields},
        changed=change.fields,
        batch=poll,
    )
