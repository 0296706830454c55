"""What is sent of claimed units if a plan of an earlier version names a record by another form of its id."""

from types import SimpleNamespace

import pytest

from connector.crm.salesforce.traits import TRAITS
from connector.model.crm_traits import PLAIN
from connector.model.operation import RecordWrite
from connector.pipeline.deliver import drop_superseded
from connector.store.units import Written

STORE = SimpleNamespace(consents=SimpleNamespace(of_many=lambda _: {}))
SHORT, FULL = "0035f00000aBcDe", "0035f00000aBcDeAAK"


def pending(traits, *, key, newer_key, key_field="Id"):
    write = RecordWrite(sink="crm", object="Contact", key_field=key_field, key=key, set={"A": 1, "B": 1})
    newer = (Written(object="Contact", key_field=key_field, key=newer_key, field="A"),)
    unit = SimpleNamespace(
        id=1, lane="record:x", event_id=1, overtaken_by=None, newer=newer, indexes=(0,), operations=(write,)
    )
    (one,) = drop_superseded([unit], STORE, traits, {})
    return one.operation.key, dict(one.operation.set)


@pytest.mark.parametrize(("key", "newer_key"), [(SHORT, FULL), (FULL, SHORT), (SHORT, SHORT), (FULL, FULL)])
def test_a_newer_write_is_recognised_by_the_15_or_18_character_id(key, newer_key):
    assert pending(TRAITS, key=key, newer_key=newer_key) == (FULL, {"B": 1})


def test_keys_and_ids_of_a_plain_crm_are_compared_unchanged():
    assert pending(PLAIN, key=SHORT, newer_key=FULL) == (SHORT, {"A": 1, "B": 1})
    assert pending(TRAITS, key=SHORT, newer_key=FULL, key_field="Key__c") == (SHORT, {"A": 1, "B": 1})
