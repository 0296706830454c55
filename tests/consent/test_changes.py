from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from connector.consent.changes import CHANGED, compare, compare_rows, may_differ, same_value
from connector.crm.salesforce.traits import TRAITS
from connector.model.consent_fields import ConsentFields
from connector.model.crm_traits import PLAIN
from connector.model.event import Verdict
from connector.model.last_write import LastWrite
from connector.model.operation import IfMany, IfNone, Match, RecordWrite
from connector.model.phone import Phone
from connector.model.record_number import NumberReader
from connector.ports import Row

CONSENT = ConsentFields(object="Contact", flag="Out", phone="Mobile")
FIELDS = ("Mobile", "Out", "Amount")


def held(row, shadow, in_doubt=None):
    return compare(row, shadow, fields=FIELDS, in_doubt=in_doubt or {}, consent=CONSENT)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (100, 100.0, True),
        ("", None, True),
        (False, None, True),
        (True, None, False),
        (True, 1, False),
        ("a", "A", False),
        (0, None, False),
        (0, "", False),
        ("2026-11-22T04:00:00.000+0000", "2026-11-22T04:00:00.7Z", True),
        ("2026-11-22T05:00:00.000+01:00", "2026-11-22T04:00:00Z", True),
        ("2026-11-22T04:00:01.000+0000", "2026-11-22T04:00:00Z", False),
        ("2026-11-22T04:00:00", "2026-11-22T04:00:00Z", False),
        ("T", "TT", False),
        ("Ås ", "Ås", True),
        (" ", None, True),
        ("3", 3, True),
        ("100.0", 100, True),
        ("abc", 3, False),
        ("true", True, True),
        ("No", False, False),
    ],
)
def test_values_are_compared_by_meaning(one, other, same):
    assert same_value(one, other) is same
    assert same_value(other, one) is same


def test_a_row_equal_to_its_shadow_is_no_change():
    assert not held({"Mobile": "1", "Out": False, "Amount": None}, {"Mobile": "1", "Out": False})


def test_setting_the_flag_is_an_opt_out_and_clearing_it_an_opt_in():
    assert held({"Out": True}, {"Out": False}).verdict is Verdict.OPT_OUT
    assert held({"Out": False}, {"Out": True}).verdict is Verdict.OPT_IN


def test_an_emptied_checkbox_is_no_opt_in_of_a_person():
    """A CRM shows a field as empty that our user may not read."""
    change = held({"Out": None}, {"Out": True})
    assert (change.verdict, change.rewritten) == (Verdict.NONE, Verdict.OPT_IN)


@pytest.mark.parametrize(("before", "now"), [(None, "In"), ("In", "Unknown"), ("Unknown", None)])
def test_a_choice_that_did_not_mean_opted_out_takes_nothing_back(before, now):
    consent = ConsentFields(object="Contact", flag="Out", opted_out="Out")
    assert compare({"Out": now}, {"Out": before}, fields=["Out"], in_doubt={}, consent=consent).verdict is Verdict.NONE


def test_a_choice_means_opted_out_in_any_letter_case():
    consent = ConsentFields(object="Contact", flag="Out", opted_out="stop")
    assert compare({"Out": "Stop"}, None, fields=["Out"], in_doubt={}, consent=consent).verdict is Verdict.OPT_OUT


def test_a_new_record_with_the_flag_set_is_an_opt_out():
    assert held({"Mobile": "1", "Out": True}, None).verdict is Verdict.OPT_OUT


def test_a_field_that_we_are_writing_is_no_change_with_either_value():
    doubt = {"Out": [True]}
    assert not held({"Out": True}, {"Out": False}, doubt)
    assert not held({"Out": False}, {"Out": False}, doubt)
    assert held({"Out": True, "Amount": 5}, {"Out": False}, doubt).fields == ("Amount",)


