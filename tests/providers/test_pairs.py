"""Parsing of query strings and form bodies."""

from urllib.parse import quote_from_bytes, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.providers.query_string import pairs

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(lambda text: text[0] != "\ufeff")


@given(st.lists(st.tuples(TEXTS, TEXTS)))
def test_encoded_pairs_are_decoded_unchanged(given):
    encoded = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in given)
    assert list(pairs(encoded.encode())) == given


@pytest.mark.parametrize(
    ("encoded", "read"),
    [
        (b"a=1&&b=2&", [("a", "1"), ("b", "2")]),
        (b"a&b=%zz%", [("a", ""), ("b", "%zz%")]),
        (b"a=HJ%C6LP+p%E5&b=%F0%9F%98%A2", [("a", "HJÆLP på"), ("b", "\U0001f622")]),
        (b"a=%00S%00T%00O%00P&b=100%80", [("a", "STOP"), ("b", "100€")]),
        (b"a=1&amp;b=2&amp;amp;c=3", [("a", "1"), ("b", "2"), ("c", "3")]),
        (b"a=Tom&amp; Jerry&b=2", [("a", "Tom"), ("amp; Jerry", ""), ("b", "2")]),
        (b"amp=1&amp;=2", [("amp", "1")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
    ],
)
def test_invalid_escapes_are_tolerated(encoded, read):
    assert list(pairs(encoded)) == read


@given(st.binary(max_size=100))
def test_any_bytes_are_read_as_pairs_without_null_characters(data):
    for encoded in (data, quote_from_bytes(data).encode(), b"a=" + data):
        for name, value in pairs(encoded):
            assert "\x00" not in name + value
            (name + value).encode()
