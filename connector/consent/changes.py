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
    """How a row differs from its shadow."""

    fields: tuple[str, ...] = ()  # the fields that changed
    verdict: Verdict = Verdict.NONE
    number_changed: bool = False  # the record is opted out: a person must decide whether the new number is too
    # What the CRM's automation made of a flag that we wrote: OPT_IN if it cleared the flag, OPT_OUT if it set it.
    rewritten: Verdict = Verdict.NONE
    # Other changed fields, of which it is unknown whether a person or automation changed them.
    unclear: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.unclear)

    @property
    def action(self) -> str:
        """The action of the event of this change. A new opt-out is not delayed by a question about the number."""
        return NUMBER_CHANGED if self.number_changed and self.verdict is Verdict.NONE else CHANGED


def same_value(one: Any, other: Any, traits: CrmTraits = PLAIN) -> bool:
    """Whether two values are equal to the CRM: numbers by value, times by the second, blank text and null alike.

    A text field shows a number or yes/no that we wrote as a text, and so does a choice.
    """
    if one is not None and other is not None and isinstance(one, str) is not isinstance(other, str):
        return _is_text_of(one, other) if isinstance(one, str) else _is_text_of(other, one)
    if isinstance(one, bool) or isinstance(other, bool):
        return bool(one) is bool(other) if _is_flag_value(one) and _is_flag_value(other) else False
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return Decimal(str(one)) == Decimal(str(other))
    texts = isinstance(one, str) and isinstance(other, str)
    if texts and (_same_time(one, other) or traits.full_id(one) == traits.full_id(other)):
        return True
    return bool(_trimmed(one) == _trimmed(other))


def _is_text_of(shown: str, value: Any) -> bool:
    """Whether a text is that of a number or of yes/no."""
    if isinstance(value, bool):
        return shown.strip().casefold() == str(value).casefold()
    try:
        return Decimal(shown.strip()) == Decimal(str(value))
    except ArithmeticError:
        return False


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
    return not same_value(shown, known, traits)


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


def is_rounded_by_crm(written: Any, shown: Any) -> bool:
    """Whether the shown value is the written number, rounded to fewer digits by the CRM."""
    numbers = (int, float, Decimal)
    if isinstance(written, bool) or isinstance(shown, bool):
        return False
    if not isinstance(written, numbers) or not isinstance(shown, numbers):
        return False
    exact, rounded = (Decimal(str(value)).normalize() for value in (written, shown))
    # 99.5 may be stored as 100, but 60 never as 100: only digits after the decimal point are dropped.
    last_digit = min(int(rounded.as_tuple().exponent), 0)
    return int(exact.as_tuple().exponent) < last_digit and abs(exact - rounded) < Decimal(1).scaleb(last_digit)


def is_truncated_by_crm(written: Any, shown: Any) -> bool:
    """Whether the text that a CRM shows is the beginning of the written one."""
    return (
        isinstance(written, str)
        and isinstance(shown, str)
        and bool(shown.strip())
        and written.strip().startswith(shown.strip())
    )


