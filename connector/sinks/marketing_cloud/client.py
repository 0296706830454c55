"""Calls to Marketing Cloud's REST API, with one token for all sinks of a package.

Sources: Marketing Cloud developer guide, "Access token for server-to-server integrations" and "Rate limiting errors".
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import msgspec
import orjson

from connector.delivery.call_failures import MAX_RETRY_AFTER, SOMETHING_ELSE, outcome_of, retry_after
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.outcome import Reason, Rejected, Retry
from connector.sinks.marketing_cloud.settings import is_safe_address

TOKEN_LIFE = 1200.0  # seconds: a token lives 20 minutes, and one is to be asked for no more often than that
ANSWER_LIMIT = 2**20  # bytes
BLOCKED = 50200  # "temporarily blocked": a long pause, and a person is told
LONG_PAUSE = timedelta(minutes=15)
DIGITS = re.compile(r"\+?\d{5,}")  # a number in a message may be a person's
REFUSES_SIGN_IN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
DETAIL_LENGTH = 200  # characters of a message that are kept


class TokenReply(msgspec.Struct):
    """What the sign-in answers."""

    access_token: str
    rest_instance_url: str


@dataclass(slots=True, kw_only=True)
class Package:
    """An installed package: its credentials and its present token."""

    auth_url: str
    client_id: str
    client_secret: str
    account_id: str | None = None
    clock: Callable[[], float] = time.monotonic  # seconds
    _token: TokenReply | None = None
    _asked_at: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def call_all(self, http: Http, calls: Sequence[HttpCall]) -> Sequence[HttpReply | Retry]:
        """Send calls, whose paths are below the REST address, with a token. A call without a reply is a Retry.

        After a 401 the token is renewed once, and the refused calls are repeated: they have done nothing.
        """
        if not calls:
            return []
        token = await self._authorized(http, stale=None)
        if isinstance(token, Retry):
            return [token] * len(calls)
        replies = list(await http.call_all([_signed(call, token) for call in calls]))
        unauthorized = [index for index, one in enumerate(replies) if _is_unauthorized(one)]
        if unauthorized:
            token = await self._authorized(http, stale=token)
            again = (
                [token] * len(unauthorized)
                if isinstance(token, Retry)
                else await http.call_all([_signed(calls[index], token) for index in unauthorized])
            )
            answers: dict[int, HttpReply | HttpError | Retry] = dict(zip(unauthorized, again, strict=True))
        else:
            answers = {}
        final = [answers.get(index, one) for index, one in enumerate(replies)]
        return [outcome_of(one) if isinstance(one, HttpError) else one for one in final]

    async def _authorized(self, http: Http, *, stale: TokenReply | None) -> TokenReply | Retry:
        async with self._lock:
            fresh = self._token is not None and self.clock() < self._asked_at + TOKEN_LIFE
            if self._token is not None and fresh and self._token is not stale:
                return self._token
            self._token = None
            body = {
                "grant_type": "client_credentials",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                **({"account_id": self.account_id} if self.account_id else {}),
            }
            call = HttpCall(
                method="POST",
                base=self.auth_url,
                path="/v2/token",
                body=orjson.dumps(body),
                headers={"Content-Type": "application/json"},
                answer_limit=ANSWER_LIMIT,
            )
            try:
                reply = await http.call(call)
            except HttpError as failed:
                return msgspec.structs.replace(outcome_of(failed), in_doubt=False)
            if reply.status in REFUSES_SIGN_IN and isinstance(parse_json(reply), dict):
                return Retry(
                    reason=Reason.CREDENTIALS,
                    detail=f"Marketing Cloud refuses the sign-in (HTTP {reply.status}): {message_of(reply)}",
                    cure="check client_id, client_secret, account_id and auth_url against the installed package",
                )
            if reply.status != HTTPStatus.OK:
                return msgspec.structs.replace(failure_of(reply), in_doubt=False)
            token = _token_of(reply)
            if token is None:
                detail = "the sign-in's answer has no token, or no safe address to use it at"
                return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=detail, cure=SOMETHING_ELSE)
            self._token, self._asked_at = token, self.clock()
            return token


def _token_of(reply: HttpReply) -> TokenReply | None:
    """The token of a sign-in's answer; None if it cannot be used. It is sent in a header, and over HTTPS only."""
    try:
        token = msgspec.json.decode(reply.body, type=TokenReply)
    except msgspec.DecodeError:
        return None
    usable = token.access_token.isascii() and token.access_token.isprintable() and token.access_token.strip()
    return token if usable and is_safe_address(token.rest_instance_url) else None


