"""Answers of the Web API: JSON, batches, rejections. Pure.

Sources: "Compose HTTP requests and handle errors" (codes; an older form has `innererror`), "Execute batch operations",
"Service protection API limits" (Retry-After in whole seconds).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from connector.crm.dynamics.client import error_codes
from connector.delivery.call_failures import SOMETHING_ELSE, retry_after
from connector.model.http import HttpReply
from connector.model.outcome import Reason, Rejected, Retry

OK = range(200, 300)
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_LARGE, TOO_MANY = 400, 401, 403, 404, 413, 429
SERVER_ERRORS, NOT_IMPLEMENTED, GATEWAY = 500, 501, frozenset({502, 503, 504})
REDIRECTS = range(300, 400)
DEFAULT_WAIT = timedelta(seconds=30)  # after a limit without Retry-After
LONGEST = 300  # characters of the org's own words that are kept
PERSONAL = re.compile(r"[\w.+-]+@[\w.-]+|(?<![0-9A-Fa-f-])\+?\d[\d \u00a0()-]{4,}\d(?![0-9A-Fa-f-])")
# The column at fault, in the sentences of the codes that name one.
PROPERTY = re.compile(
    r"property '(\w+)'|the '(\w+)' attribute|value \S+ of '(\w+)'|the value of '(\w+)'|attribute:? '?(\w+)'? cannot",
    re.IGNORECASE,
)
# These two quote the values of the records.
QUOTING = frozenset({error_codes.KEY_TAKEN, "0x80040333", "0x80073002"})
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


class Answer(Struct, frozen=True, kw_only=True):
    """An answer: alone, or one part of a batch, whose headers nobody needs. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


class RequestFailed(Exception):  # noqa: N818 - named after the state that it reports.
    """A request or an operation that failed."""

    def __init__(self, outcome: Retry | Rejected, *, status: int = 0, code: str = "", message: str = "") -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome
        self.status = status
        self.code = code
        self.message = message  # as it came: it may quote a record, and is for decisions only


def answer(reply: HttpReply) -> Answer:
    """The answer of a call that is no batch. Raises RequestFailed for anything but success."""
    if reply.status not in OK:
        raise failed(reply.status, reply.headers, reply.body)
    return Answer(status=reply.status, headers=reply.headers, body=_json(reply.body) if reply.body else None)


def rows(found: Answer) -> Sequence[Mapping[str, Any]]:
    """The records of a page. Raises RequestFailed."""
    value = found.body.get("value") if isinstance(found.body, dict) else None
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise RequestFailed(unexpected_answer("a page without records"))
    return value


def parts(reply: HttpReply, number: int) -> list[Answer | RequestFailed]:
    """The answers of a batch, in the order of its operations. Raises RequestFailed if it failed as a whole."""
    kind = reply.headers.get("content-type", "")
    if reply.status not in OK:
        raise failed(reply.status, reply.headers, reply.body)
    if not kind.startswith("multipart/mixed") or not _boundary(kind):
        raise RequestFailed(replace(unexpected_answer("a batch whose answer is no multipart"), in_doubt=True))
    found = _parts(reply.body, _boundary(kind))
    if found is None:
        raise RequestFailed(replace(unexpected_answer("a batch whose answer was cut off"), in_doubt=True))
    if len(found) != number:
        detail = f"a batch of {number} operations with {len(found)} answers"
        raise RequestFailed(replace(unexpected_answer(detail), in_doubt=True))
    return found


def _boundary(kind: str) -> str:
    return kind.partition("boundary=")[2].partition(";")[0].strip().strip('"')


def _parts(body: bytes, boundary: str) -> list[Answer | RequestFailed] | None:
    """The parts; None if the end is missing, so that a part may lack something too."""
    found: list[Answer | RequestFailed] = []
    for piece in body.split(b"--" + boundary.encode())[1:]:
        if piece.startswith(b"--"):
            return found
        found.append(_part(piece))
    return None


def _part(piece: bytes) -> Answer | RequestFailed:
    kind, _, http = piece.partition(b"\r\n\r\n")
    if b"multipart/mixed" in kind:
        return _change_set(http, _boundary(kind.decode("latin-1").replace("\r\n", ";")))
    head, _, body = http.partition(b"\r\n\r\n")
    status = STATUS.match(head.lstrip())
    if status is None:
        return RequestFailed(replace(unexpected_answer("a part of a batch without a status"), in_doubt=True))
    number = int(status.group(1))
    if number not in OK:
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        headers = {name.strip().lower().decode("latin-1"): value.strip().decode("latin-1") for name, _, value in lines}
        return failed(number, headers, body, whole=False)
    try:
        return Answer(status=number, body=_json(body) if body.strip() else None)
    except RequestFailed as error:
        return error


