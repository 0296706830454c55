import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.values.values import fold, iso, number, present, scalar, text
from connector.model.event import Result, Verdict
from connector.model.phone import Phone

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.decimals()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("value", [None, "", " ", "\n\t", [], {}, (), math.nan, math.inf])
def test_absent_null_and_blank_are_missing(value):
    assert present(value) is None
    assert scalar(value) is None


@pytest.mark.parametrize("value", [0, False, 0.0, "0", Decimal(0)])
def test_zero_and_false_are_present(value):
    assert present(value) == value
    assert scalar(value) == (value if isinstance(value, str) else 0)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (False, "false"),
        (2002, "2002"),
        (100.0, "100"),
        (1.5, "1.5"),
        (1e300, "1E+300"),
        (Decimal("200.00"), "200"),
        (Decimal("12.50"), "12.5"),
        (Decimal("1E+2"), "100"),
        (Decimal("1E+999999"), "1E+999999"),
        (10**30, "1" + "0" * 30),
        (None, ""),
        (["a", None, 2], "a, 2"),
        ({"a": "å"}, '{"a": "å"}'),
        (Verdict.OPT_IN, "opt_in"),
        (Phone("+4798079008"), "+4798079008"),
        (datetime(2026, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=1))), "2026-01-02T02:04:05.678Z"),
        (date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_values_read_as_text(value, written):
    assert text(value) == written


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Decimal("200.00"), 200),
        (Decimal("12.50"), 12.5),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        (Result.OK, "ok"),
        (2**70, str(2**70)),
        (Decimal("1E+400"), "1E+400"),
        (["a", "b"], "a, b"),
    ],
)
def test_values_are_converted_to_json_scalars(value, sent):
    assert scalar(value) == sent
    assert type(scalar(value)) is type(sent)


def test_times_before_the_year_1000_keep_four_digits():
    assert iso(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("100", 100),
        (" 12.50 ", Decimal("12.5")),
        ("12,5", Decimal("12.5")),
        ("-3", -3),
        (1.1, Decimal("1.1")),
        ("1,000", None),  # a thousand to some and one to others: a person must say
        ("1e5", None),
        ("", None),
        ("kr 100", None),
        (True, None),
        (None, None),
        (math.nan, None),
        ("٣", None),
        ("9" * 19, None),
    ],
)
def test_only_an_unambiguous_text_is_read_as_a_number(value, found):
    assert number(value) == found


def test_texts_compare_in_nfc_and_without_regard_to_case():
    assert fold("KATT") == fold("katt")
    assert fold("A\u030aS") == fold("ås")
    assert fold("STRASSE") == fold("Straße")
    assert fold("katt") != fold("hund")


@given(st.text(), st.text())
def test_comparing_is_symmetric_and_ignores_letter_case(one, other):
    assert (fold(one) == fold(other)) is (fold(other) == fold(one))
    assert fold(fold(one)) == fold(one)
    assert fold(one.casefold()) == fold(one)


@given(JSON)
def test_no_value_makes_reading_raise_an_error(value):
    assert isinstance(text(value), str)
    assert isinstance(fold(text(value)), str)
    sent = scalar(value)
    assert sent is None or isinstance(sent, str | int | float | bool)
    assert number(value) is None or number(value).is_finite()
    assert not isinstance(sent, float) or math.isfinite(sent)