def _is_unauthorized(reply: HttpReply | HttpError) -> bool:
    return isinstance(reply, HttpReply) and reply.status == HTTPStatus.UNAUTHORIZED


def _signed(call: HttpCall, token: TokenReply) -> HttpCall:
    return msgspec.structs.replace(
        call,
        base=token.rest_instance_url.rstrip("/"),
        headers={**call.headers, "Authorization": f"Bearer {token.access_token}"},
        answer_limit=ANSWER_LIMIT,
    )


def parse_json(reply: HttpReply) -> Any:
    """The answer's JSON; None if it is not JSON."""
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None


def message_of(reply: HttpReply) -> str:
    """Marketing Cloud's message, without numbers."""
    found = parse_json(reply)
    named = found if isinstance(found, dict) else {}
    message = next((named[name] for name in ("message", "error_description", "error") if name in named), None)
    return DIGITS.sub("…", message)[:DETAIL_LENGTH] if isinstance(message, str) else f"HTTP {reply.status}"


def failure_of(reply: HttpReply) -> Retry:
    """An answer that is neither a success nor about the values that were sent."""
    found = parse_json(reply)
    code = found.get("errorcode") if isinstance(found, dict) else None
    match reply.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Retry(
                reason=Reason.CREDENTIALS,
                detail=f"HTTP {reply.status}: {message_of(reply)}",
                cure="give the installed package the scopes for journeys (execute) and data extensions (write)",
            )
        case HTTPStatus.TOO_MANY_REQUESTS if code == BLOCKED:
            return Retry(
                reason=Reason.RATE_LIMITED,
                detail=message_of(reply),
                not_before=LONG_PAUSE,
                code=str(code),
                cure="Marketing Cloud blocks the account for a while: find out which integration makes so many calls",
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            wait = retry_after(reply.headers) or _wait_in(found)
            return Retry(reason=Reason.RATE_LIMITED, detail=message_of(reply), not_before=wait)
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Retry(reason=Reason.UNAVAILABLE, detail=message_of(reply), not_before=retry_after(reply.headers))
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Retry(reason=Reason.SERVER_ERROR, detail=message_of(reply), in_doubt=True)
        case status:
            # A refusal in no form of theirs, such as a proxy's page, has done nothing.
            in_doubt = status < HTTPStatus.MULTIPLE_CHOICES
            return Retry(
                reason=Reason.UNEXPECTED_ANSWER, detail=f"HTTP {status}", in_doubt=in_doubt, cure=SOMETHING_ELSE
            )


def _wait_in(found: Any) -> timedelta | None:
    """`retryAfter` of an error document, in seconds; it repeats the header ("Rate limiting errors")."""
    seconds = found.get("retryAfter") if isinstance(found, dict) else None
    if type(seconds) is not int or seconds < 0:
        return None
    return timedelta(seconds=min(seconds, MAX_RETRY_AFTER.total_seconds()))


def rejection_of(reply: HttpReply) -> Rejected | None:
    """The outcome of a 400 or 404 about one row or event; None for any other answer, such as a page with that status."""
    found = parse_json(reply)
    if reply.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} or not isinstance(found, dict):
        return None
    return Rejected(reason=Reason.VALIDATION, detail=message_of(reply)) if "message" in found else None
