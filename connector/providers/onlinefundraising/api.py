"""Calls to OnlineFundraising's API, and what its answers mean. keywords.py and poller.py say which calls there are.

Source: SMS Inbound API, Authentication (the key goes into `Authorization` as it is; writes have `Content-MD5`, the MD5
of the body in upper-case hex), and the tables of answers on each page.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import orjson
from msgspec.structs import replace

from connector.delivery.call_failures import SOMETHING_ELSE, outcome_of, retry_after
from connector.model.errors import Unreadable
from connector.model.http import HttpCall, HttpError, HttpReply
from connector.model.outcome import Reason, Retry
from connector.providers.strict_json import BYTE_ORDER_MARK, parse_any

TIMEOUT = timedelta(seconds=20)  # time for a page of a hundred messages; a shutdown waits at most this long for it
CONTENT_TYPE = "application/json; charset=utf-8"
READ_FOR_WORDS = 2**16  # bytes of an answer that are searched for the provider's words
DETAIL_LENGTH = 200  # characters of the provider's own words that are kept

STATUSES = {
    HTTPStatus.UNAUTHORIZED: Reason.CREDENTIALS,
    HTTPStatus.FORBIDDEN: Reason.CREDENTIALS,
    HTTPStatus.NOT_FOUND: Reason.WRONG_ADDRESS,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.RATE_LIMITED,
    HTTPStatus.SERVICE_UNAVAILABLE: Reason.UNAVAILABLE,
}


def get_call(path: str) -> HttpCall:
    """A GET, which may be repeated."""
    return HttpCall(method="GET", path=path, timeout=TIMEOUT, repeatable=True)


def post_call(path: str, content: Mapping[str, Any] | None = None) -> HttpCall:
    """A POST with its checksum; without a body it has the checksum of an empty text. It is never repeated automatically."""
    body = orjson.dumps(content) if content is not None else b""
    checksum = hashlib.md5(body, usedforsecurity=False).hexdigest().upper()
    headers = {"Content-MD5": checksum, "Content-Type": CONTENT_TYPE}
    return HttpCall(method="POST", path=path, body=body, headers=headers, timeout=TIMEOUT)


def failure_without_answer(error: HttpError) -> Retry:
    """The outcome of a call without an answer. Reads may be repeated, so that nothing is in doubt."""
    return replace(outcome_of(error), in_doubt=False)


def failure_of(reply: HttpReply) -> Retry | None:
    """Why there is no answer to read; None for a 2xx."""
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return _web_page_failure(reply)
    reason = Reason.SERVER_ERROR if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR else Reason.UNEXPECTED_ANSWER
    reason = next((meant for status, meant in STATUSES.items() if status == reply.status), reason)
    cure = SOMETHING_ELSE if reason is Reason.UNEXPECTED_ANSWER and reply.status < HTTPStatus.BAD_REQUEST else ""
    detail = f"HTTP {reply.status} {refusal_text(reply)}".strip()
    return Retry(reason=reason, detail=detail, not_before=retry_after(reply.headers), cure=cure)


def _web_page_failure(reply: HttpReply) -> Retry | None:
    """Why a 2xx is not an answer of OnlineFundraising: its documented answers are JSON, or have no documented body."""
    kind = reply.headers.get("content-type", "").lower()
    body = reply.body.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not body.startswith(b"<") and "html" not in kind:
        return None
    detail = f"the address answers with a web page (HTTP {reply.status})"
    return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, cure=SOMETHING_ELSE, network=detail)


def json_content(reply: HttpReply) -> Any:
    """The JSON of an answer; raises ValueError if it is not JSON.

    It is parsed as leniently as a callback, so that one odd message in a list does not hide the others.
    """
    try:
        return parse_any(reply.body)
    except Unreadable as unreadable:
        raise ValueError(unreadable.why) from None


def refusal_text(reply: HttpReply) -> str:
    """The provider's own words about a refusal: `{"errorCode": "10001", "errorDescription": "…"}`."""
    try:
        described = orjson.loads(reply.body[:READ_FOR_WORDS])
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(described, dict):
        return ""
    words = [str(described[name]) for name in ("errorCode", "errorDescription") if described.get(name)]
    return " ".join(words)[:DETAIL_LENGTH]
