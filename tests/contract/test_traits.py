"""What the made-up CRM's traits mean for reading changes: ids count as a whole, and letter case tells keys apart."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from contract.madeup.adapter import TRAITS

from connector.consent.changes import compare_rows, same_value
from connector.model.operation import ID_FIELD, RecordWrite
from connector.ports import Row

ONE, TWO = (f"6d61646e-7570-4c52-8d00-{number:012x}" for number in (1, 2))
FEED = SimpleNamespace(fields=("amount",), key_fields=("sms_key",), traits=TRAITS)


def test_two_ids_that_begin_alike_are_two_values():
    assert not same_value(ONE, TWO, TRAITS)
    assert same_value(ONE, ONE, TRAITS)


@pytest.mark.parametrize(
    ("key_field", "key", "ours"),
    [(ID_FIELD, ONE, True), (ID_FIELD, TWO, False), ("sms_key", "K-a", True), ("sms_key", "k-A", False)],
)
def test_a_write_of_ours_that_is_in_doubt_hides_a_change_of_its_own_record_alone(key_field, key, ours):
    write = RecordWrite(sink="madeup", object="contact", key_field=key_field, key=key, set={"amount": 2})
    row = Row(record_id=ONE, stamp=datetime(2026, 11, 28, tzinfo=UTC), fields={"amount": 2, "sms_key": "K-a"})
    (reading,) = compare_rows([row], feed=FEED, consent=None, shadows={ONE: {"amount": 1}}, under_way=[write])
    assert bool(reading.change) is not ours