def _is_flag_value(value: Any) -> bool:
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
    being sent or may have been stored: these values are no change. A field that is not in the shadow counts as blank,
    so a new record with the flag set is a change, and one without it is not.

    If our own user made the last change of the record (`by_us`), a difference in a field of our last write comes
    from the CRM's automation (rounding, flows, triggers). So does a difference in a field of a write `under_way`.
    The exception is an opt-out: in doubt a person made it. All other fields were changed by a person before our
    write. A field that an earlier write of ours set, and that the CRM has not shown since, is unclear: a person is
    asked. An opt-out of ours that the CRM has never shown stays valid, whoever changed the record since.

    If no feed has shown the record's number yet, it is compared with the number by which our last write found the
    record.

    A flag is taken back only if it meant opted out before: a new record with any other value takes nothing back.
    """
    before = shadow or {}
    if consent is not None and consent.phone and consent.phone not in before and last_write.person:
        before = {**before, consent.phone: last_write.person}
    changed = tuple(
        name
        for name in fields
        if not same_value(row.get(name), before.get(name), traits)
        and not any(same_value(row.get(name), value, traits) for value in in_doubt.get(name, ()))
        and not (
            name in last_write.unseen
            and _stored_in_another_form(last_write.unseen[name], row.get(name), by_us=by_us is not False)
        )
    )
    if consent is not None and shadow is None and by_us is False and _is_born_opted_out(row, consent, fields, in_doubt):
        changed = tuple(dict.fromkeys((*changed, consent.flag)))
    if changed and consent is not None:
        changed = compare_number(changed, row, before, in_doubt=in_doubt, consent=consent, numbers=numbers)
    if not changed:
        return Change()
    opted_out = consent is not None and is_opted_out(row, consent)
    was_opted_out = consent is not None and is_opted_out(before, consent)
    rewritten = Verdict.NONE
    unclear: tuple[str, ...] = ()
    if consent is not None and consent.flag in changed:
        rewritten = _rewritten_by_automation(
            consent, last_write, row.get(consent.flag), opted_out=opted_out, was_opted_out=was_opted_out, by_us=by_us
        )
        if rewritten is not Verdict.NONE:
            changed = tuple(name for name in changed if name != consent.flag)
    if by_us:
        never_unclear = {consent.flag, consent.phone} if consent else set()
        ours = {*last_write.fields, *under_way} - ({consent.flag} if consent and opted_out else set())
        unclear = tuple(name for name in changed if name in last_write.unseen and name not in ours | never_unclear)
        changed = tuple(name for name in changed if name not in ours and name not in unclear)
    if not changed or consent is None:
        return Change(fields=changed, rewritten=rewritten, unclear=unclear)
    verdict = Verdict.NONE
    if consent.flag in changed and (opted_out or was_opted_out):
        verdict = Verdict.OPT_OUT if opted_out else Verdict.OPT_IN
    return Change(
        fields=changed,
        verdict=verdict,
        number_changed=opted_out and shadow is not None and _has_another_number(changed, row, before, consent, verdict),
        rewritten=rewritten,
        unclear=unclear,
    )


def _is_born_opted_out(
    row: Mapping[str, Any], consent: ConsentFields, fields: Collection[str], in_doubt: Mapping[str, Collection[Any]]
) -> bool:
    """Whether a new record is opted out by a value that is otherwise like none, such as an empty checkbox "may be called"."""
    flag = row.get(consent.flag)
    ours = any(same_value(flag, value) for value in in_doubt.get(consent.flag, ()))
    return consent.flag in fields and is_opted_out(row, consent) and not ours


def _rewritten_by_automation(
    consent: ConsentFields,
    last_write: LastWrite,
    shown: Any,
    *,
    opted_out: bool,
    was_opted_out: bool,
    by_us: bool | None,
) -> Verdict:
    """What the CRM's automation made of a flag that we wrote. NONE if a person may have changed it."""
    flag = consent.flag
    if was_opted_out and shown is None and isinstance(consent.opted_out, bool):
        return Verdict.OPT_IN  # nobody can empty a checkbox: our user may not read it any more
    if by_us and flag in last_write.fields and opted_out is not was_opted_out:
        return Verdict.OPT_OUT if opted_out else Verdict.OPT_IN
    # A person in the CRM cannot have decided about an opt-out that the CRM has never shown.
    return Verdict.OPT_IN if flag in last_write.unseen and not opted_out else Verdict.NONE


def _stored_in_another_form(written: Any, shown: Any, *, by_us: bool) -> bool:
    """Whether the CRM rounded or truncated our value. After another user's change, a shorter text may be that user's."""
    return is_rounded_by_crm(written, shown) or (by_us and is_truncated_by_crm(written, shown))


def _has_another_number(
    changed: Collection[str],
    now: Mapping[str, Any],
    before: Mapping[str, Any],
    consent: ConsentFields,
    verdict: Verdict,
) -> bool:
    """Whether the record has another number now, so that it is unclear for which number its opt-out is.

    It is clear if the number was removed, and if the flag and the first number were set together.
    """
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


