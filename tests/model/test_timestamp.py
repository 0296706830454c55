"""Parsing and formatting of times."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model.timestamp import parse_iso, read_time

OSLO = ZoneInfo("Europe/Oslo")
THREE = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize("between", ["T", " ", "t", "  "])
@pytest.mark.parametrize("fraction", ["", ".0", ".000", ",000", ".0000000", ".000000000"])
@pytest.mark.parametrize("offset", ["+01:00", "+0100", "+01", " +01:00", " +0100", "\u2212-"])
def test_a_time_is_read_in_every_usual_variant(between, fraction, offset):
    if offset == "\u2212-":
        written, expected = f"2026-01-02{between}02:00:00{fraction}\u221201:00", THREE
    else:
        written, expected = f"2026-01-02{between}04:00:00{fraction}{offset}", THREE
    assert read_time(written) == expected
    assert read_time(f" {written} ") == expected


@pytest.mark.parametrize("offset", ["Z", "z", " Z", "UTC", " UTC", " gmt"])
def test_utc_has_several_names(offset):
    assert read_time(f"2026-01-02 03:00:00{offset}") == THREE


def test_the_fraction_is_kept():
    assert read_time("2026-01-02 04:00:00.123 +0100") == THREE.replace(microsecond=123_000)
    assert read_time("2026-01-02T03:00:00.1234567+00:00") == THREE.replace(microsecond=123_456)


def test_a_time_without_an_offset_is_of_the_zone_that_its_reader_names():
    assert read_time("2026-01-02 04:00:00", OSLO) == THREE
    assert read_time("2026-01-02 03:00:00") == THREE
    assert parse_iso("2026-01-02 04:00:00").tzinfo is None


@pytest.mark.parametrize(
    "value", [None, 7, True, "", "yesterday", "0001-01-01T00:00:00", "1999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
              "0001-01-01T00:00:00+14:00", "2026-13-01", "2026-01-02 25:00", "x" * 1000, "2026-01-02 04:00:00 +0100 x"]
)  # fmt: skip
def test_what_is_no_time_is_none(value):
    assert read_time(value) is None


@given(
    st.integers(946_771_200, 4_102_444_800),  # seconds: 2000 to 2100
    st.integers(-14, 14),
)
def test_any_time_at_any_offset_is_itself(seconds, hours):
    local = datetime.fromtimestamp(seconds + hours * 3600, UTC)
    written = f"{local:%Y-%m-%d %H:%M:%S}.5 {hours:+03d}00"
    assert read_time(written) == datetime.fromtimestamp(seconds, UTC).replace(microsecond=500_000)


@given(st.text(max_size=70))
def test_no_text_raises_an_error(text):
    read = read_time(text)
    assert read is None or read.tzinfo is UTC
