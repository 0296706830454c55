"""Parses Strex's replies to any of our calls, and sends the ping. The module of each call interprets its reply."""

import re
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus

import orjson

from connector.delivery.call_failures import SOMETHING_ELSE
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.outcome import Reason, Retry
from connector.providers.strict_json import BYTE_ORDER_MARK

ANSWER_LIMIT = 2**20  # bytes; Strex's answer to a command, a ping or a look-up is smaller than a thousand
PING = HttpCall(
    method="GET", path="/api/ping", timeout=timedelta(seconds=10), repeatable=True, answer_limit=ANSWER_LIMIT
)
PONG = b"pong"  # as a JSON string, so in quotes
READ_FOR_WORDS = 2**16  # bytes of a reply that are searched for the provider's message
DETAIL_LENGTH = 200  # characters of the provider's message that are kept
DIGITS = re.compile(r"\+?\d{5,}")  # a number in the provider's message may be a person's
PLAIN_KINDS = frozenset({"", "application/json", "text/json", "text/plain", "application/octet-stream"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def answers_ping(http: Http) -> bool:
    """Send the ping: whether the server that answers is Strex."""
    try:
        reply = await http.call(PING)
    except HttpError:
        return False
    return reply.status == HTTPStatus.OK and reply.body.strip().strip(b'"') == PONG


class SuccessForm(StrEnum):
    """The form of a 200 or 201's body. Strex does not document that of its commands."""

    PLAIN = "plain"  # empty, or JSON
    PAGE = "page"  # a web page: never Strex's
    OTHER = "other"  # anything else: trusted only if Strex answers the ping


def success_form(reply: HttpReply) -> SuccessForm:
    """Which form the body has, by its content type and its beginning."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = reply.body.removeprefix(BYTE_ORDER_MARK).strip()
    if body.startswith(b"<") or (body and "html" in kind):
        return SuccessForm.PAGE
    if "html" in kind or kind not in PLAIN_KINDS:
        return SuccessForm.OTHER
    if not body:
        return SuccessForm.PLAIN
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return SuccessForm.OTHER
    return SuccessForm.PLAIN


def unexpected_success(reply: HttpReply, *, pong: bool | None = None) -> Retry:
    """A success that is not in Strex's form; `pong` says whether Strex answered the ping, if it was sent."""
    what = "a web page" if success_form(reply) is SuccessForm.PAGE else "something that Strex does not document"
    ping = "" if pong is None else ", and the ping is answered" if pong else ", and there is no pong"
    detail = f"the address answers with {what} (HTTP {reply.status}{ping})"
    return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, in_doubt=True, cure=SOMETHING_ELSE, network=detail)


def redirect_failure(reply: HttpReply) -> Retry:
    """A redirect. It is never followed, because the key would be sent elsewhere."""
    detail = f"the address redirects us (HTTP {reply.status})"
    return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, cure=SOMETHING_ELSE, network=detail)


def message_of(reply: HttpReply) -> str:
    """The error message of Strex, without numbers: `Message` (sdk-for-net, Target365Client), or the start of the body."""
    beginning = reply.body[:READ_FOR_WORDS]
    try:
        value = orjson.loads(beginning)
    except orjson.JSONDecodeError:
        value = None
    said = None
    if isinstance(value, dict):
        said = next((value[name] for name in value if name.lower() == "message"), None)
    text = said if isinstance(said, str) else beginning.decode("utf-8", "replace")
    return DIGITS.sub("…", " ".join(text.split()))[:DETAIL_LENGTH] or f"HTTP {reply.status}"
