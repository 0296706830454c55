"""Text lengths are the CRM's, in UTF-16 units; a text is never cut within a visible character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.values.transforms import truncate
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


def test_a_truncated_name_of_emoji_fits_its_field(ask):
    file = "on: strex.delivery_report\nrules: [{name: a, do: [{upsert: C, key: {K__c: '{key}'}, set: {Name: VALUE}}]}]"
    for value in ("{from: properties.x, truncate: 80}", "{from: keyword, truncate: 80}"):
        (write,) = ask(file.replace("VALUE", value), properties={"x": "😢" * 100}, keyword="😢" * 100).operations
        assert units(write.set["Name"]) == 80
    assert truncate(3)("a" * 3) == "aaa"