def test_a_changed_number_of_an_opted_out_person_waits_for_a_person():
    change = held({"Mobile": "2", "Out": True}, {"Mobile": "1", "Out": True})
    assert change.number_changed
    assert change.verdict is Verdict.NONE
    assert not held({"Mobile": "2", "Out": False}, {"Mobile": "1", "Out": False}).number_changed
    # Who opts somebody out in the same save is not kept waiting: the question comes beside the opt-out.
    both = held({"Mobile": "2", "Out": True}, {"Mobile": "1", "Out": False})
    assert (both.number_changed, both.verdict, both.action) == (True, Verdict.OPT_OUT, CHANGED)
    # A number that was emptied is nobody's, and one that comes with the flag is plain.
    assert not held({"Mobile": None, "Out": True}, {"Mobile": "1", "Out": True}).number_changed
    assert not held({"Mobile": "1", "Out": True}, {"Mobile": None, "Out": False}).number_changed
    assert held({"Mobile": "1", "Out": True}, {"Mobile": None, "Out": True}).number_changed


def test_a_change_of_another_field_of_an_opted_out_person_is_no_opt_out():
    assert held({"Out": True, "Amount": 3}, {"Out": True, "Amount": 2}).verdict is Verdict.NONE


@pytest.mark.parametrize(("number", "emitted"), [("900 00 001", False), ("0047 90000001", False), ("900 00 002", True)])
def test_our_opt_out_under_way_is_no_change_on_a_record_with_its_number(number, emitted):
    phone = Phone("+4790000001")
    match = Match(phone=phone, fields=("Mobile", "Home"), none=IfNone.SKIP, many=IfMany.PARK)
    write = RecordWrite(
        sink="crm", object="Contact", key_field="Key__c", key=phone.e164, set={"Out": True}, match=match
    )
    row = Row(record_id="003A", stamp=datetime(2026, 1, 1, tzinfo=UTC), fields={"Mobile": number, "Out": True})
    shadows = {"003A": {"Mobile": number, "Out": False}}
    feed = SimpleNamespace(fields=("Mobile", "Out"), key_fields=("Key__c",), traits=TRAITS)
    (reading,) = compare_rows(
        [row], feed=feed, consent=CONSENT, shadows=shadows, under_way=[write], numbers=NumberReader(default="NO")
    )
    assert bool(reading.change) is emitted


def test_the_key_of_a_record_tells_whether_our_opt_out_is_for_its_unclear_number():
    phone = Phone("+4590000001")
    match = Match(phone=phone, fields=("Mobile",), none=IfNone.SKIP, many=IfMany.PARK)
    write = RecordWrite(sink="crm", object="Contact", key_field="Other", key="x", set={"Out": True}, match=match)
    feed = SimpleNamespace(fields=("Mobile", "Out"), key_fields=("Key__c",), traits=TRAITS)
    both = NumberReader(default="NO", others=("DK",))
    for key, emitted in (("+4590000001", False), ("+4790000001", True), (None, True)):
        row = Row(record_id="003A", stamp=None, fields={"Mobile": "90 00 00 01", "Out": True, "Key__c": key})
        shadows = {"003A": {"Mobile": "90 00 00 01", "Out": False}}
        (reading,) = compare_rows([row], feed=feed, consent=CONSENT, shadows=shadows, under_way=[write], numbers=both)
        assert bool(reading.change) is emitted


def test_keys_in_another_letter_case_are_other_records_in_a_case_sensitive_crm():
    write = RecordWrite(sink="crm", object="Contact", key_field="Key__c", key="Ab", set={"Out": True})
    row = Row(record_id="003A", stamp=None, fields={"Out": True, "Key__c": "aB"})
    for traits, emitted in ((TRAITS, False), (PLAIN, True)):
        feed = SimpleNamespace(fields=("Out",), key_fields=("Key__c",), traits=traits)
        (reading,) = compare_rows(
            [row], feed=feed, consent=CONSENT, shadows={"003A": {"Out": False}}, under_way=[write]
        )
        assert bool(reading.change) is emitted


def read(row_id, key, shadow, **values):
    feed = SimpleNamespace(fields=FIELDS, key_fields=(), traits=TRAITS)
    row = Row(record_id=row_id, stamp=None, fields=values)
    write = RecordWrite(sink="crm", object="Contact", key_field="Id", key=key, set={"Amount": 5})
    (reading,) = compare_rows([row], feed=feed, consent=CONSENT, shadows={row_id: shadow}, under_way=[write])
    return reading.change.fields


def test_a_write_by_an_id_of_15_characters_is_recognised_as_under_way():
    assert read("0035f0000000001AAA", "0035f0000000001", {}, Amount=5) == ()
    assert read("0035f0000000001AAA", "0035f0000000001AAA", {}, Amount=5) == ()
    assert read("0035f000000000aAAA", "0035f000000000A", {}, Amount=5) == ("Amount",)


