"""What is stored and deleted about a write with a match when it is settled."""

from dataclasses import replace as replace_fields
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from connector.delivery.send import AlsoUpdated, Sent, Written
from connector.mapping.compile.ruleset import FeedPlan
from connector.model.consent_fields import ConsentFields
from connector.model.operation import IfMany, IfNone, Match, RecordWrite
from connector.model.outcome import Delivered, Reason, Rejected
from connector.model.phone import Phone
from connector.model.record_number import NumberReader
from connector.pipeline.settle import PendingWrite, settle_units
from connector.store.records import ShadowWrite
from connector.store.units import Unit, Unlinked

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NUMBER = "+4790000001"
WRITE = RecordWrite(
    sink="crm",
    object="Contact",
    key_field="SMS_Key__c",
    key=NUMBER,
    set={"Out__c": True, "A__c": 1},
    consent=("Out__c",),
    match=Match(phone=Phone(NUMBER), fields=("MobilePhone",), none=IfNone.SKIP, many=IfMany.OLDEST),
)
UNIT = Unit(
    id=1,
    event_id=1,
    event_key="e1",
    sink="crm",
    lane=NUMBER,
    operations=(WRITE,),
    indexes=(0,),
    attempts=0,
    urgent=False,
    overtaken_by=None,
    late=False,
    in_doubt=False,
    received_at=NOW,
    first_try_at=NOW,
)
WATCHED = {"Contact": FeedPlan(fields=("Out__c",), key_fields=("SMS_Key__c",), every=timedelta(seconds=30))}


def settled(outcome, *, feeds=WATCHED):
    written = [Written(0, WRITE, outcome)] if isinstance(outcome, Delivered) and not outcome.absent else []
    beside = [AlsoUpdated(0, WRITE, outcome.also_updated)] if outcome.also_updated else []
    (one,) = settle_units(
        [UNIT], [PendingWrite(0, 0, WRITE)], Sent([outcome], written, beside), feeds=feeds, consent={}, sent_at=NOW
    )
    return one


def seen(record_id, **about):
    return ShadowWrite(crm="crm", object="Contact", record_id=record_id, **about)


def test_a_matched_record_is_remembered_even_without_a_feed():
    assert settled(Delivered(record_id="003A"), feeds={}).shadows == (
        seen("003A", key_field="SMS_Key__c", key=NUMBER, written=True, sent_at=NOW, person=NUMBER),
    )


def test_other_opted_out_records_with_the_number_get_shadows():
    shadows = settled(Delivered(record_id="003A", also_updated=("003B",))).shadows
    assert shadows[1:] == (seen("003B", fields={"Out__c": True}, opted_out=True, written=True, person="+4790000001"),)
    assert settled(Delivered(record_id="003A", also_updated=("003B",)), feeds={}).shadows[1:] == ()


@pytest.mark.parametrize(
    ("written", "number"),
    [("900 00 001", NUMBER), ("+47 900 00 001", NUMBER), ("900 00 002", None), ("+45 900 00 001", "+4590000001")],
)
def test_a_number_written_without_its_country_is_the_number_of_the_person(written, number):
    write = replace(WRITE, match=None, set={"MobilePhone": written})
    sent = Sent([Delivered(record_id="003A")], [Written(0, write, Delivered(record_id="003A"))], [])
    feeds = {"Contact": replace_fields(WATCHED["Contact"], fields=("MobilePhone",))}
    consent = {"Contact": ConsentFields(object="Contact", flag="Out__c", phone="MobilePhone")}
    reader = NumberReader(default="NO", others=("DK",))
    (one,) = settle_units(
        [UNIT], [PendingWrite(0, 0, write)], sent, feeds=feeds, consent=consent, sent_at=NOW, numbers=reader
    )
    assert one.shadows[0].phone == number


@pytest.mark.parametrize(
    ("outcome", "forgets"),
    [
        (Delivered(record_id="003A"), False),
        (Delivered(absent=True), True),
        (Rejected(reason=Reason.NEEDS_PERSON), True),
        (Rejected(reason=Reason.RECORD_DELETED), True),
        (Rejected(reason=Reason.VALIDATION), False),
    ],
)
def test_the_link_of_a_record_that_was_not_found_is_deleted(outcome, forgets):
    gone = Unlinked(crm="crm", object="Contact", key_field="SMS_Key__c", key=NUMBER)
    assert settled(outcome).unlinked == ((gone,) if forgets else ())
