from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from store.conftest import keep

from connector.model.operation import RecordWrite
from connector.model.states import UnitState
from connector.store.feeds import FollowStep
from connector.store.gone_records import Gone
from connector.store.inbox import Kept
from connector.store.records import ShadowWrite
from connector.store.units import Settlement

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT = "+4790000001", "+4790000002"
CRM = "salesforce"


def seen(record_id="003A", **about):
    return ShadowWrite(crm=CRM, object="Contact", record_id=record_id, **about)


def known(store, key="k", key_field="Key__c"):
    """What is known of the record that a write names which clears its flag."""
    write = RecordWrite(sink=CRM, object="Contact", key_field=key_field, key=key, clears_flag=True)
    return store.known_records([write]).task(write)


async def follow(store, decide, *, records=("003A",)):
    return await store.following.follow(
        "salesforce.Contact", decide, crm=CRM, object="Contact", record_ids=records, now=NOW
    )


async def show_deleted(store, *gone):
    """A page of the feed shows that records were deleted or merged."""
    await follow(store, lambda _seen: FollowStep(gone=gone))


async def test_fields_are_merged_into_the_shadow(store):
    await store.records.write([seen(fields={"A": 1, "B": None})], now=NOW)
    await store.records.write([seen(fields={"A": 2}), seen(fields={"C": 3}), seen("003B", fields={"A": 9})], now=NOW)
    assert store.records.shadow(CRM, "Contact", "003A") == {"A": 2, "B": None, "C": 3}
    assert [known(store, one, "Id").shadow for one in ("003B", "003C")] == [{"A": 9}, None]
    assert store.records.shadow(CRM, "Lead", "003A") is None


async def test_a_record_is_found_only_by_its_exact_key(store):
    await store.records.write([seen(key_field="Key__c", key="Straße-A", fields={"A": 1})], now=NOW)
    # A field of the CRM may take the other two for other keys.
    found = [known(store, key) for key in ("Straße-A", "straße-a", "Strasse-A")]
    assert [(one.record_id, one.shadow) for one in found] == [("003A", {"A": 1}), (None, None), (None, None)]
    assert known(store, "003A", "Id").shadow == {"A": 1}


async def test_an_id_names_its_record_and_no_other(store):
    await store.records.write([seen("0035f00000aBcDeAAK", fields={"A": 1})], now=NOW)
    await store.records.write([seen("0035f00000AbCdEAA1", fields={"A": 2})], now=NOW)
    ids = ("0035f00000aBcDeAAK", "0035f00000AbCdEAA1", "0035f00000abcdeAAA", "0035f00000aBcDe")
    assert [known(store, one, "Id").shadow for one in ids] == [{"A": 1}, {"A": 2}, None, None]


async def test_a_write_that_names_only_the_key_finds_the_record(store):
    await store.records.write([seen(key_field="Key__c", key="k", fields={"A": 1})], now=NOW)
    await store.records.write(
        [seen(None, key_field="Key__c", key="k", fields={"A": 2}), seen(None, key_field="Key__c", key="unknown")],
        now=NOW,
    )
    assert store.records.shadow(CRM, "Contact", "003A") == {"A": 2}


async def test_a_key_moves_to_the_record_that_has_it_now(store):
    await store.records.write([seen("003A", key_field="Key__c", key="k")], now=NOW)
    await store.records.write([seen("003B", key_field="Key__c", key="k")], now=NOW)
    assert known(store).record_id == "003B"


async def test_another_opted_out_record_with_the_same_number_is_found(store):
    await store.records.write([seen("003A", phone=ANNA, opted_out=True), seen("003B", phone=ANNA)], now=NOW)
    assert store.records.opted_out_with_phone(CRM, ANNA)
    assert store.records.opted_out_with_phone(CRM, ANNA, but="003B")
    assert not store.records.opted_out_with_phone(CRM, ANNA, but="003A")
    await store.records.write([seen("003A", fields={"A": 1})], now=NOW)
    assert store.records.opted_out_with_phone(CRM, ANNA)
    await store.records.write([seen("003A", opted_out=False)], now=NOW)
    assert not store.records.opted_out_with_phone(CRM, ANNA)


