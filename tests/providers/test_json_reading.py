"""Parsing of invalid JSON: what is still readable, and what is not."""

import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.model.errors import Unreadable
from connector.providers.strict_json import as_map, elements, parse_any, parse_object

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS, PLAIN))
def test_valid_json_is_read_unchanged(value):
    assert parse_object(json.dumps(value).encode()) == value
    assert parse_object(json.dumps(value, ensure_ascii=False).encode()) == value
    assert parse_object(orjson.dumps(value)) == value


@given(st.dictionaries(TEXTS, PLAIN), st.sampled_from(["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"]))
def test_json_in_a_recognisable_encoding_is_read_unchanged(value, encoding):
    assert parse_object(json.dumps(value).encode(encoding)) == value


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (r'{"a":"STOP \ud83d"}', "STOP \ufffd"),
        (r'{"a":"\udc22STOP"}', "\ufffdSTOP"),
        (r'{"a":"\ud83d\ude22 \ud83d"}', "\U0001f622 \ufffd"),
        ('{"a":"TIFO\nSTOP"}', "TIFO\nSTOP"),
        ('{"a":"TIFO\tSTOP\r\n"}', "TIFO\tSTOP\r\n"),
        ('{"a":"ST\x00OP\x1b"}', "STOP"),
        (r'{"a":"STOP\u0000\u001b\u007f\b\f"}', "STOP"),
        (r'{"a":"100\u0080"}', "100€"),
        ('{"a":"x\x7f"}', "x"),
        (r'{"a":"C:\\u0000\"\n"}', 'C:\\u0000"\n'),
        ('{"a":"b",}', "b"),
        ('{"a":"b" , \n}', "b"),
        ('{"a":["b",",}",],}', ["b", ",}"]),
        ('{"a":NaN}', None),
        ('{"a":-Infinity}', None),
        ('[{"a":1}]', 1),
        ('\ufeff{"a":1}', 1),
    ],
)
def test_json_with_an_invalid_character_is_read(body, value):
    assert parse_object(body.encode()) == {"a": value}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":"p\xe5 BL\xc5"}', "på BLÅ"),
        (b'{"a":"100\x80"}', "100€"),
        ('{"a":"blåbær X"}'.encode().replace(b"X", b"\xf0\x9f\x98"), "blåbær \ufffd"),
        (b'{"a":"\xed\xa0\xbd\xed\xb8\xa2"}', "\U0001f622"),
    ],
)
def test_json_in_other_encodings_is_read(body, value):
    assert parse_object(body) == {"a": value}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \x00 ",
        b"[]",
        b"[1]",
        b'[{"a":1},{"a":2}]',
        b"7",
        b"null",
        b'{"a":1',
        b'{"a":1,,"b":2}',
        b'{"a":,}',
        b"{'a':1}",
        b'{"a":1} x',
        b'{"a":1}{"a":1}',
        b'{"a":01}',
        b'{"a":"b}',
        b'{"a":"\\x"}',
        b'{"a":1,"a":1}',
        b'{"a\\u0000":1,"a":2}',
        b'{"a\\ud800":1,"a\\udfff":2}',
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":' + b"[" * 40 + b'"\xe5"' + b"]" * 40 + b"}",
        b"[" * 100_000,
        b'{"a":"' + b'\\"' * 30_000,
    ],
)
def test_invalid_or_ambiguous_json_is_unreadable(body):
    with pytest.raises(Unreadable):
        parse_object(body)


@given(st.integers() | st.integers(10**18, 10**30) | st.integers(-(10**30), -(10**18)))
@example(2**63)
@example(2**64 - 1)
@example(2**64)
@example(-(2**63))
@example(-(2**63) - 1)
@example(10**4400)
def test_any_integer_keeps_its_digits(number):
    digits = f"{Decimal(number):f}" if abs(number) > 10**4000 else str(number)
    for body in (f'{{"a":{digits}}}', f'{{"a":{digits},"b":"\x01"}}'):
        value = parse_object(body.encode())["a"]
        assert value == (number if -(2**63) <= number < 2**64 else digits)
        orjson.dumps(value)


@given(st.decimals(allow_nan=False, allow_infinity=False))
@example(Decimal("0.1"))
@example(Decimal("199.999999999999999999"))
@example(Decimal("1E+400"))
@example(Decimal("1E-400"))
@example(Decimal("-0.0"))
def test_any_decimal_number_keeps_its_digits(number):
    written = str(number) if "E" in str(number) or "." in str(number) else f"{number}.0"
    for body in (f'{{"a":{written}}}', f'{{"a":{written},"b":"\x01"}}'):
        value = parse_object(body.encode())["a"]
        assert Decimal(repr(value) if type(value) is float else value) == number


def test_elements_are_found_in_each_spelling_of_an_array():
    for body in (
        b'[{"a":1},{"a":"\xe5"}]',
        b'\xef\xbb\xbf[{"a":1},{"a":"\xe5"}]',
        b'[{"a":1,},{"a":"\xe5"},]',
        '[{"a":1},{"a":"å"}]'.encode("utf-16"),
        '[{"a":1},{"a":"å"}]'.encode("utf-16-be"),
    ):
        assert [parse_object(one) for one in elements(body)] == [{"a": 1}, {"a": "å"}]
    alone = '{"a":"å"}'.encode("utf-16")
    assert elements(alone) == [alone]


@pytest.mark.parametrize("body", [b"[]", b"[1", b"[1,,2]", b"[,]", b"[" * 100_000])
def test_an_incomplete_array_is_unreadable(body):
    with pytest.raises(Unreadable):
        elements(body)


def test_a_list_with_unusual_values_is_read():
    body = b'[{"a":"\\ud83d","b":12345678901234567890123,"b":NaN},]'
    assert parse_any(body) == [{"a": "\ud83d", "b": None}]
    with pytest.raises(Unreadable):
        parse_any(b"{")


@pytest.mark.parametrize("value", [None, [], {}, "", "  "])
def test_an_empty_map_has_several_spellings(value):
    assert as_map(value) == {}


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1},
        '{"a":1}',
        ' {"a":1,}',
        [{"name": "a", "value": 1}],
        [{"Key": "a", "Value": 1}],
        [{"value": 1, "key": "a"}],
    ],
)
def test_a_map_may_come_as_text_or_as_pairs(value):
    assert as_map(value) == {"a": 1}


@pytest.mark.parametrize(
    "value",
    [7, True, "x", "[]", "{", [1], [{}], [{"name": "a"}], [{"name": 1, "value": 1}], [{"name": "", "value": 1}],
     [{"name": "a", "value": 1, "type": "x"}], [{"name": "a", "value": 1}, {"name": "a", "value": 2}]],
)  # fmt: skip
def test_a_text_that_may_be_two_maps_is_unreadable(value):
    with pytest.raises(Unreadable):
        as_map(value)


@given(st.binary(max_size=60) | st.text(r'{}[]",:\u0aNn1.e ' + "\x00\n", max_size=40).map(str.encode))
def test_no_bytes_make_the_readers_raise_another_error(body):
    for read in (parse_object, parse_any, elements):
        try:
            orjson.dumps(read(body)) if read is parse_object else read(body)
        except Unreadable:
            continue
