import pytest

from connector.consent.changes import alike, compare
from connector.model.event import Verdict
from connector.model.roles import ConsentFields

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
    ],
)
def test_alike(one, other, same):
    assert alike(one, other) is same
    assert alike(other, one) is same


def test_a_row_like_its_shadow_is_no_change():
    assert not held({"Mobile": "1", "Out": False, "Amount": None}, {"Mobile": "1", "Out": False})


def test_ticking_is_an_opt_out_and_unticking_an_opt_in():
    assert held({"Out": True}, {"Out": False}).verdict is Verdict.OPT_OUT
    assert held({"Out": False}, {"Out": True}).verdict is Verdict.OPT_IN


def test_a_new_record_with_the_flag_set_is_an_opt_out():
    assert held({"Mobile": "1", "Out": True}, None).verdict is Verdict.OPT_OUT


def test_what_we_are_writing_is_no_change_with_its_old_nor_its_new_value():
    doubt = {"Out": [True]}
    assert not held({"Out": True}, {"Out": False}, doubt)
    assert not held({"Out": False}, {"Out": False}, doubt)
    assert held({"Out": True, "Amount": 5}, {"Out": False}, doubt).fields == ("Amount",)


def test_a_changed_number_of_someone_who_is_out_goes_to_a_person():
    change = held({"Mobile": "2", "Out": True}, {"Mobile": "1", "Out": True})
    assert change.number_changed
    assert change.verdict is Verdict.NONE
    assert not held({"Mobile": "2", "Out": False}, {"Mobile": "1", "Out": False}).number_changed
    assert not held({"Mobile": "2", "Out": True}, {"Mobile": "1", "Out": False}).number_changed


def test_another_field_of_someone_who_is_out_is_no_opt_out():
    assert held({"Out": True, "Amount": 3}, {"Out": True, "Amount": 2}).verdict is Verdict.NONE
