"""Rows last changed by our own user: the CRM's automation in fields of our last write, people's changes in the others."""

import pytest

from connector.consent.changes import compare, is_rounded_by_crm, is_truncated_by_crm, same_value
from connector.crm.salesforce.traits import TRAITS
from connector.model.consent_fields import ConsentFields
from connector.model.event import Verdict
from connector.model.last_write import LastWrite

CONSENT = ConsentFields(object="Contact", flag="Out", phone="Mobile")
FIELDS = ("Mobile", "Out", "Amount", "Name")


def held(row, shadow, *, by_us=True, wrote=(), unseen=None, under_way=(), in_doubt=None):
    return compare(
        row,
        shadow,
        fields=FIELDS,
        in_doubt=in_doubt or {},
        consent=CONSENT,
        by_us=by_us,
        last_write=LastWrite(fields=tuple(wrote), unseen=unseen or {}),
        under_way=under_way,
    )


@pytest.mark.parametrize(
    ("written", "shown", "kept"),
    [
        (99.5, 100, True),
        (99.5, 99, True),
        (99.55, 99.6, True),
        (99.55, 99.5, True),
        (99.5, 101, False),
        (99.5, 98, False),
        (99.5, 99.6, False),
        (60, 100, False),
        (100, 99.5, False),
        (1, True, False),
        (True, 1, False),
        ("99.5", 100, False),
        (None, 0, False),
    ],
)
def test_automation_may_round_a_number_to_fewer_decimal_places(written, shown, kept):
    assert is_rounded_by_crm(written, shown) is kept


@pytest.mark.parametrize(
    ("written", "shown", "cut"),
    [
        ("Kari Nordmann", "Kari", True),
        (" Kari ", "Kari", True),
        ("Kari", "Eva", False),
        ("Kari", "", False),
        (1, "1", False),
    ],
)
def test_automation_may_truncate_a_text(written, shown, cut):
    assert is_truncated_by_crm(written, shown) is cut


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0035f0000000001", "0035f0000000001AAA", True),
        ("0035f0000000001AAA", "0035f0000000002AAA", False),
        ("0035f000000000a", "0035f000000000AAAA", False),
        ("fifteen letters", "fifteen letters !!", False),
    ],
)
def test_ids_of_15_and_18_characters_are_equal(one, other, same):
    assert same_value(one, other, TRAITS) is same
    assert same_value(other, one, TRAITS) is same


def test_a_change_by_our_own_user_in_a_field_of_our_last_write_is_automation():
    assert not held({"Amount": 150}, {"Amount": 99}, wrote=["Amount"])


def test_a_change_by_another_user_is_a_change_by_a_person():
    assert held({"Amount": 150}, {"Amount": 99}, by_us=False, wrote=["Amount"]).fields == ("Amount",)


def test_if_the_author_is_unknown_a_person_made_the_change():
    assert held({"Amount": 150}, {"Amount": 99}, by_us=None, wrote=["Amount"]).fields == ("Amount",)
    assert held({"Out": True}, {"Out": False}, by_us=None, wrote=["Out"]).verdict is Verdict.OPT_OUT


def test_a_changed_field_outside_our_last_write_was_changed_by_a_person():
    change = held({"Amount": 150, "Out": True}, {"Amount": 99, "Out": False}, wrote=["Amount"])
    assert (change.fields, change.verdict) == (("Out",), Verdict.OPT_OUT)


def test_a_flag_that_automation_clears_is_no_opt_in_and_is_reported():
    change = held({"Out": False}, {"Out": True}, wrote=["Out"])
    assert (bool(change), change.verdict, change.rewritten) == (False, Verdict.NONE, Verdict.OPT_IN)


def test_a_flag_that_automation_sets_is_no_opt_out_and_is_reported():
    change = held({"Out": True}, {"Out": False}, wrote=["Out"])
    assert (bool(change), change.verdict, change.rewritten) == (False, Verdict.NONE, Verdict.OPT_OUT)


def test_an_opt_out_that_we_wrote_holds_until_the_crm_shows_it():
    change = held({"Out": False}, {"Out": True}, wrote=["Amount"], unseen={"Out": True, "Amount": 5})
    assert (bool(change), change.rewritten) == (False, Verdict.OPT_IN)
    # The name of whoever edits something else a moment later says nothing about it either.
    for by_us in (False, None):
        other = held({"Out": False, "Name": "x"}, {"Out": True}, by_us=by_us, wrote=["Out"], unseen={"Out": True})
        assert (other.fields, other.verdict, other.rewritten) == (("Name",), Verdict.NONE, Verdict.OPT_IN)
    # Once the CRM has shown it, whoever takes it back before another write of ours is a person.
    assert held({"Out": False}, {"Out": True}, wrote=["Amount"]).verdict is Verdict.OPT_IN


def test_an_opt_out_of_an_unclear_author_counts_as_made_by_a_person():
    change = held({"Out": True}, {"Out": False}, wrote=["Amount"], unseen={"Out": False, "Amount": 5})
    assert (change.verdict, change.rewritten) == (Verdict.OPT_OUT, Verdict.NONE)


def test_a_flag_that_a_person_changed_is_not_reported_as_rewritten():
    assert held({"Out": False}, {"Out": True}, by_us=False, wrote=["Out"]).rewritten is Verdict.NONE


def test_an_opt_out_beside_a_write_in_doubt_counts_as_made_by_a_person():
    doubt = {"Out": [False], "Amount": [99]}
    change = held(
        {"Out": True, "Amount": 100}, {"Out": False, "Amount": 50}, under_way=["Out", "Amount"], in_doubt=doubt
    )
    assert (change.fields, change.verdict) == (("Out",), Verdict.OPT_OUT)
    assert not held({"Out": False}, {"Out": True}, under_way=["Out"], in_doubt={"Out": [True]})


@pytest.mark.parametrize("by_us", [True, False, None])
def test_a_rounded_amount_that_the_crm_has_not_shown_yet_is_no_change(by_us):
    assert not held({"Amount": 100}, {"Amount": 99.5}, by_us=by_us, unseen={"Amount": 99.5})
    assert held({"Amount": 100}, {"Amount": 99.5}, by_us=by_us).fields == ("Amount",)
    # Another amount may be a person's or automation's, where we wrote something else since.
    other = held({"Amount": 120}, {"Amount": 99.5}, by_us=by_us, unseen={"Amount": 99.5})
    assert (other.unclear if by_us else other.fields) == ("Amount",)
    assert bool(other)


def test_a_text_shorter_than_ours_is_a_change_only_if_another_user_made_it():
    unseen = {"Name": "Kari Nordmann"}
    assert not held({"Name": "Kari"}, {"Name": "Kari Nordmann"}, unseen=unseen)
    assert held({"Name": "Kari"}, {"Name": "Kari Nordmann"}, by_us=False, unseen=unseen).fields == ("Name",)
