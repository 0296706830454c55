"""Turns a change in the CRM into events: opt-outs for the record's current and earlier numbers, and questions. Pure.

An opt-out reaches every number that the record had: by its shadow, by its external ID, and by the person of our last
write to it. A subscription continues at the provider under the number that joined, whatever the CRM says later.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from connector.consent.changes import CHANGED, NUMBER_CHANGED, UNCLEAR_AUTHOR, ComparedRow
from connector.model.consent_fields import ConsentFields
from connector.model.crm_traits import CrmTraits
from connector.model.event import Event, Verdict, joined_key
from connector.model.operation import ID_FIELD
from connector.model.phone import Phone, possible_phones
from connector.model.record_number import RecordNumber
from connector.ports import Row

DELETED = "deletion"  # the shape and the action of the event of a deleted record
FLAG = "flag"  # a property of a question about a number: the field that means opted out
PLUS = "+"
MERGED_AWAY = "merged"  # a property of a question about a merge: the record that was merged away
CARRIED_OUT = "opted_out_numbers"  # a property of a question about a number: how many numbers the opt-out was sent for


def numbers_in_keys(keys: Iterable[object], traits: CrmTraits) -> tuple[Phone, ...]:
    """The numbers in external IDs. Only digits with a country code are surely a number.

    Where a key may not hold a plus sign, a key of digits alone is read as a number with its country code.
    """
    unsigned = PLUS in traits.refused_in_keys
    found = (
        possible_phones(PLUS + key if unsigned and key.isdecimal() else key, ()) for key in keys if isinstance(key, str)
    )
    return tuple(phones[0] for phones in found if len(phones) == 1)


def change_events(
    compared: ComparedRow,
    *,
    crm: str,
    object_name: str,
    consent: ConsentFields | None,
    number: RecordNumber,
    earlier_numbers: Iterable[Phone],
    poll: str,
    unique: str,
    received_at: datetime,
) -> list[Event]:
    """The events of a change: one for the record's number, and for an opt-out one for each of its earlier numbers.

    A question that only a person can answer is an event too.

    `unique` makes the keys of these events differ from those of the record's other changes: a record can change back
    and forth within one second, the precision of its timestamp. The shadow is updated in the transaction that stores
    the events, so that each change makes its events once.
    """
    row, change = compared.row, compared.change
    earlier = list(dict.fromkeys(earlier_numbers))
    if number.is_unclear and len(known := [phone for phone in earlier if phone in number.possible]) == 1:
        number = RecordNumber(known[0], (known[0],))
    event = Event(
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
        record={ID_FIELD: row.record_id, **row.fields},
        changed=change.fields,
        batch=poll,
    )
    questions = []
    if change.unclear:
        key = joined_key(crm, UNCLEAR_AUTHOR, row.record_id, unique)
        questions = [replace(event, key=key, action=UNCLEAR_AUTHOR, verdict=Verdict.NONE, changed=change.unclear)]
    if not change.fields:
        return questions
    if event.action == NUMBER_CHANGED and consent is not None:
        event = replace(event, properties={FLAG: consent.flag})
    if change.verdict is not Verdict.OPT_OUT or consent is None or consent.phone is None:
        return [event, *questions]
    earlier = [phone for phone in earlier if phone != number.phone]
    main_event, remaining = event, earlier
    if not number.possible and earlier:
        # The number was removed: the opt-out applies to the earlier number.
        main_event = replace(event, msisdn=earlier[0], record=_with_number(event, consent.phone, earlier[0]))
        remaining = earlier[1:]
    events = [
        main_event,
        *(
            replace(
                event,
                key=joined_key(crm, "change", row.record_id, unique, str(place)),
                msisdn=phone,
                number_is_unclear=False,
                record=_with_number(event, consent.phone, phone),
                changed=(consent.flag,),
            )
            for place, phone in enumerate(remaining, 1)
        ),
    ]
    if change.number_changed or (number.possible and earlier):
        events.append(_question(event, earlier, unique=unique if change.number_changed else ""))
    return events + questions


def _with_number(event: Event, field: str, phone: Phone) -> dict[str, Any]:
    """The record as it was when it had this number, for rules that read the number from it."""
    return {**event.record, field: phone.e164}


def _question(event: Event, earlier: Sequence[Phone], *, unique: str) -> Event:
    """The event that asks a person which number the opt-out applies to. Without `unique` it is asked once for these numbers."""
    number = event.msisdn.e164 if event.msisdn else ""
    digest = hashlib.sha256(" ".join([number, *(phone.e164 for phone in earlier)]).encode()).hexdigest()[:16]
    record = str(event.record[ID_FIELD])
    return replace(
        event,
        key=joined_key(event.provider, NUMBER_CHANGED, record, unique or digest),
        action=NUMBER_CHANGED,
        verdict=Verdict.NONE,
        number_is_unclear=False,
        properties={CARRIED_OUT: len(earlier) + bool(number)},
    )


def number_question(event: Event) -> str:
    """The question for a person about the number of an opted-out record."""
    carried_out = event.properties.get(CARRIED_OUT)
    if (merged := event.properties.get(MERGED_AWAY)) is not None:
        return (
            f"{event.object} {merged} was merged into {event.record.get(ID_FIELD)}, which is opted out, and its donor's "
            "subscription goes on: release this if the opt-out is for that number too, else discard it"
        )
    if carried_out is None:
        return (
            "the phone number of a record that is opted out was changed: release this if the opt-out is for the new number too, "
            "else discard it"
        )
    return (
        f"a record was opted out that has, or had, other numbers: the opt-out was carried out for {carried_out} of them; if one "
        "belongs to somebody else, they must join again; then discard this"
    )


def author_question(event: Event) -> str:
    """The question for a person about fields whose author is unknown."""
    fields = f"{', '.join(event.changed)} of {event.object} {event.record.get(ID_FIELD)}"
    return (
        f"{fields} differs from what we wrote just before another write of ours: release this if a person changed it, "
        "discard it if automation of the CRM did"
    )


def as_released(event: Event) -> Event:
    """The event as it is planned after a person released it: a question becomes a change."""
    if event.action == UNCLEAR_AUTHOR:
        return replace(event, action=CHANGED)
    if event.action == NUMBER_CHANGED and FLAG in event.properties:
        return replace(event, action=CHANGED, verdict=Verdict.OPT_OUT, changed=(event.properties[FLAG],), properties={})
    return event


def deletion_events(
    row: Row, phones: Iterable[Phone], *, crm: str, object_name: str, received_at: datetime, unique: str
) -> list[Event]:
    """The events of a deleted record, one for each number: nobody can stop its subscriptions in the CRM any more."""
    return [
        Event(
            key=joined_key(crm, DELETED, row.record_id, unique, str(place)),
            provider=crm,
            shape=DELETED,
            action=DELETED,
            received_at=received_at,
            occurred_at=row.stamp,
            msisdn=phone,
            object=object_name,
            record={ID_FIELD: row.record_id},
        )
        for place, phone in enumerate(dict.fromkeys(phones))
    ]