async def test_a_deleted_record_has_no_shadow_and_no_keys(store):
    await store.records.write([seen(key_field="Key__c", key="k", fields={"A": 1}, phone=ANNA, opted_out=True)], now=NOW)
    await show_deleted(store, Gone(record_id="003A"), Gone(record_id="003X"))
    assert store.records.shadow(CRM, "Contact", "003A") is None
    assert known(store).record_id is None
    assert store.records.opted_out() == []
    assert not store.records.opted_out_with_phone(CRM, ANNA)


async def test_an_undeleted_record_has_its_old_shadow_unless_retention_removed_it(store):
    await store.records.write([seen(fields={"A": 1, "B": 2})], now=NOW)
    await show_deleted(store, Gone(record_id="003A"))
    # What is settled late of a write of ours does not bring it back.
    await store.records.write([seen(fields={"A": 3})], now=NOW)
    assert store.records.shadow(CRM, "Contact", "003A") is None
    await store.records.write([seen(fields={"A": 4}, shown=True)], now=NOW)
    assert store.records.shadow(CRM, "Contact", "003A") == {"A": 4, "B": 2}
    await show_deleted(store, Gone(record_id="003A"))
    await store.retention.sweep(NOW + timedelta(days=17), keep())
    await store.records.write([seen(fields={"A": 4}, shown=True)], now=NOW)
    assert store.records.shadow(CRM, "Contact", "003A") == {"A": 4}


async def test_a_merged_record_is_kept_as_long_as_the_record_that_is_left(store):
    await store.records.write([seen("003A", phone=ANNA), seen("003B", phone=BERIT), seen("003C")], now=NOW)

    def numbers():
        return store.following.seen(CRM, "Contact", ["003C"]).merged_numbers.get("003C", ())

    await show_deleted(store, Gone(record_id="003A", merged_into="003B"))
    await show_deleted(store, Gone(record_id="003B", merged_into="003C"))
    await store.retention.sweep(NOW + timedelta(days=17), keep())
    assert set(numbers()) == {ANNA, BERIT}
    await show_deleted(store, Gone(record_id="003C"))
    await store.retention.sweep(NOW + timedelta(days=17), keep())
    assert numbers() == ()


async def test_the_keys_of_a_merged_record_name_the_deleted_record(store):
    await store.records.write(
        [seen("003A", key_field="Key__c", key="k"), seen("003B", key_field="Key__c", key="l")], now=NOW
    )
    await show_deleted(store, Gone(record_id="003A", merged_into="003B"))
    assert (known(store, "l").record_id, known(store, "l").gone) == ("003B", None)
    # It is unknown whether the kept record has the key of the other.
    assert (known(store, "k").record_id, known(store, "k").gone) == (None, "003A")
    assert known(store, "k").shadow is not None


async def test_known_records_are_read_only_for_the_writes_that_need_them(store):
    await store.records.write([seen(key_field="Key__c", key="k", fields={"A": 1})], now=NOW)
    plain = RecordWrite(sink=CRM, object="Contact", key_field="Key__c", key="k", set={"A": 2})
    several = [plain, replace(plain, create={"B": 1}), replace(plain, clears_flag=True)]
    records = store.known_records(several)
    tasks = [records.task(one) for one in several]
    assert [(one.record_id, one.shadow) for one in tasks] == [(None, None), ("003A", None), ("003A", {"A": 1})]


async def test_a_value_that_may_have_been_written_counts_only_where_no_value_is_known(store):
    await store.records.write([seen(fields={"A": 1}, otherwise={"A": 5, "B": 6})], now=NOW)
    assert store.records.shadow(CRM, "Contact", "003A") == {"A": 1, "B": 6}
    await store.records.write([seen(otherwise={"B": 7})], now=NOW)
    assert store.records.shadow(CRM, "Contact", "003A") == {"A": 1, "B": 6}


