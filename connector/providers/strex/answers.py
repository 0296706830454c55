"""Strex's answers to calls of ours, whichever: its words, its patience, its pong. What an answer means stands with the call."""

import re
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import orjson

from connector.model.exchange import HttpCall, HttpReply, Reply

PING = HttpCall(method="GET", path="/api/ping", timeout=timedelta(seconds=10), repeatable=True)
PONG = b"pong"  # as a JSON string, so in quotes
MOST_PATIENCE = timedelta(hours=1)  # a Retry-After beyond it is not believed: opt-outs have a deadline
DETAIL_LENGTH = 200  # characters of the provider's words that are kept
DIGITS = re.compile(r"\+?\d{5,}")  # a number in the provider's words may be somebody's
SECONDS = re.compile(r"[0-9]{1,9}")


def status_of(reply: Reply) -> int | None:
    """The status; None for a call without an answer."""
    return reply.status if isinstance(reply, HttpReply) else None


def is_pong(reply: Reply) -> bool:
    """Whether it is Strex that answers there."""
    return isinstance(reply, HttpReply) and reply.status == HTTPStatus.OK and reply.body.strip().strip(b'"') == PONG


def words(reply: HttpReply) -> str:
    """What Strex says, from `Message` (sdk-for-net, Target365Client) or else the body's beginning; numbers are taken out."""
    try:
        value = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        value = None
    said = None
    if isinstance(value, dict):
        said = next((value[name] for name in value if name.lower() == "message"), None)
    text = said if isinstance(said, str) else reply.body.decode("utf-8", "replace")
    return DIGITS.sub("…", " ".join(text.split()))[:DETAIL_LENGTH] or f"HTTP {reply.status}"


def patience(reply: HttpReply) -> timedelta | None:
    """Retry-After as seconds or as a date (RFC 9110, 10.2.3); a date is held against the answer's own clock."""
    header = reply.headers.get("retry-after", "").strip()
    if SECONDS.fullmatch(header):
        return timedelta(seconds=min(int(header), MOST_PATIENCE.total_seconds()))
    try:
        wait = parsedate_to_datetime(header) - parsedate_to_datetime(reply.headers["date"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), MOST_PATIENCE)
