"""JSON as it is let in from outside: UTF-8, nothing twice, nothing that later rooms would choke on. No provider's words live here."""

import json
import re
from typing import Any

import orjson

from connector.model.errors import Unreadable

DEPTH = 32  # levels: no provider documents more than three
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some .NET writers put it in front
# Only finds where an element ends: what the element is worth is judged when it is read by itself.
_SPLITTER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, strict=False)
_BETWEEN = re.compile(r"[ \t\r\n]*")


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body; raises Unreadable for everything else.

    orjson itself refuses NaN, infinities, lone surrogates and bytes that are not UTF-8; integers beyond 64 bits become
    floats. It keeps the last of two equal names in silence, which is found out here by counting.
    """
    text = body.removeprefix(BYTE_ORDER_MARK)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Unreadable("not JSON" if text.strip() else "empty") from None
    if type(value) is not dict:
        raise Unreadable("not a JSON object")
    if text.count(b"{") + text.count(b"[") > DEPTH:
        _refuse_depth(value, DEPTH)
    # Each member brings one colon, and strings bring their own: where a member was dropped, the text has more colons than the
    # value when it is written again. Only a colon that stands as an escape could hide one, so such texts are read the slow way.
    if text.count(b":") != orjson.dumps(value).count(b":") or b"\\u003" in text:
        _refuse_repeated_names(text)
    return value


def elements(body: bytes) -> list[bytes]:
    """The elements of the JSON array in the body, each as it came; a body that is no array is its own only one.

    Raises Unreadable for an array that is empty or not whole. What is wrong within an element is not seen here, so that one bad
    element does not spoil the others.
    """
    whole = body.removeprefix(BYTE_ORDER_MARK)
    text = whole.decode("utf-8", "surrogateescape").strip(" \t\r\n")
    if not text.startswith("["):
        return [whole]
    found: list[bytes] = []
    place, after = _skip(text, 1), ","
    while after == ",":
        try:
            _, end = _SPLITTER.raw_decode(text, place)
        except RecursionError:
            raise Unreadable("nested too deeply") from None
        except ValueError:
            raise Unreadable("an empty array" if text[place:] == "]" and not found else "not JSON") from None
        found.append(text[place:end].encode("utf-8", "surrogateescape"))
        place = _skip(text, end)
        after = text[place : place + 1]
        place = _skip(text, place + 1)
    if after != "]" or place != len(text):
        raise Unreadable("not JSON")
    return found


def _skip(text: str, place: int) -> int:
    between = _BETWEEN.match(text, place)
    return between.end() if between else place


def _refuse_depth(value: Any, depth: int) -> None:
    if depth < 0:
        raise Unreadable("nested too deeply")
    if type(value) is dict:
        value = list(value.values())
    if type(value) is list:
        for member in value:
            _refuse_depth(member, depth - 1)


def _refuse_repeated_names(text: bytes) -> None:
    try:
        json.loads(text.decode(), object_pairs_hook=_once)
    except RecursionError:
        raise Unreadable("nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable("a name occurs twice")
    return members
