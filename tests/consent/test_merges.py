"""The effect of a merge on consent, without a CRM."""

from datetime import UTC, datetime

import pytest

from connector.consent.merges import merges_in, review_event, values_taken_over
from connector.model.consent_fields import ConsentFields
from connector.model.event import KEY_FORM, Verdict
from connector.model.phone import Phone
from connector.ports import Row

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CONSENT = ConsentFields(object="Contact", flag="Out", phone="Mobile")
ONE, TWO = "+4790000001", "+4790000002"


def row(record_id, *, into=None, **fields):
    return Row(record_id=record_id, stamp=NOW, fields=fields, deleted=into is not None, merged_into=into)


def number(fields):
    return Phone(fields["Mobile"]) if fields.get("Mobile") else None


@pytest.mark.parametrize(
    ("loser_before", "loser_row", "kept_before", "kept_now", "lost"),
    [
        (True, True, False, False, True),
        (False, True, False, False, True),  # set and merged between two looks
        (True, False, False, False, True),
        (False, False, True, False, True),  # the box of the loser was chosen
        (True, True, False, True, False),
        (False, False, True, True, False),
        (False, False, False, False, False),
        (True, True, None, None, True),  # nothing is known of the one that was kept
    ],
)
def test_a_merge_loses_an_opt_out_that_the_kept_record_does_not_have(
    loser_before, loser_row, kept_before, kept_now, lost
):
    shadows = {"L": {"Out": loser_before}}
    if kept_before is not None:
        shadows["K"] = {"Out": kept_before}
    living = [] if kept_now is None else [row("K", Out=kept_now)]
    (merge,) = merges_in([row("L", into="K", Out=loser_row)], living, shadows)
    assert (merge.lost_opt_out(CONSENT) is not None) is lost


def test_a_merge_survivor_on_another_page_is_compared_with_its_known_values():
    (merge,) = merges_in([row("L", into="K", Out=True)], [], {"K": {"Out": True}})
    assert merge.lost_opt_out(CONSENT) is None


def test_the_last_of_a_chain_of_merges_is_the_survivor():
    gone = [row("A", into="B", Out=True), row("B", into="C", Out=False)]
    assert [merge.kept_id for merge in merges_in(gone, [row("C", Out=False)], {})] == ["C", "C"]
    circle = [row("A", into="B"), row("B", into="A")]
    assert len(merges_in(circle, [], {})) == 2


def test_a_deletion_is_no_merge():
    assert merges_in([Row(record_id="A", stamp=NOW, fields={}, deleted=True)], [], {}) == ()


def test_values_of_a_merged_record_with_the_same_number_are_no_change_except_a_cleared_flag():
    shadows = {"L": {"Mobile": ONE, "Out": False, "Amount": 5}, "M": {"Mobile": ONE, "Out": True, "Amount": 7}}
    gone = [row("L", into="K"), row("M", into="K")]
    merges = merges_in(gone, [row("K", Mobile=ONE, Out=True)], shadows)
    assert values_taken_over(merges, CONSENT, number, lambda _: True) == {
        "K": {"Mobile": [ONE, ONE], "Out": [True], "Amount": [5, 7]}
    }


def test_the_flag_of_a_merged_record_is_a_change_if_the_person_has_joined_since():
    merges = merges_in([row("L", into="K")], [row("K", Mobile=ONE, Out=True)], {"L": {"Mobile": ONE, "Out": True}})
    assert values_taken_over(merges, CONSENT, number, lambda _: False) == {"K": {"Mobile": [ONE]}}


@pytest.mark.parametrize("mobile", [TWO, None])
def test_values_of_a_merged_record_with_another_number_are_changes(mobile):
    merges = merges_in([row("L", into="K")], [row("K", Mobile=ONE)], {"L": {"Mobile": mobile, "Out": True}})
    assert values_taken_over(merges, CONSENT, number, lambda _: True) == {}


def test_if_no_poll_has_shown_the_merged_record_all_its_values_are_changes():
    merges = merges_in([row("L", into="K", Mobile=ONE, Out=True)], [row("K", Mobile=ONE, Out=True)], {})
    assert values_taken_over(merges, CONSENT, number, lambda _: True) == {}


def test_the_review_of_a_merge_has_one_key_however_often_it_is_shown():
    (merge,) = merges_in([row("0035f00000000001AA", into="K", Out=True)], [], {})
    how = {"crm": "salesforce", "object_name": "Contact", "msisdn": Phone(ONE)}
    one = review_event(merge, {"Out": True}, received_at=NOW, **how)
    other = review_event(merge, {"Out": True}, received_at=datetime.now(UTC), **how)
    assert one.key == other.key
    assert KEY_FORM.fullmatch(one.key)
    assert (one.verdict, one.record["Id"]) == (Verdict.OPT_OUT, "K")
