"""What the store remembers of records matched by number, and when it forgets."""

from datetime import UTC, datetime

from msgspec.structs import replace

from connector.model.operation import IfMany, IfNone, Match, Parent, RecordWrite
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.states import UnitState
from connector.store.documents import operations_from_json, operations_to_json
from connector.store.feeds import FollowStep
from connector.store.records import ShadowWrite
from connector.store.units import PartlyDelivered, Settlement, Unlinked

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA = "+4790000001"
CRM, BY_NUMBER = "salesforce", "match:MobilePhone"
MATCHED = RecordWrite(
    sink=CRM,
    object="Contact",
    key_field=BY_NUMBER,
    key=ANNA,
    set={"A__c": 1},
    match=Match(phone=Phone(ANNA), fields=("MobilePhone", "HomePhone"), none=IfNone.SKIP, many=IfMany.NEWEST),
)
CHILD = RecordWrite(sink=CRM, object="SMS_Event__c", key_field="Event_Key__c", key="e", set={"A__c": 1})


def seen(record_id="003A", **about):
    return ShadowWrite(crm=CRM, object="Contact", record_id=record_id, **about)


def remembered(store, key_field=BY_NUMBER, key=ANNA):
    write = replace(MATCHED, key_field=key_field, key=key)
    return store.known_records([write]).task(write).remembered.record_id


def test_a_write_with_a_match_is_read_as_it_was_stored():
    assert operations_from_json(operations_to_json([MATCHED, CHILD])) == (MATCHED, CHILD)


async def test_a_delivered_match_is_sent_again_with_its_undelivered_child(scene):
    await scene.unit("e1", operations=(MATCHED, CHILD))
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.VALIDATION, done=(0,))
    await scene.store.dead_letters.retry(None, now=scene.now)
    (unit,) = await scene.claim()
    assert (unit.operations, unit.indexes) == ((MATCHED, CHILD), (0, 1))
    await scene.settle(unit, done=(0, 1))


async def test_a_match_that_is_sent_again_writes_no_consent_fields(scene):
    opt_out = replace(MATCHED, set={"A__c": 1, "Out__c": True}, consent=("Out__c",))
    await scene.unit("e1", operations=(opt_out, CHILD))
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.VALIDATION, done=(0,))
    await scene.store.dead_letters.retry(None, now=scene.now)
    (unit,) = await scene.claim()
    assert unit.operations == (MATCHED, CHILD)
    await scene.settle(unit, done=(0, 1))


async def test_a_retry_sends_the_rest_of_a_partly_delivered_operation(scene):
    opt_out = replace(MATCHED, set={"A__c": 1, "Out__c": True}, consent=("Out__c",))
    done = replace(opt_out, set={"Out__c": True}, consent_only=True)
    await scene.unit("e1", operations=(CHILD, opt_out))
    (unit,) = await scene.claim()
    partly_delivered = (PartlyDelivered(index=1, done=done, rest=MATCHED),)
    await scene.settle(unit, UnitState.DEAD, reason=Reason.TOO_LONG, done=(0,), partly_delivered=partly_delivered)
    (letter,) = scene.store.dead_letters.listing()
    assert letter.operations == (CHILD, MATCHED, replace(done, match=None))
    await scene.store.dead_letters.retry(None, now=scene.now)
    (unit,) = await scene.claim()
    assert (unit.operations, unit.indexes) == ((MATCHED,), (1,))
    await scene.settle(unit, done=(1,))


async def test_a_parent_that_is_sent_again_with_its_child_changes_no_existing_record(scene):
    """Somebody may have deleted the contact between the write of the contact and the one of its event."""
    parent = replace(
        MATCHED,
        key_field="SMS_Key__c",
        match=None,
        set={"A__c": 1, "Out__c": True},
        create={"L": "x"},
        consent=("Out__c",),
    )
    child = replace(CHILD, set={"A__c": 1, "Contact__r": Parent("SMS_Key__c", ANNA)})
    await scene.unit("e1", operations=(parent, child))
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.PARENT_MISSING, done=(0,))
    await scene.store.dead_letters.retry(None, now=scene.now)
    (unit,) = await scene.claim()
    again, same = unit.operations
    assert (again.set, again.create, again.consent, same) == ({}, {"L": "x", "A__c": 1}, (), child)
    await scene.settle(unit, done=(0, 1))


