"""The provider's interface: keywords, the list of received messages, and the published address list."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from connector.sandbox.onlinefundraising.account import Account, RefusedError

ADDRESS_LIST = "/webhooks.json"
CONTROL = "/_sandbox/"
MOST_PER_PAGE = 1000


@dataclass(slots=True, kw_only=True)
class Dials:
    """Settings that can be changed while the sandbox runs."""

    api_key: str = "sandbox-key"
    webhook_url: str | None = None  # for newly reserved keywords; no call of the provider sets it
    compress: float = 1.0  # divides every wait before a retry
    newest_first: bool = True  # the order of GET /SmsMO, which is not documented
    silent: bool = False  # send no webhooks, as if the receiver's network were down for days
    address_list: Any = field(default_factory=lambda: {"webhooks": ["127.0.0.1/32"]})  # its form is not documented


class Api:
    """The provider's endpoints."""

    def __init__(self, account: Account, dials: Dials) -> None:
        self._account = account
        self._dials = dials
        self.calls: list[str] = []  # method, path and status, in order of the responses

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.get("/keywords", self._keywords),
            web.get("/keyword/Check", self._check),
            web.post("/keyword/Reserve", self._reserve),
            web.get("/keyword/{guid}", self._keyword),
            web.get("/keyword/{guid}/subkeywords", self._subkeywords),
            web.post("/keyword/{guid}/Deactivate", self._switch(active=False)),
            web.post("/keyword/{guid}/Reactivate", self._switch(active=True)),
            web.get("/SmsMO", self._messages),
            web.get("/SmsMO/{guid}", self._message),
            web.get(ADDRESS_LIST, self._address_list),
        ]

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the API key and the checksum first; errors have the provider's form."""
        if request.path.startswith(CONTROL):
            return await handler(request)
        try:
            if request.path != ADDRESS_LIST:
                await self._check_caller(request)
            response = await handler(request)
        except RefusedError as refused:
            shown = {"errorCode": refused.code, "errorDescription": str(refused)}
            response = web.json_response(shown, status=refused.status)
        self.calls.append(f"{request.method} {request.path_qs} {response.status}")
        return response

    async def _check_caller(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != self._dials.api_key:
            raise RefusedError(401, "10401", "The API key is not known, or not from this address")
        if request.method in {"POST", "PUT", "PATCH"}:
            wanted = hashlib.md5(await request.read(), usedforsecurity=False).hexdigest().upper()
            given = request.headers.get("Content-MD5", request.headers.get("RequestMD5"))
            if given != wanted:
                raise RefusedError(400, "10010", "Content-MD5 is not the upper-case hex MD5 of the body")

    async def _keywords(self, _: web.Request) -> web.Response:
        return web.json_response(self._account.listed())

    async def _keyword(self, request: web.Request) -> web.Response:
        return web.json_response(self._account.get(request.match_info["guid"]))

    async def _subkeywords(self, request: web.Request) -> web.Response:
        return web.json_response(self._account.subkeywords(request.match_info["guid"]))

    async def _check(self, request: web.Request) -> web.Response:
        channel, keyword = request.query.get("channel", ""), request.query.get("keyword", "")
        free = self._account.is_free(channel, keyword)
        return web.json_response({"keywordStatus": "free" if free else "unavailable"})

    async def _reserve(self, request: web.Request) -> web.Response:
        try:
            fields = json.loads(await request.read())
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise RefusedError(400, "10000", "The body is not a JSON object")
        made = self._account.reserve(fields)
        if self._dials.webhook_url is not None:
            self._account.get(made["keywordGuid"])["webhookEndpointUrl"] = self._dials.webhook_url
        return web.json_response(made, status=201)

    def _switch(self, *, active: bool) -> Callable[[web.Request], Any]:
        async def switch(request: web.Request) -> web.Response:
            guid = request.match_info["guid"]
            self._account.get(guid)
            self._account.switch(guid, active=active)
            return web.Response()

        return switch

    async def _messages(self, request: web.Request) -> web.Response:
        number, size = (_number(request, name, default) for name, default in (("pageNumber", 1), ("pageSize", 100)))
        page = self._account.page(number, min(size, MOST_PER_PAGE), newest_first=self._dials.newest_first)
        return web.json_response(page)

    async def _message(self, request: web.Request) -> web.Response:
        guid = request.match_info["guid"]
        found = next((one for one in self._account.messages if one["messageGuid"] == guid), None)
        if found is None:
            raise RefusedError(404, "10404", "Message not found")
        return web.json_response(found)

    async def _address_list(self, _: web.Request) -> web.Response:
        return web.json_response(self._dials.address_list)


def _number(request: web.Request, name: str, default: int) -> int:
    given = request.query.get(name, str(default))
    if not given.isascii() or not given.isdigit() or int(given) < 1:
        raise RefusedError(400, "10006", f"{name} must be a number from 1")
    return int(given)
