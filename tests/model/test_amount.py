"""Parsing and formatting of numbers and amounts."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model.amount import can_be_paid, read_amount, read_number

AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=2)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("199", "199"),
        ("199,50", "199.50"),
        ("199.5", "199.5"),
        ("-5", "-5"),
        ("\u22125,5", "-5.5"),
        ("1 234", "1234"),
        ("1\u00a0234,50", "1234.50"),
        ("1\u202f234\u202f567,50", "1234567.50"),
        ("1.234,50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("1.234.567", "1234567"),
        ("1,234,567.89", "1234567.89"),
        ("1.234,567", "1234.567"),
        ("1234.567", "1234.567"),
        ("1234,567", "1234.567"),
        ("0,125", "0.125"),
        ("100,0000", "100"),
        ("199.999999999999999999999", "199.999999999999999999999"),
    ],
)
def test_numbers_are_read_as_norwegians_danes_and_americans_write_them(text, read):
    assert read_number(text) == Decimal(read)
    assert read_amount(text) == Decimal(read)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("kr 199,-", "199"),
        ("kr. 199,50", "199.50"),
        ("kr199", "199"),
        ("199,- kr", "199"),
        ("199,\u2013", "199"),
        ("199:-", "199"),
        ("199,", "199"),
        ("1.234,-", "1234"),
        ("1 234,-", "1234"),
        ("NOK 1 234,50", "1234.50"),
        ("1.234,50 DKK", "1234.50"),
        ("$1,234.50", "1234.50"),
        ("5€", "5"),
        (199, "199"),
        (199.5, "199.5"),
        (10**30, str(10**30)),
    ],
)
def test_an_amount_may_stand_beside_its_currency(text, read):
    assert read_amount(text) == Decimal(read)
    assert not isinstance(text, str) or read_number(text) is None


@pytest.mark.parametrize(
    "text",
    ["1,234", "12,345", "999,000", "12 34", "1,2,3", "1.23.456", "1 234.567,5", "1,234,5", "kr", "", " ", "abc", "1e5", "9" * 19,
     "٣", "199,5-", "1-2", "kr 1,234", "NaN", "-", "1" * 100],
)  # fmt: skip
def test_what_may_mean_two_amounts_is_none(text):
    assert read_number(text) is None
    assert read_amount(text) is None


@pytest.mark.parametrize("text", ["1.234", "100.000", "kr 1.234", "-1.234"])
def test_three_digits_behind_a_point_are_a_number_of_programs_and_no_amount(text):
    assert read_amount(text) is None
    assert text.startswith("kr") or read_number(text) == Decimal(text)


@pytest.mark.parametrize("value", [None, True, [], {}, float("nan"), float("inf"), b"1"])
def test_what_is_no_number_and_no_text_is_no_amount(value):
    assert read_amount(value) is None


@pytest.mark.parametrize(
    ("amount", "possible"),
    [("0", True), ("199.50", True), ("199.99000000000001", True), ("-50", False), ("1.234", False), ("1E+9", False)],
)
def test_nobody_pays_less_than_nothing_or_thousandths(amount, possible):
    assert can_be_paid(Decimal(amount)) is possible


@given(
    AMOUNTS, st.sampled_from([(" ", ","), (".", ","), (",", "."), ("\u00a0", ","), ("'", "."), ("", ","), ("", ".")])
)
def test_any_amount_in_any_of_the_ways_is_itself(amount, separators):
    group, point = separators
    written = f"{amount:,.2f}".translate(str.maketrans({",": group, ".": point}))
    assert read_amount(written) == amount
    assert read_amount(f"kr {written}") == amount
    assert read_number(written) == amount


@given(st.text("0123456789., '-+kr", max_size=12))
def test_no_text_is_read_as_digits_that_it_does_not_hold(text):
    for read in (read_number(text), read_amount(text)):
        if read is not None:
            held = "".join(char for char in text if char.isdigit())
            assert "".join(char for char in f"{read:f}" if char.isdigit()).rstrip("0").lstrip("0") == held.rstrip(
                "0"
            ).lstrip("0")
