"""Parses JSON from outside: no name twice, no deep nesting, no odd characters. Nothing here is specific to one provider.

Proper JSON is read at once. Improper JSON with only one meaning is read a second time, more leniently: one bad
character must not cost a callback. A body with no meaning, or with two, is Unreadable.
"""

import json
import re
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import orjson

from connector.model.errors import Unreadable
from connector.model.text_encoding import half_pairs_joined, read_text, without_controls

DEPTH = 32  # levels; no provider documents more than three
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some .NET writers put it in front
# Digits that a 64-bit integer always holds, and characters of a decimal number that a double holds without loss.
INTEGER_DIGITS, FLOAT_LENGTH = 18, 16
NUL, BACKSLASH, DEL, C2 = 0x00, 0x5C, 0x7F, 0xC2  # as numbers: searching bytes for a number takes an eighth of the time
# Only finds where an element ends. The element itself is judged when it is parsed.
_SPLITTER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, strict=False)
_BLANKS = " \t\r\n"
_BETWEEN = re.compile(rf"[{_BLANKS}]*")
# A string, or a comma with nothing after it. A string without an end takes all the rest, so that each character is read
# once.
_STRING_OR_COMMA = re.compile(r'("(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z))|,(?=[ \t\r\n]*+[}\]])', re.DOTALL)


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body, or the only one in an array; raises Unreadable for everything else.

    Numbers keep their digits: integers beyond 64 bits, and decimal numbers that a double cannot hold, become the text
    as written.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        value = _DECODER.decode(body)
        if type(value) is list and len(value) == 1:
            value = value[0]
        if type(value) is not dict:
            raise Unreadable("not a JSON object")
        if body.count(b"{") + body.count(b"[") > DEPTH:
            _refuse_depth(value, DEPTH)
        # Each member adds one colon, and strings may contain more. If a member was dropped, the text has more colons
        # than the value when it is written again. Only a colon written as an escape could hide one, so such texts are
        # read the slow way. orjson refuses integers beyond 64 bits, and so finds them.
        written = orjson.dumps(value)
        if body.count(b":") == written.count(b":") and (BACKSLASH not in body or b"\\u003" not in body):
            # When written again, a control character is an escape, or DEL, or begins with C2.
            clean = BACKSLASH not in written and DEL not in written and C2 not in written
            return value if clean else _with_clean_texts(value)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except (ValueError, TypeError):
        pass
    return _read_leniently(body)


def parse_any(body: bytes) -> Any:
    """Any JSON value, such as a list whose elements are judged separately later; raises Unreadable if it is not JSON.

    It is as lenient as parse_object(). It does not look for names that come twice or for odd characters in texts.
    """
    return _decoded(_ANY, read_text(body))


def as_map(value: Any) -> dict[str, Any]:
    """The names and values of a value; raises Unreadable if it is not a map in any form.

    None, `[]`, `""` and `{}` are how various languages write an empty map. A map may also come as JSON text, or as a
    list of pairs `{"name": …, "value": …}` (or `key`), if no name comes twice.
    """
    if type(value) is dict:
        return value
    if value is None or value == [] or (type(value) is str and (not value or value.isspace())):
        return {}
    if type(value) is str and value.lstrip().startswith("{"):
        return parse_object(value.encode())
    if type(value) is list:
        return _without_repeated_names([_name_and_value(one) for one in value])
    raise Unreadable("a map was expected")


def only_value(value: Any) -> Any:
    """The value, or the only one of a list: some senders write single values so."""
    return value[0] if type(value) is list and len(value) == 1 else value


def holds_words(value: Any) -> bool:
    """Whether a value of any form may hold what a person wrote: a text that is more than a number."""
    if type(value) is dict:
        return any(map(holds_words, value.values()))
    if type(value) is list:
        return any(map(holds_words, value))
    return type(value) is str and any(one.isalpha() or not one.isascii() for one in value)


def _name_and_value(element: Any) -> tuple[str, Any]:
    if type(element) is dict and len(element) == 2:  # noqa: PLR2004 - a name and a value.
        members = {name.lower(): member for name, member in element.items()}
        name = members.get("name", members.get("key"))
        if type(name) is str and name and "value" in members:
            return name, members["value"]
    raise Unreadable("a map was expected")


