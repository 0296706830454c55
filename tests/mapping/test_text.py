"""Text lengths are the CRM's, in UTF-16 units; a text is never cut within a visible character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model.text import cut, length_of

FAMILY = "👨\u200d👩\u200d👧"  # one picture, eight units


def units(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@pytest.mark.parametrize(("text", "length"), [("", 0), ("Åse", 3), ("😢", 2), (FAMILY, 8), ("e\u0301", 2)])
def test_a_text_is_as_long_as_its_utf16_units(text, length):
    assert length_of(text) == length


@given(st.text())
def test_the_length_of_a_text_equals_its_utf16_encoding(text):
    assert length_of(text) == units(text)


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("Kari Nord", 4, "Kari"),
        ("Blåbær", 3, "Blå"),
        ("ab😢", 3, "ab"),
        ("ab😢", 4, "ab😢"),
        (f"a{FAMILY}b", 7, "a"),
        (f"a{FAMILY}b", 9, f"a{FAMILY}"),
        ("cafe\u0301s", 4, "caf"),
        ("cafe\u0301s", 5, "cafe\u0301"),
        ("ok👍🏽!", 4, "ok"),
        ("🇳🇴🇩🇰", 4, "🇳🇴"),
        ("🇳🇴🇩🇰", 6, "🇳🇴"),
        ("🇳🇴🇩🇰", 3, ""),
        ("❤\ufe0fx", 1, ""),
        ("\u1112\u1161\u11ab\u1100", 2, ""),
        ("\u1112\u1161\u11ab\u1100", 3, "\u1112\u1161\u11ab"),
    ],
)
def test_a_text_is_truncated_before_a_character_that_does_not_fit(text, most, kept):
    assert cut(text, most) == kept


@given(st.text(alphabet=st.sampled_from("aå😢👨👩🏽\u200d\u0301\ufe0f🇳🇴 ")), st.integers(0, 20))
def test_a_truncated_text_fits_and_is_the_beginning_of_the_text(text, most):
    kept = cut(text, most)
    assert text.startswith(kept)
    assert units(kept) <= most
    assert kept == text or units(text) > most


@pytest.fixture
def truncated(ask):
    """What a mapping with `truncate:` writes for a property and for the keyword, both with the same value."""

    def compute(value, length):
        file = (
            "on: strex.delivery_report\nrules: [{name: a, do: [{upsert: C, key: {K__c: '{key}'}, set: "
            f"{{A: {{from: properties.x, truncate: {length}}}, B: {{from: keyword, truncate: {length}}}}}}}]}}]"
        )
        (write,) = ask(file, properties={"x": value}, keyword=value).operations
        return write.set

    return compute


def test_a_truncated_name_of_emoji_fits_its_field(truncated):
    assert {name: units(kept) for name, kept in truncated("😢" * 100, 80).items()} == {"A": 80, "B": 80}


def test_a_text_that_fits_exactly_is_kept(truncated):
    assert truncated("aaa", 3) == {"A": "aaa", "B": "aaa"}


def test_a_text_of_which_nothing_fits_is_missing(truncated):
    assert truncated("😢", 1) == {}


@pytest.mark.parametrize(
    ("value", "kept"), [(1234567, "1234"), (12.5, "12.5"), (["KATT", "HUND"], "KATT"), ([None], None)]
)
def test_a_value_that_is_no_text_is_truncated_as_text(ask, value, kept):
    file = (
        "on: strex.delivery_report\n"
        "rules: [{name: a, do: [{upsert: C, key: {K__c: '{key}'}, set: {Name: {from: properties.x, truncate: 4}}}]}]"
    )
    (write,) = ask(file, properties={"x": value}).operations
    assert write.set.get("Name") == kept