def failed(status: int, headers: Mapping[str, str], raw: bytes, *, whole: bool = True) -> RequestFailed:
    """A rejection as a failure with its outcome. `whole`: of a request, and not of one operation of a batch."""
    error = _error(raw)
    if error is None:
        return RequestFailed(_without_code(status, headers), status=status)
    code, message = str(error.get("code", "")).lower(), str(error.get("message", ""))
    row = error_codes.find(code, message)
    if status == TOO_MANY or (row is not None and row.reason is Reason.RATE_LIMITED):
        detail = f"Dataverse's limit is reached ({row.means})" if row is not None else "Dataverse's limit is reached"
        return RequestFailed(
            Retry(reason=Reason.RATE_LIMITED, detail=detail, not_before=_wait(headers), code=code),
            status=status,
            code=code,
        )
    if error_codes.EXPIRED_LINK not in code and "perform a full sync" in message:
        return failed_link(status)
    detail = message_for_people(code, message)
    if status >= SERVER_ERRORS and (row is None or row.outcome is Rejected):
        return RequestFailed(Retry(reason=Reason.SERVER_ERROR, detail=detail, code=code), status=status, code=code)
    if row is None:
        return RequestFailed(_unknown(status, code, detail, whole=whole), status=status, code=code, message=message)
    if row.outcome is Retry:
        outcome: Retry | Rejected = Retry(reason=row.reason, detail=detail, code=code, cure=row.cure)
    elif whole and row.reason is Reason.NO_ACCESS:
        # Missing rights to one record are told of its operation in a batch.
        outcome = Retry(reason=Reason.SINK_REFUSES, detail=detail, code=code, cure=error_codes.REFUSED)
    else:
        outcome = Rejected(reason=row.reason, detail=detail, code=code, field=_field(message))
    return RequestFailed(outcome, status=status, code=code, message=message)


def failed_link(status: int) -> RequestFailed:
    """The failure of a delta link that has expired; the code of this fault is not documented."""
    detail = "the delta link has expired: all records are read again"
    outcome = Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, code=error_codes.EXPIRED_LINK)
    return RequestFailed(outcome, status=status, code=error_codes.EXPIRED_LINK)


def _unknown(status: int, code: str, detail: str, *, whole: bool) -> Retry:
    """The outcome of an unknown code. Whether it concerns the whole org shows when a second record is refused with it."""
    if status == UNAUTHORIZED:
        return Retry(reason=Reason.CREDENTIALS, detail=detail, code=code)
    reason = Reason.SINK_REFUSES if whole and status != BAD_REQUEST else Reason.UNKNOWN_CODE
    return Retry(reason=reason, detail=detail, code=code, cure=error_codes.REFUSED)


def _without_code(status: int, headers: Mapping[str, str]) -> Retry:
    """The outcome of an answer that is no rejection in Dataverse's form."""
    if status == UNAUTHORIZED:
        return Retry(reason=Reason.CREDENTIALS, detail="Dataverse does not take the access token (HTTP 401)")
    if status == TOO_MANY:
        wait = _wait(headers)
        return Retry(reason=Reason.RATE_LIMITED, detail="Dataverse's limit is reached (HTTP 429)", not_before=wait)
    if status in REDIRECTS or status == NOT_FOUND:
        detail = f"nothing answers as Dataverse does at url: (HTTP {status}): check url:"
        return Retry(reason=Reason.WRONG_ADDRESS, detail=detail)
    if status == FORBIDDEN:
        detail = "nothing but a refusal (HTTP 403), and not in Dataverse's form"
        return Retry(reason=Reason.SINK_REFUSES, detail=detail, cure=error_codes.REFUSED)
    if status in GATEWAY:
        return Retry(reason=Reason.UNAVAILABLE, detail=f"Dataverse is not available (HTTP {status})")
    if status >= SERVER_ERRORS:
        return Retry(reason=Reason.SERVER_ERROR, detail=f"HTTP {status} without an explanation", in_doubt=True)
    return unexpected_answer(f"HTTP {status} without Dataverse's error")


def unexpected_answer(detail: str) -> Retry:
    """The outcome of an answer that is not as Dataverse documents it."""
    return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, cure=SOMETHING_ELSE)


def _wait(headers: Mapping[str, str]) -> timedelta:
    """How long the service asks to wait: for all requests of the user, not only for this one."""
    wait = retry_after(headers)
    return DEFAULT_WAIT if wait is None else wait


def message_for_people(code: str, message: str) -> str:
    """The org's own words, without phone numbers and addresses. Two codes quote records: their words are ours."""
    row = error_codes.find(code, message)
    if code in QUOTING and row is not None:
        return row.means
    words = " ".join(PERSONAL.sub("…", message.rpartition("Microsoft.OData.ODataException: ")[2]).split())
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}…"


def _field(message: str) -> str:
    found = PROPERTY.search(message)
    return next(one for one in found.groups() if one) if found else ""


def _change_set(body: bytes, boundary: str) -> Answer | RequestFailed:
    """The last answer of a change set, or its failure: then nothing of it was done."""
    found = _parts(body, boundary) or []
    failed = next((one for one in found if isinstance(one, RequestFailed)), None)
    empty = RequestFailed(replace(unexpected_answer("a change set without an answer"), in_doubt=True))
    return failed or (found[-1] if found else empty)


def _error(raw: bytes) -> Mapping[str, Any] | None:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) and isinstance(error.get("message"), str) else None


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise RequestFailed(replace(unexpected_answer("an answer that is no JSON"), in_doubt=True)) from None