def elements(body: bytes) -> list[bytes]:
    """The elements of the JSON array in the body, each as it came. A body that is not an array counts as one element.

    Raises Unreadable for an array that is empty or incomplete. Errors within an element are not detected here, so that
    one bad element does not spoil the others.
    """
    whole = body.removeprefix(BYTE_ORDER_MARK)
    text = whole.decode("utf-8", "surrogateescape").strip(_BLANKS)
    if text.startswith("["):
        with suppress(Unreadable):
            return _split_array(text)
    elif NUL not in body:
        return [whole]
    fixed = _without_trailing_commas(read_text(body)).strip(_BLANKS)
    return _split_array(fixed) if fixed.startswith("[") else [whole]


def _split_array(text: str) -> list[bytes]:
    found: list[bytes] = []
    place, after = _after_blanks(text, 1), ","
    while after == ",":
        try:
            _, end = _SPLITTER.raw_decode(text, place)
        except RecursionError:
            raise Unreadable("nested too deeply") from None
        except ValueError:
            raise Unreadable("an empty array" if text[place:] == "]" and not found else "not JSON") from None
        found.append(text[place:end].encode("utf-8", "surrogateescape"))
        place = _after_blanks(text, end)
        after = text[place : place + 1]
        place = _after_blanks(text, place + 1)
    if after != "]" or place != len(text):
        raise Unreadable("not JSON")
    return found


def _after_blanks(text: str, place: int) -> int:
    between = _BETWEEN.match(text, place)
    return between.end() if between else place


def _read_leniently(body: bytes) -> dict[str, Any]:
    """Parse what the strict reader refused, with a reader that accepts more and checks everything."""
    try:
        value = _with_clean_texts(_decoded(_LENIENT, read_text(body)))
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    if type(value) is list and len(value) == 1:
        value = value[0]
    if type(value) is not dict:
        raise Unreadable("not a JSON object")
    _refuse_depth(value, DEPTH)
    return value


def _decoded(decoder: json.JSONDecoder, text: str) -> Any:
    """The value of a JSON text.

    Accepts besides proper JSON: half a surrogate pair and control characters in strings, a comma after the last member,
    NaN and infinity.
    """
    if not text.strip():
        raise Unreadable("empty")
    try:
        try:
            return decoder.decode(text)
        except ValueError:
            fixed = _without_trailing_commas(text)
            if fixed == text:
                raise
            return decoder.decode(fixed)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError:
        raise Unreadable("not JSON") from None


def _without_trailing_commas(text: str) -> str:
    return _STRING_OR_COMMA.sub(lambda found: found[1] or "", text)


def _with_clean_texts(value: Any) -> Any:
    """The value with clean texts: no control characters, no half surrogate pairs. Raises Unreadable if two names become equal."""
    if type(value) is str:
        if not value.isprintable():  # half surrogate pairs are not printable either
            value = without_controls(half_pairs_joined(value))
        return value
    if type(value) is dict:
        return _without_repeated_names(
            [(_with_clean_texts(name), _with_clean_texts(member)) for name, member in value.items()]
        )
    if type(value) is list:
        return [_with_clean_texts(member) for member in value]
    return value


def _refuse_depth(value: Any, depth: int) -> None:
    if depth < 0:
        raise Unreadable("nested too deeply")
    if type(value) is dict:
        value = list(value.values())
    if type(value) is list:
        for member in value:
            _refuse_depth(member, depth - 1)


def _without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable("a name occurs twice")
    return members


def _whole_number(written: str) -> int | str:
    if len(written) <= INTEGER_DIGITS:
        return int(written)
    # Python refuses to read integers of thousands of digits.
    return int(written) if len(written) <= INTEGER_DIGITS + 2 and -(2**63) <= int(written) < 2**64 else written


def _decimal_number(written: str) -> float | str:
    """A double if it holds the number without loss, else the text as written."""
    if len(written) <= FLOAT_LENGTH and "e" not in written and "E" not in written:
        return float(written)
    number = float(written)
    try:
        return number if Decimal(written) == Decimal(repr(number)) else written
    except InvalidOperation:
        return written


def _as_none(_written: str) -> None:
    """NaN and infinity become None: their senders have no number."""


_DECODER = msgspec.json.Decoder(float_hook=_decimal_number)
_ANY = json.JSONDecoder(parse_int=_whole_number, parse_float=_decimal_number, parse_constant=_as_none, strict=False)
_LENIENT = json.JSONDecoder(
    object_pairs_hook=_without_repeated_names,
    parse_int=_whole_number,
    parse_float=_decimal_number,
    parse_constant=_as_none,
    strict=False,
)
