"""Compares a feed's row with its shadow: nothing new, an echo of our write, the CRM's automation, or a person's change."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from connector.model.consent_fields import ConsentFields
from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.event import Verdict
from connector.model.last_write import LastWrite
from connector.model.operation import ID_FIELD, MATCHED_BY, RecordWrite
from connector.model.record_number import NO_REGION, NumberReader, known_by_key
from connector.ports import Feed, Row, Shadow

CHANGED = "change"
NUMBER_CHANGED = "number_changed"
UNCLEAR_AUTHOR = "unclear_author"
NO_WRITE = LastWrite()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The differences between a row and its shadow."""

    fields: tuple[str, ...] = ()  # the fields that changed
    verdict: Verdict = Verdict.NONE
    number_changed: bool = False  # of an opted-out record: a person must decide about the new number
    # What the CRM's automation made of a flag that we wrote: OPT_IN if it cleared the flag, OPT_OUT if it set it.
    rewritten: Verdict = Verdict.NONE
    # More changed fields, of which it is unknown whether a person or automation changed them.
    unclear: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.unclear)

    @property
    def action(self) -> str:
        """The action of the event of this change. A new opt-out is not delayed by a question about the number."""
        return NUMBER_CHANGED if self.number_changed and self.verdict is Verdict.NONE else CHANGED


def alike(one: Any, other: Any, traits: CrmTraits = PLAIN) -> bool:
    """Whether two values are equal to the CRM: numbers by value, times by the second, blank text and null alike."""
    if isinstance(one, bool) or isinstance(other, bool):
        return bool(one) is bool(other) if _flaglike(one) and _flaglike(other) else False
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return Decimal(str(one)) == Decimal(str(other))
    texts = isinstance(one, str) and isinstance(other, str)
    if texts and (_same_time(one, other) or traits.full_id(one) == traits.full_id(other)):
        return True
    return bool(_trimmed(one) == _trimmed(other))


def may_differ(shown: Any, known: Any, traits: CrmTraits) -> bool:
    """Whether a value may differ from the known one. It may be given as text, as in tables."""
    if shown == known and type(shown) is type(known):
        return False
    if isinstance(shown, str) and isinstance(known, bool):
        shown = {"true": True, "false": False}.get(shown.casefold(), shown)
    elif isinstance(shown, str) and isinstance(known, int | float | Decimal):
        try:
            shown = Decimal(shown)
        except ArithmeticError:
            return True
    return not alike(shown, known, traits)


def _trimmed(value: Any) -> Any:
    """The value as CRMs store it: without surrounding blanks, and null if nothing is left."""
    return value.strip() or None if isinstance(value, str) else value


def _same_time(one: str, other: str) -> bool:
    """Whether two times are equal. CRMs keep times to the second, and write them in their own way."""
    if "T" not in one or "T" not in other:
        return False
    try:
        times = [datetime.fromisoformat(text) for text in (one, other)]
    except ValueError:
        return False
    return all(time.tzinfo for time in times) and times[0].replace(microsecond=0) == times[1].replace(microsecond=0)


def kept_as(written: Any, shown: Any) -> bool:
    """Whether the shown value is the written number, rounded to fewer digits by the CRM."""
    numbers = (int, float, Decimal)
    if isinstance(written, bool) or isinstance(shown, bool):
        return False
    if not isinstance(written, numbers) or not isinstance(shown, numbers):
        return False
    given, kept = (Decimal(str(one)).normalize() for one in (written, shown))
    step = int(kept.as_tuple().exponent)
    # 99.5 may be kept as 100 in whole numbers, but 60 never as 100: only digits after the decimal point are dropped.
    return int(given.as_tuple().exponent) < min(step, 0) and abs(given - kept) < Decimal(1).scaleb(min(step, 0))