async def test_a_parent_that_is_made_again_gets_the_latest_values(scene):
    """Both contact writes went out as one, and the event records had to wait. Then somebody deleted the contact."""
    for number, amount in ((1, 30), (2, 40)):
        parent = replace(MATCHED, key_field="SMS_Key__c", match=None, set={"A__c": amount})
        child = replace(CHILD, key=f"e{number}", set={"Contact__r": Parent("SMS_Key__c", ANNA)})
        await scene.unit(f"e{number}", operations=(parent, child))
    units = await scene.claim()
    for unit in units:
        await scene.settle(unit, UnitState.DEAD, reason=Reason.RACE, done=(0,))
    await scene.store.dead_letters.retry(None, now=scene.now)
    units = await scene.claim()
    assert [unit.operations[0].create for unit in units] == [{"A__c": 40}] * 2


async def test_a_delivered_write_without_a_match_is_not_sent_again(scene):
    plain = replace(MATCHED, key_field="SMS_Key__c", match=None)
    await scene.unit("e1", operations=(plain, CHILD))
    (unit,) = await scene.claim()
    await scene.settle(unit, UnitState.DEAD, reason=Reason.VALIDATION, done=(0,))
    await scene.store.dead_letters.retry(None, now=scene.now)
    (unit,) = await scene.claim()
    assert unit.operations == (CHILD,)
    await scene.settle(unit, done=(1,))


async def test_a_settlement_stores_the_link_of_a_match_and_an_unlink_deletes_it(scene):
    await scene.unit("e1", operations=(MATCHED,))
    (unit,) = await scene.claim()
    await scene.settle(unit, shadows=(seen(key_field=BY_NUMBER, key=ANNA),))
    assert remembered(scene.store) == "003A"
    await scene.unit("e2", operations=(MATCHED,))
    (unit,) = await scene.claim()
    gone = Unlinked(crm=CRM, object="Contact", key_field=BY_NUMBER, key=ANNA)
    await scene.store.outbox.settle(
        [Settlement(unit_id=unit.id, state=UnitState.DELIVERED, unlinked=(gone,))], now=scene.now
    )
    assert remembered(scene.store) is None


async def test_a_record_whose_number_changed_keeps_only_the_links_that_the_page_shows(store):
    await store.records.write(
        [
            seen(key_field=BY_NUMBER, key=ANNA),
            seen(key_field="SMS_Key__c", key="old"),
            seen("003B", key_field="SMS_Key__c", key="b"),
        ],
        now=NOW,
    )
    step = FollowStep(unlink=("003A",), shadows=(seen(key_field="SMS_Key__c", key="new"),))
    await store.following.follow("feed", lambda _: step, crm=CRM, object="Contact", record_ids=["003A"], now=NOW)
    assert [remembered(store), remembered(store, "SMS_Key__c", "old")] == [None, None]
    assert [remembered(store, "SMS_Key__c", "new"), remembered(store, "SMS_Key__c", "b")] == ["003A", "003B"]


async def test_opted_out_records_are_found_by_their_phone_number(store):
    await store.records.write(
        [
            seen("003A", phone=ANNA, opted_out=True, fields={"Out": True}),
            seen("003B", phone=ANNA, opted_out=False),
            seen("003C", phone="+4790000002", opted_out=True),
        ],
        now=NOW,
    )
    clearing = replace(MATCHED, clears_flag=True)
    records = store.known_records([MATCHED, clearing])
    assert records.task(clearing).remembered.shadows == {"003A": {"Out": True}}