NORWAY, BOTH = NumberReader(default="NO"), NumberReader(default="NO", others=("DK",))
WITH_COUNTRY = ConsentFields(object="Contact", flag="Out", phone="Mobile", country="Country")


def number_change(row, shadow, *, numbers=NORWAY, in_doubt=None, consent=WITH_COUNTRY):
    fields = ("Mobile", "Out", "Country")
    return compare(row, shadow, fields=fields, in_doubt=in_doubt or {}, consent=consent, numbers=numbers)


@pytest.mark.parametrize("written", ["+47 900 00 001", "900 00 001", "(0047) 90000001", "90 00 00 01 (mobil)"])
def test_the_same_number_in_another_spelling_is_no_change(written):
    shadow = {"Mobile": "+4790000001", "Out": True}
    assert not number_change({"Mobile": written, "Out": True}, shadow)
    assert not number_change({"Mobile": "+4790000001", "Out": True}, {**shadow, "Mobile": written})
    assert number_change({"Mobile": written, "Out": True}, {**shadow, "Mobile": "+4790000002"}).number_changed


def test_the_number_that_we_are_writing_is_no_change_in_any_spelling():
    row, shadow = {"Mobile": "900 00 001", "Out": True}, {"Mobile": "+4790000002", "Out": True}
    assert not number_change(row, shadow, in_doubt={"Mobile": ["+4790000001"]})


def test_texts_that_are_not_phone_numbers_are_compared_as_texts():
    assert number_change({"Mobile": "unknown"}, {"Mobile": "none"}).fields == ("Mobile",)
    assert number_change({"Mobile": None}, {"Mobile": "+4790000001"}).fields == ("Mobile",)


def test_a_changed_country_changes_a_number_without_a_country_code():
    shadow = {"Mobile": "90 00 00 01", "Country": "NO", "Out": True}
    change = number_change({**shadow, "Country": "Danmark"}, shadow)
    assert change.fields == ("Country", "Mobile")
    assert change.number_changed
    whole = {**shadow, "Mobile": "+4790000001"}
    assert number_change({**whole, "Country": "Danmark"}, whole).fields == ("Country",)


def test_a_country_without_a_known_value_changes_no_number():
    change = number_change(
        {"Mobile": "90 00 00 01", "Country": "DK", "Out": True}, {"Mobile": "90 00 00 01", "Out": True}
    )
    assert change.fields == ("Country",)
    assert not change.number_changed


def test_adding_the_country_of_an_unclear_number_is_no_change_of_number():
    unclear = {"Mobile": "90 00 00 01", "Country": None, "Out": True}
    assert number_change({**unclear, "Country": "DK"}, unclear, numbers=BOTH).fields == ("Country",)
    assert not number_change({**unclear, "Mobile": "+45 90 00 00 01"}, unclear, numbers=BOTH)
    assert number_change({**unclear, "Mobile": "+45 90 00 00 02"}, unclear, numbers=BOTH).number_changed


@pytest.mark.parametrize(
    ("emitted", "known", "differs"),
    [
        ("true", True, False),
        ("false", True, True),
        ("250.0", 250, False),
        ("250.5", 250, True),
        ("a lot", 250, True),
        (None, None, False),
        (None, 250, True),
        (None, False, False),
        ("+4790000001", "+4790000001", False),
        ("2026-11-22T04:00:00.000Z", "2026-11-22T04:00:00.000+0000", False),
        (True, False, True),
    ],
)
def test_a_value_that_may_differ_from_the_known_one_is_recognised(emitted, known, differs):
    assert may_differ(emitted, known, PLAIN) is differs


@pytest.mark.parametrize(
    ("shown", "asked"), [("+4790000001", False), ("900 00 001", False), ("+4790000002", True), (None, False)]
)
def test_a_first_seen_number_is_compared_with_the_number_of_our_opt_out(shown, asked):
    """Only another number than that is a person's to judge."""
    change = compare(
        {"Mobile": shown, "Out": True},
        {"Out": True},
        fields=FIELDS,
        in_doubt={},
        consent=CONSENT,
        numbers=NumberReader(default="NO"),
        last_write=LastWrite(fields=("Out",), person="+4790000001"),
    )
    assert change.number_changed is asked