def cut_from(written: Any, shown: Any) -> bool:
    """Whether the text that a CRM shows is the beginning of the written one."""
    return (
        isinstance(written, str)
        and isinstance(shown, str)
        and bool(shown.strip())
        and written.strip().startswith(shown.strip())
    )


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
    by_us: bool | None = None,
    last_write: LastWrite = NO_WRITE,
    under_way: Collection[str] = (),
    traits: CrmTraits = PLAIN,
) -> Change:
    """Compare a row with its shadow.

    `fields` are the compared fields. `in_doubt` holds, by field of this record, the values of our writes that are
    being done or may have been done: these values are no change. A field that the shadow never held counts as blank
    before, so a new record with the flag set is a change, and one without it is not.

    If our own user made the last change of the record (`by_us`), a difference in a field of our last write comes
    from the CRM's automation (rounding, flows, triggers). So does a difference in a field of a write `under_way`.
    The exception is an opt-out: in doubt a person made it. All other fields were changed by a person before our
    write. A field that we wrote a moment earlier, and that the CRM has not shown since, is unclear: a person is
    asked. An opt-out of ours that the CRM has never shown stays valid, whoever changed the record since.

    Of a record whose number no feed has shown, the number before is that by which our last write found it.
    """
    before = shadow or {}
    if consent is not None and consent.phone and consent.phone not in before and last_write.person:
        before = {**before, consent.phone: last_write.person}
    changed = tuple(
        name
        for name in fields
        if not alike(row.get(name), before.get(name), traits)
        and not any(alike(row.get(name), value, traits) for value in in_doubt.get(name, ()))
        and not (
            name in last_write.unseen and _formed(last_write.unseen[name], row.get(name), by_us=by_us is not False)
        )
    )
    if changed and consent is not None:
        changed = compare_number(changed, row, before, in_doubt=in_doubt, consent=consent, numbers=numbers)
    if not changed:
        return Change()
    out = consent is not None and is_out(row, consent)
    rewritten = Verdict.NONE
    unclear: tuple[str, ...] = ()
    if consent is not None and consent.flag in changed:
        rewritten = _rewritten(consent.flag, last_write, out=out, by_us=by_us)
        if rewritten is not Verdict.NONE:
            changed = tuple(name for name in changed if name != consent.flag)
    if by_us:
        kept = {consent.flag, consent.phone} if consent else set()
        ours = {*last_write.fields, *under_way} - ({consent.flag} if consent and out else set())
        unclear = tuple(name for name in changed if name in last_write.unseen and name not in ours | kept)
        changed = tuple(name for name in changed if name not in ours and name not in unclear)
    if not changed or consent is None:
        return Change(fields=changed, rewritten=rewritten, unclear=unclear)
    verdict = Verdict.NONE
    if consent.flag in changed:
        verdict = Verdict.OPT_OUT if out else Verdict.OPT_IN
    return Change(
        fields=changed,
        verdict=verdict,
        number_changed=out and shadow is not None and _other_number(changed, row, before, consent, verdict),
        rewritten=rewritten,
        unclear=unclear,
    )


def _rewritten(flag: str, last_write: LastWrite, *, out: bool, by_us: bool | None) -> Verdict:
    """What automation made of a flag that we wrote: OPT_IN if it undid an opt-out. In doubt an opt-out is a person's."""
    if by_us and flag in last_write.fields:
        return Verdict.OPT_OUT if out else Verdict.OPT_IN
    # A person in the CRM cannot have decided about an opt-out that the CRM has never shown.
    return Verdict.OPT_IN if flag in last_write.unseen and not out else Verdict.NONE


def _formed(written: Any, shown: Any, *, by_us: bool) -> bool:
    """Whether the CRM keeps our value in another form. After another user's change, a cut text may be that user's."""
    return kept_as(written, shown) or (by_us and cut_from(written, shown))


