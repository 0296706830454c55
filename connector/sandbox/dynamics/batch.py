"""$batch: multipart/mixed with single operations and change sets.

Source: "Execute batch operations using the Web API".
"""

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus

from connector.sandbox.dynamics.errors import RefusedError, bad_syntax
from connector.sandbox.dynamics.exchange import API, Answer, Call

MOST = 1000  # operations in one batch
LONGEST_URL = 65_536
BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
BAD_REQUEST = 400
PHRASES = {one.value: one.phrase for one in HTTPStatus}

Dispatch = Callable[[Call], Answer]
Atomic = Callable[[Callable[[], list[bytes]]], list[bytes]]  # runs in one transaction


class ChangeSetError(Exception):
    """One operation of a change set is rejected, and so all are."""

    def __init__(self, answer: Answer, content_id: str) -> None:
        super().__init__()
        self.answer = answer
        self.content_id = content_id


def answer_batch(call: Call, dispatch: Dispatch, atomic: Atomic) -> Answer:
    """Do the operations in their order. `dispatch` never raises RefusedError."""
    parts = list(_parts(call.raw, _boundary(call.headers.get("content-type", ""))))
    operations = sum(_count(head, body) for head, body in parts)
    if operations > MOST:
        raise RefusedError(400, "0x80048d19", f"The batch holds {operations} operations; at most {MOST} are allowed.")
    go_on = call.prefers("odata.continue-on-error") is not None
    replies: list[bytes] = []
    status = 200
    for head, body in parts:
        if "multipart/mixed" in head:
            reply, failed = _change_set(call, head, body, dispatch, atomic)
        else:
            answer = dispatch(_inner(call, body))
            reply, failed = _part(answer), answer.status if answer.status >= BAD_REQUEST else 0
        replies.append(reply)
        if failed and not go_on:
            status = failed
            break
    name = "batchresponse_7d0c6a6e-0000-4f4f-8a3c-4f1f0a6f0000"
    joined = b"".join(b"--%s\r\n%s\r\n" % (name.encode(), one) for one in replies)
    return Answer(
        status=status,
        body=joined + f"--{name}--\r\n".encode(),
        headers={"Content-Type": f"multipart/mixed; boundary={name}", "OData-Version": "4.0"},
    )


def _change_set(call: Call, head: str, body: bytes, dispatch: Dispatch, atomic: Atomic) -> tuple[bytes, int]:
    addresses: dict[str, str] = {}

    def run() -> list[bytes]:
        made = []
        for part_head, part_body in _parts(body, _boundary(head)):
            content_id = _header(part_head, "content-id")
            inner = _inner(call, part_body, addresses)
            if inner.method == "GET":
                raise ChangeSetError(_refused(bad_syntax("A change set cannot hold a GET request.")), content_id)
            answer = dispatch(inner)
            if answer.status >= BAD_REQUEST:
                raise ChangeSetError(answer, content_id)
            if content_id:
                addresses[content_id] = answer.headers.get("OData-EntityId", "")
            made.append(_part(answer, content_id))
        return made

    name = b"changesetresponse_7d0c6a6e-0000-4f4f-8a3c-4f1f0a6f0001"
    status = 0
    try:
        parts = atomic(run)
    except ChangeSetError as error:
        parts, status = [_part(error.answer, error.content_id)], error.answer.status
    except RefusedError as error:
        parts, status = [_part(_refused(error))], error.status
    joined = b"".join(b"--%s\r\n%s\r\n" % (name, one) for one in parts)
    return b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n%s--%s--\r\n" % (name, joined, name), status


def _refused(error: RefusedError) -> Answer:
    return Answer(status=error.status, body=error.body(), headers=error.headers)


def _part(answer: Answer, content_id: str = "") -> bytes:
    body = answer.encoded()
    headers = dict(answer.headers)
    if body:
        headers.setdefault("Content-Type", "application/json; odata.metadata=minimal")
    lines = [
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        *((f"Content-ID: {content_id}",) if content_id else ()),
        "",
        f"HTTP/1.1 {answer.status} {PHRASES[answer.status]}",
        *[f"{name}: {value}" for name, value in headers.items()],
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def _boundary(content_type: str) -> bytes:
    boundary = BOUNDARY.search(content_type)
    if boundary is None:
        raise bad_syntax("The content type of a batch is multipart/mixed with a boundary.")
    return boundary.group(1).strip().encode()


def _parts(raw: bytes, boundary: bytes) -> Iterator[tuple[str, bytes]]:
    """Head and body of each part; lines may end in CRLF or LF."""
    whole = raw.replace(b"\r\n", b"\n")
    for piece in (b"\n" + whole).split(b"\n--" + boundary)[1:]:
        if piece.startswith(b"--"):
            return
        head, _, body = piece.lstrip(b" \t").lstrip(b"\n").partition(b"\n\n")
        yield head.decode("latin-1"), body
    raise bad_syntax("The batch has no closing boundary.")


def _count(head: str, body: bytes) -> int:
    return body.count(b"application/http") if "multipart/mixed" in head else 1


def _header(head: str, wanted: str) -> str:
    for line in head.split("\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == wanted:
            return value.strip()
    return ""


def _inner(call: Call, raw: bytes, addresses: dict[str, str] | None = None) -> Call:
    head, _, body = raw.partition(b"\n\n")
    first, *lines = head.decode().split("\n")
    method, _, rest = first.partition(" ")
    target = rest.removesuffix(" HTTP/1.1").strip().partition("#")[0]
    if len(target) > LONGEST_URL:
        raise bad_syntax("The URL of an operation is too long.")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if addresses is not None:
        target, body = _resolved(target, addresses), _resolved(body.decode(), addresses).encode()
    address, _, query = target.partition("?")
    path = address.partition(API)[2].partition("/")[2] if API in address else address.lstrip("/")
    if path.startswith("$batch"):
        raise bad_syntax("A batch cannot hold a batch.")
    return Call(
        method=method,
        path=path,
        query=query,
        headers=headers,
        raw=body.rstrip(b"\n"),
        base_url=call.base_url,
        user=call.user,
        late=call.late,
        refuse=call.refuse,
    )


def _resolved(text: str, addresses: dict[str, str]) -> str:
    """Replace `$1` by the address of the record that the operation of that Content-ID wrote."""

    def address(reference: re.Match[str]) -> str:
        number = reference.group(1)
        if number not in addresses:
            raise RefusedError(
                400, "0x80060888", f"Content-ID Reference: '${number}' does not exist in the batch context."
            )
        return addresses[number]

    return re.sub(r"(?<![\w$])\$(\d+)(?=[\s\"/)]|$)", address, text)
