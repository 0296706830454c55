"""The parameters of a callback, whether in the query, a form, a multipart form or a JSON object.

Nothing here is specific to one provider. The body itself shows its form: the declared content type is often wrong, and a
stored body that is read again has none.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

import orjson

from connector.model.errors import Unreadable
from connector.model.http import HttpRequest
from connector.model.text_encoding import UTF_8_MARK, read_text
from connector.providers.query_string import pairs
from connector.providers.strict_json import only_value, parse_object

MAX_OTHERS = 200  # parameters that are kept besides the documented ones; no provider documents a hundred
# RFC 7578: a part begins with a line of its own, `--boundary`, and its name is in its Content-Disposition.
_MULTIPART = re.compile(rb"--[^\r\n]+\r?\nContent-", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n\Z")
_NAME = re.compile(rb"""[;\s]name=(?:"([^"]*)"|([^;\s"]+))""", re.IGNORECASE)
_FILE = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)


def parameters(request: HttpRequest) -> Iterator[tuple[str, Any]]:
    """The names and values of the query, then those of the body; raises Unreadable for a broken body.

    Values are texts; only JSON brings others. Null values and uploaded files are left out.
    """
    # The sender chooses the bytes of query and body; surrogates stand for those that are not UTF-8.
    yield from pairs(request.query.encode("utf-8", "surrogatepass"))
    body = request.body.removeprefix(UTF_8_MARK).strip()
    if body.startswith((b"{", b"[")):
        yield from ((name, value) for name, value in parse_object(body).items() if value is not None)
    elif _MULTIPART.match(body):
        yield from _multipart_fields(body)
    elif request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise Unreadable("a multipart form without parts")
    else:
        yield from pairs(body)


def text_parameters(request: HttpRequest, *, documented: Collection[str], single: Collection[str]) -> dict[str, str]:
    """Under each name its first value that is not blank, as text; raises Unreadable.

    `documented` names are always kept, of the others a limited number. Two different values of a name of `single` are
    unreadable: with two numbers the person is unclear, and one of two texts may be a stop. Both hold small letters.
    """
    given: dict[str, str] = {}
    for name, value in parameters(request):
        text = value if type(value) is str else _as_json_text(only_value(value))
        before = given.get(name)
        if before is None:
            if len(given) < MAX_OTHERS or name.lower() in documented:
                given[name] = text
        elif not before.strip():
            given[name] = text
        elif name.lower() in single and text.strip() not in {"", before.strip()}:
            raise Unreadable(f"{name} occurs twice")
    return given


def _as_json_text(value: Any) -> str:
    return value if type(value) is str else orjson.dumps(value).decode()


def _multipart_fields(body: bytes) -> Iterator[tuple[str, str]]:
    boundary = body.splitlines()[0].rstrip()
    for part in body.split(boundary)[1:]:
        head, *content = _HEAD_END.split(part, maxsplit=1)
        name = _NAME.search(head)
        if name and content and not _FILE.search(head):
            yield read_text(name[1] or name[2] or b""), read_text(_LINE_END.sub(b"", content[0]))