def _other_number(
    changed: Collection[str],
    now: Mapping[str, Any],
    before: Mapping[str, Any],
    consent: ConsentFields,
    verdict: Verdict,
) -> bool:
    """Whether the record has another number now. A removed number is none, and a number set together with the flag is clear."""
    phone = consent.phone
    if phone is None or phone not in changed or _trimmed(now.get(phone)) is None:
        return False
    return verdict is Verdict.NONE or _trimmed(before.get(phone)) is not None


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

    The same number in another form is not a change. Another country changes a number that has no country code.
    """
    phone, country = consent.phone, consent.country
    if phone is None or not {phone, country} & set(changed):
        return changed
    # A country that was never read has not changed.
    where = {country: before.get(country, row.get(country))} if country else {}
    now, known = numbers.of(row, consent), numbers.of({phone: before.get(phone), **where}, consent)
    ours = (numbers.of({**row, phone: value}, consent) for value in in_doubt.get(phone, ()))
    if phone in changed:
        same = now.same_as(known) or any(now.same_as(one) for one in ours)
        return tuple(name for name in changed if name != phone) if same else changed
    return changed if now.same_as(known) or not (now.possible and known.possible) else (*changed, phone)


def is_out(fields: Mapping[str, Any], consent: ConsentFields) -> bool:
    """Whether the record's flag means opted out."""
    value = fields.get(consent.flag)
    return value is not None and alike(value, consent.opted_out)


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of a feed, compared with what is known of its record."""

    row: Row
    change: Change
    out: bool | None  # whether its flag means opted out; None if no field of the object holds consent


def read_rows(
    rows: Iterable[Row],
    *,
    feed: Feed,
    consent: ConsentFields | None,
    shadows: Mapping[str, Mapping[str, Any]],
    under_way: Iterable[RecordWrite],
    numbers: NumberReader = NO_REGION,
    unchanged_values: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
    in_review: Collection[str] = (),
    last_writes: Mapping[str, LastWrite] | None = None,
    compared: Callable[[Shadow], Collection[str]] | None = None,
) -> list[Reading]:
    """Read a page. `under_way` are our writes that are being done or may have been done.

    `numbers` reads the numbers that a match looks for. `unchanged_values`: by record id and field, values that are no change
    there. `in_review`: record ids about whose flag a person is asked. `last_writes`: by record id, our last write.
    `compared`: gives the fields to compare with a shadow, if these are not all of the feed's.
    """
    traits = feed.traits
    by_record: dict[tuple[str, str], dict[str, list[Any]]] = {}
    matched: dict[str, None] = {}  # the fields that are searched for numbers
    for write in under_way:
        comparable = traits.full_id if write.key_field == ID_FIELD else traits.folded_key
        shown = comparable(write.key)
        places = [(write.key_field, shown)]
        if write.match is not None:
            matched.update(dict.fromkeys(write.match.fields))
            places.append((MATCHED_BY, write.match.phone.e164))
        for place in places:
            values = by_record.setdefault(place, {})
            for name, value in (*write.create.items(), *write.set.items()):
                values.setdefault(name, []).append(value)
    readings = []
    for row in rows:
        in_doubt = {name: list(values) for name, values in (unchanged_values or {}).get(row.record_id, {}).items()}
        names = [(name, traits.folded_key(str(row.fields.get(name) or ""))) for name in feed.key_fields]
        country = row.fields.get(consent.country) if consent and consent.country else None
        keys = [row.fields.get(name) for name in feed.key_fields]
        phones = {known_by_key(numbers.read(row.fields.get(name), country), keys).phone for name in matched}
        matches = [(MATCHED_BY, phone.e164) for phone in phones if phone is not None]
        being_written: dict[str, None] = {}
        for key in [*names, (ID_FIELD, traits.full_id(row.record_id)), *matches]:
            for one, several in by_record.get(key, {}).items():
                in_doubt.setdefault(one, []).extend(several)
                being_written[one] = None
        shadow = shadows.get(row.record_id)
        watched = feed.fields if compared is None else compared(shadow)
        if consent and row.record_id in in_review:
            watched = tuple(name for name in watched if name != consent.flag)
        change = compare(
            row.fields,
            shadow,
            fields=watched,
            in_doubt=in_doubt,
            consent=consent,
            numbers=numbers,
            by_us=row.by_us,
            last_write=(last_writes or {}).get(row.record_id, NO_WRITE),
            under_way=being_written,
            traits=traits,
        )
        readings.append(Reading(row, change, is_out(row.fields, consent) if consent else None))
    return readings
