"""The sandbox as a web application.

POST /_sandbox/phone plays a donor who writes, POST /_sandbox/message a message to a donor with its status callbacks;
GET /_sandbox/sent lists the webhooks, GET /_sandbox/opted_out the numbers that Twilio sends nothing to.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from connector.sandbox.refused import RefusedError

SECONDS = 15  # twilio.com/docs/usage/webhooks/messaging-webhooks: how long Twilio waits for an answer
NUMBER = "+15005550009"  # ours, where a request names none
SERVICE = "MG00000000000000000000000000000001"
ACCOUNT = "AC00000000000000000000000000000001"
# "Twilio support for opt-out keywords": single words, in any case.
STOPS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"})
STARTS = frozenset({"START", "YES", "UNSTOP"})
HELPS = frozenset({"HELP", "INFO"})
DELIVERED = ("queued", "sent", "delivered")
PHONE = ("from", "text", "to", "times")
MESSAGE = ("to", "from", "statuses")


def build(*, hooks: str, auth_token: str, secret: str | None = None, advanced: bool = True) -> web.Application:
    """A sandbox that calls the endpoints below `hooks`, such as http://127.0.0.1:8080/hooks/twilio; `secret` ends their paths.

    Args:
        hooks: the address of Twilio's endpoints.
        auth_token: signs the webhooks.
        secret: the path secret.
        advanced: whether Advanced Opt-Out is on, so that messages have OptOutType.

    Raises:
        RefusedError: `hooks` is not an address.
    """
    url = URL(hooks)
    if url.scheme not in {"http", "https"} or not url.host:
        raise RefusedError("hooks must be an http or https URL, like http://127.0.0.1:8080/hooks/twilio")
    account = _Account(hooks.rstrip("/"), auth_token, secret, advanced=advanced)
    app = web.Application(middlewares=[_refuse])
    app.add_routes(
        [
            web.post("/_sandbox/phone", account.phone),
            web.post("/_sandbox/message", account.message),
            web.get("/_sandbox/sent", account.list_sent),
            web.get("/_sandbox/opted_out", account.list_opted_out),
        ]
    )
    app.cleanup_ctx.append(account.session)
    return app


class _Account:
    def __init__(self, hooks: str, auth_token: str, secret: str | None, *, advanced: bool) -> None:
        self._hooks, self._token, self._secret, self._advanced = hooks, auth_token, secret, advanced
        self._sids = count(1)
        self._opted_out: set[str] = set()
        self._sent: list[dict[str, Any]] = []
        self._http: aiohttp.ClientSession | None = None

    async def session(self, _: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as self._http:
            yield

    async def list_sent(self, _: web.Request) -> web.Response:
        return web.json_response(self._sent)

    async def list_opted_out(self, _: web.Request) -> web.Response:
        return web.json_response(sorted(self._opted_out))

    async def phone(self, request: web.Request) -> web.Response:
        """`from`, `text` and optionally `to` and `times`: a donor writes. Returns the daemon's last answer."""
        given = _read(await request.read(), PHONE)
        donor, text = _text(given, "from"), _text(given, "text")
        form = {
            "MessageSid": self._sid(),
            "AccountSid": ACCOUNT,
            "From": donor,
            "To": given.get("to", NUMBER),
            "Body": text,
            "NumMedia": "0",
            "NumSegments": "1",
            "ApiVersion": "2010-04-01",
        }
        if (kind := self._act(donor, text)) and self._advanced:
            form |= {"OptOutType": kind, "MessagingServiceSid": SERVICE}
        for _ in range(int(given.get("times", 1))):
            self._sent.append(await self._call("mo", form))
        return web.json_response(self._sent[-1])

    async def message(self, request: web.Request) -> web.Response:
        """`to` and optionally `from` and `statuses`: a message to a donor. Returns the answers to its status callbacks."""
        given = _read(await request.read(), MESSAGE)
        donor = _text(given, "to")
        refused = donor in self._opted_out
        form = {"MessageSid": self._sid(), "AccountSid": ACCOUNT, "From": given.get("from", NUMBER), "To": donor}
        answers = []
        for status in ("failed",) if refused else given.get("statuses", DELIVERED):
            error = {"ErrorCode": "21610"} if refused else {}
            answers.append(await self._call("dlr", form | {"MessageStatus": status} | error))
        self._sent += answers
        return web.json_response(answers)

    def _sid(self) -> str:
        return f"SM{next(self._sids):032x}"

    def _act(self, donor: str, text: str) -> str | None:
        """Keep the opt-out list as Twilio does; returns the OptOutType."""
        word = text.strip().upper()
        if word in STOPS:
            self._opted_out.add(donor)
            return "STOP"
        if word in STARTS:
            self._opted_out.discard(donor)
            return "START"
        return "HELP" if word in HELPS else None

    async def _call(self, endpoint: str, form: dict[str, str]) -> dict[str, Any]:
        assert self._http is not None  # noqa: S101 - set while the application runs.
        url = "/".join((self._hooks, endpoint, *([quote(self._secret, safe="")] if self._secret else [])))
        signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
        signature = base64.b64encode(hmac.new(self._token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        sent: dict[str, Any] = {"endpoint": endpoint, "parameters": form, "status": None, "answer": None}
        try:
            async with self._http.post(
                URL(url, encoded=True), data=urlencode(form).encode(), headers=headers
            ) as answer:
                return sent | {
                    "status": answer.status, "answer": await answer.text(), "content_type": answer.content_type
                }  # fmt: skip
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return sent | {"answer": type(error).__name__}


def _read(body: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError("the body is not JSON") from None
    if not isinstance(given, dict):
        raise RefusedError('a JSON object is expected, like {"from": "+15005550006", "text": "STOP"}')
    for name in given:
        if name not in names:
            raise RefusedError(f"there is no field {name!r}; the fields are {', '.join(names)}")
    return given


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise RefusedError(f"{name} must be a text")
    return value


@web.middleware
async def _refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as refused:
        return web.json_response({"Message": str(refused)}, status=400)