async def test_a_settled_write_sets_the_shadow(scene):
    await scene.unit("a")
    (unit,) = await scene.claim()
    await scene.settle(unit, shadows=(seen(fields={"A": 1}),))
    assert scene.store.records.shadow(CRM, "Contact", "003A") == {"A": 1}


async def test_a_page_is_compared_with_known_values_and_stored_with_its_cursor(scene):
    await scene.store.records.write([seen(fields={"A": 1})], now=NOW)
    await scene.unit("a")
    (unit,) = await scene.claim()
    known = []

    def decide(what):
        known.append(what)
        return FollowStep(entries=(scene.entry("change"),), shadows=(seen(fields={"A": 2}),), cursor="7")

    assert await follow(scene.store, decide, records=["003A", "003B"]) == (Kept(2, False),)
    assert known[0].records["003A"].fields == {"A": 1}
    assert known[0].in_doubt == tuple((unit.lane, write) for write in unit.operations)
    assert scene.store.records.shadow(CRM, "Contact", "003A") == {"A": 2}
    assert scene.store.following.cursor("salesforce.Contact") == "7"


async def test_a_page_that_cannot_be_stored_does_not_move_the_cursor(scene):
    def decide(what):
        bad = replace(scene.entry("change"), provider=None)
        return FollowStep(entries=(scene.entry("good"), bad), shadows=(seen(fields={"A": 2}),), cursor="7")

    with pytest.raises(Exception, match="NOT NULL"):
        await follow(scene.store, decide)
    assert scene.store.records.shadow(CRM, "Contact", "003A") is None
    assert scene.store.following.cursor("salesforce.Contact") is None
    assert scene.store.inbox.received() == 0


async def test_a_page_of_changes_deletes_the_shadows_of_deleted_records(scene):
    await scene.store.records.write([seen(fields={"A": 1})], now=NOW)
    assert await follow(scene.store, lambda _: FollowStep(gone=(Gone(record_id="003A"),))) == ()
    assert scene.store.records.shadow(CRM, "Contact", "003A") is None


async def test_a_cursor_is_stored_moved_and_deleted(store):
    await store.following.set_cursor("feed", "1")
    await store.following.set_cursor("feed", "2")
    assert store.following.cursor("feed") == "2"
    await store.following.set_cursor("feed", None)
    assert store.following.cursor("feed") is None


async def test_a_failed_settlement_does_not_change_the_shadow(scene):
    await scene.unit("a")
    (unit,) = await scene.claim()
    good = Settlement(unit_id=unit.id, state=UnitState.DELIVERED, shadows=(seen(fields={"A": object()}),))
    with pytest.raises(Exception, match="not storable"):
        await scene.store.outbox.settle([good], now=NOW + timedelta(1))
    assert scene.store.records.shadow(CRM, "Contact", "003A") is None
    assert scene.unit_states() == {UnitState.CLAIMED: 1}


async def test_records_neither_seen_nor_written_since_a_time_are_listed_in_pages(store):
    earlier, later = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    await store.records.write([seen(f"003{n}") for n in "ABCDE"], now=earlier)
    await store.records.write([seen("003B")], now=later)
    await show_deleted(store, Gone(record_id="003C"))
    await store.records.mark_seen(CRM, "Contact", ["003B", "003D", "003X"], at=NOW)
    assert store.records.not_seen_since(CRM, "Contact", NOW, after="", limit=1) == ["003A"]
    assert store.records.not_seen_since(CRM, "Contact", NOW, after="003A", limit=9) == ["003E"]
    assert store.records.not_seen_since(CRM, "Lead", NOW, after="", limit=9) == []
    assert store.records.not_seen_since(CRM, "Contact", later, after="003A", limit=9) == ["003D", "003E"]
    assert store.records.known(CRM, "Contact", ["003C", "003X"]).keys() == {"003C"}