def is_opted_out(fields: Mapping[str, Any], consent: ConsentFields) -> bool:
    """Whether the record's flag means opted out. CRMs compare choices without letter case."""
    value, out = fields.get(consent.flag), consent.opted_out
    if isinstance(value, str) and isinstance(out, str):
        return value.strip().casefold() == out.strip().casefold()
    return value is not None and same_value(value, out)


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A row of a feed, and how it differs from what is known of its record."""

    row: Row
    change: Change
    opted_out: bool | None  # whether its flag means opted out; None if no field of the object holds consent


def compare_rows(
    rows: Iterable[Row],
    *,
    feed: Feed,
    consent: ConsentFields | None,
    shadows: Mapping[str, Mapping[str, Any]],
    under_way: Collection[RecordWrite],
    further_keys: Mapping[str, Iterable[tuple[str, str]]] | None = None,
    numbers: NumberReader = NO_REGION,
    unchanged_values: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
    in_review: Collection[str] = (),
    last_writes: Mapping[str, LastWrite] | None = None,
    compared: Callable[[Shadow], Collection[str]] | None = None,
) -> list[ComparedRow]:
    """Compare the rows of a page with what is known of their records.

    `under_way` are our writes that are being sent or may have been stored. `further_keys`: by record id, keys (field and
    key) by which they find the record although the row does not show them. `numbers` reads the numbers by which a
    write may have found its record. `unchanged_values`: by record id and field, values that are no change there.
    `in_review`: ids of records about whose flag a person is asked. `last_writes`: by record id, our last write.
    `compared`: gives the fields to compare with a shadow, if these are not all of the feed's.
    """
    traits = feed.traits
    written_values = _written_values(under_way, traits)
    matched_fields = dict.fromkeys(
        name for write in under_way if write.match is not None for name in write.match.fields
    )
    # Found by a number that the feed does not read. A flag among them may be a person's.
    unshown = [
        (name, value)
        for write in under_way
        if write.match is not None and not set(write.match.fields) <= set(feed.fields)
        for name, value in (*write.create.items(), *write.set.items())
        if consent is None or name != consent.flag
    ]
    compared_rows = []
    for row in rows:
        in_doubt = {name: list(values) for name, values in (unchanged_values or {}).get(row.record_id, {}).items()}
        being_written: dict[str, None] = {}
        further = [(name, traits.folded_key(key)) for name, key in (further_keys or {}).get(row.record_id, ())]
        for key in dict.fromkeys([*possible_keys(row, feed, consent, numbers, matched_fields), *further]):
            for name, values in written_values.get(key, {}).items():
                in_doubt.setdefault(name, []).extend(values)
                being_written[name] = None
        if row.by_us:
            for name, value in unshown:
                in_doubt.setdefault(name, []).append(value)
        shadow = shadows.get(row.record_id)
        fields = feed.fields if compared is None else compared(shadow)
        if consent and row.record_id in in_review:
            fields = tuple(name for name in fields if name != consent.flag)
        change = compare(
            row.fields,
            shadow,
            fields=fields,
            in_doubt=in_doubt,
            consent=consent,
            numbers=numbers,
            by_us=row.by_us,
            last_write=(last_writes or {}).get(row.record_id, NO_WRITE),
            under_way=being_written,
            traits=traits,
        )
        compared_rows.append(ComparedRow(row, change, is_opted_out(row.fields, consent) if consent else None))
    return compared_rows


def _written_values(under_way: Iterable[RecordWrite], traits: CrmTraits) -> dict[tuple[str, str], dict[str, list[Any]]]:
    """The values of the writes by field, for each key that names a write's record: (key field, key)."""
    by_record: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for write in under_way:
        for key in keys_of_write(write, traits):
            values = by_record.setdefault(key, {})
            for name, value in (*write.create.items(), *write.set.items()):
                values.setdefault(name, []).append(value)
    return by_record


def keys_of_write(write: RecordWrite, traits: CrmTraits) -> set[tuple[str, str]]:
    """The keys by which the write may name a record; see possible_keys()."""
    comparable = traits.full_id if write.key_field == ID_FIELD else traits.folded_key
    matched = {(MATCHED_BY, write.match.phone.e164)} if write.match is not None else set()
    return {(write.key_field, comparable(write.key)), *matched}


def possible_keys(
    row: Row, feed: Feed, consent: ConsentFields | None, numbers: NumberReader, matched_fields: Iterable[str]
) -> list[tuple[str, str]]:
    """The keys by which a write may name this record: its external IDs, its id and its numbers."""
    external_ids = [row.fields.get(name) for name in feed.key_fields]
    by_field = [
        (name, feed.traits.folded_key(str(value or "")))
        for name, value in zip(feed.key_fields, external_ids, strict=True)
    ]
    country = row.fields.get(consent.country) if consent and consent.country else None
    phones = {known_by_key(numbers.read(row.fields.get(name), country), external_ids).phone for name in matched_fields}
    by_number = [(MATCHED_BY, phone.e164) for phone in phones if phone is not None]
    return [*by_field, (ID_FIELD, feed.traits.full_id(row.record_id)), *by_number]
