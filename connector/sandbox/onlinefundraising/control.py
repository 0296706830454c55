"""The control interface under /_sandbox/: phones, keywords, settings, faults, and the history."""

import asyncio
import json
from dataclasses import asdict, fields
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from connector.sandbox.onlinefundraising.account import CHANNEL, Account, RefusedError
from connector.sandbox.onlinefundraising.api import CONTROL, Api, Dials
from connector.sandbox.onlinefundraising.sender import Sender

STATUSES = frozenset({400, 401, 403, 404, 405, 429, 500, 503})  # statuses that a fault can respond with
NAMED_FAULTS = frozenset({"slow", "dropped", "garbage"})


class Control:
    """The control endpoints that play donors, change settings and show lists."""

    def __init__(self, account: Account, dials: Dials, api: Api, sender: Sender) -> None:
        self._account = account
        self._dials = dials
        self._api = api
        self._sender = sender
        self._faults: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.post("/_sandbox/phone", self._phone),
            web.post("/_sandbox/webhook", self._webhook),
            web.get("/_sandbox/webhooks", self._webhooks),
            web.get("/_sandbox/keywords", self._keywords),
            web.put("/_sandbox/keywords", self._set_keywords),
            web.put("/_sandbox/rules", self._rules),
            web.get("/_sandbox/messages", self._messages),
            web.get("/_sandbox/config", self._config),
            web.put("/_sandbox/config", self._configure),
            web.get("/_sandbox/calls", self._calls),
            web.post("/_sandbox/faults", self._add_fault),
            web.delete("/_sandbox/faults", self._clear_faults),
        ]

    @web.middleware
    async def faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Make the provider's calls fail while a fault is on; report errors to callers of the control interface."""
        if request.path.startswith(CONTROL):
            try:
                return await handler(request)
            except RefusedError as refused:
                return web.json_response({"Message": str(refused)}, status=refused.status)
        fault = next((one for one in self._faults if one["times"] and request.path_qs.startswith(one["path"])), None)
        if fault is None:
            return await handler(request)
        fault["times"] -= 1
        match fault["fault"]:
            case "slow":
                await asyncio.sleep(fault["seconds"])
                return await handler(request)
            case "dropped":
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            case "garbage":
                return web.Response(text="<html>Welcome</html>", content_type="text/html")
            case status:
                shown = {"errorCode": f"10{status}", "errorDescription": "As it was asked for"}
                return web.json_response(shown, status=status)

    async def _phone(self, request: web.Request) -> web.Response:
        """A donor sends a text: {"from", "text", "to"} and any field of a message; it is sent to the keyword's webhook."""
        body = await _object(request)
        sender, text = body.pop("from", None), body.pop("text", None)
        if not isinstance(sender, str) or not isinstance(text, str):
            raise RefusedError(400, "", 'from and text are needed, like {"from": "+4790000001", "text": "TIFO"}')
        channel = str(body.pop("to", CHANNEL))
        message = self._account.receive(msisdn=sender.removeprefix("+"), text=text, channel=channel, more=body)
        url = self._account.webhook_of(message) or self._dials.webhook_url
        if url is not None and not self._dials.silent:
            self._sender.send(url, json.dumps([message], ensure_ascii=False))
        return web.json_response(message)

    async def _webhook(self, request: web.Request) -> web.Response:
        """Send any text unchanged as a webhook: {"raw": "[…]"}."""
        raw = (await _object(request)).get("raw")
        if not isinstance(raw, str) or self._dials.webhook_url is None:
            raise RefusedError(400, "", "raw, a text, is needed, and a webhook_url in the config")
        self._sender.send(self._dials.webhook_url, raw)
        return web.json_response({})

    async def _webhooks(self, request: web.Request) -> web.Response:
        if request.query.get("wait", "0") != "0":
            await self._sender.wait()
        return web.json_response(self._sender.as_json())

    async def _keywords(self, _: web.Request) -> web.Response:
        return web.json_response(list(self._account.keywords.values()))

    async def _set_keywords(self, request: web.Request) -> web.Response:
        """Set keywords as given, by keywordGuid; others are kept."""
        given = await _json(request)
        if not isinstance(given, list) or not all(isinstance(one, dict) and one.get("keyword") for one in given):
            raise RefusedError(400, "", 'a list is needed, like [{"keyword": "TIFO", "channel": "1217"}]')
        made = [self._account.add(one) for one in given]
        return web.json_response(made)

    async def _rules(self, request: web.Request) -> web.Response:
        """Set what is rejected: {"taken": [[channel, word]], "forbidden": [channel], "subscribed": [keywordGuid]}."""
        body = await _object(request)
        self._account.taken = {(str(channel), str(word).casefold()) for channel, word in body.get("taken", [])}
        self._account.forbidden = set(body.get("forbidden", []))
        self._account.subscribed = set(body.get("subscribed", []))
        return web.json_response({})

    async def _messages(self, _: web.Request) -> web.Response:
        return web.json_response(self._account.messages)

    async def _config(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(self._dials))

    async def _configure(self, request: web.Request) -> web.Response:
        body = await _object(request)
        known = [one.name for one in fields(Dials)]
        for name in body:
            if name not in known:
                raise RefusedError(400, "", f"there is no dial {name!r}; the dials are {', '.join(known)}")
        for name, value in body.items():
            setattr(self._dials, name, value)
        return await self._config(request)

    async def _calls(self, _: web.Request) -> web.Response:
        return web.json_response(self._api.calls)

    async def _add_fault(self, request: web.Request) -> web.Response:
        """Make calls fail: {"fault": a status or a name, "path": start of their path, "times", "seconds"}."""
        body = await _object(request)
        if body.get("fault") not in STATUSES | NAMED_FAULTS:
            known = ", ".join([*(str(one) for one in sorted(STATUSES)), *sorted(NAMED_FAULTS)])
            raise RefusedError(400, "", f"there is no such fault; the faults are {known}")
        self._faults.append({"path": "/", "times": 1, "seconds": 1.0, **body})
        return web.json_response(self._faults)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response([])


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise RefusedError(400, "", "the body is not JSON") from None


async def _object(request: web.Request) -> dict[str, Any]:
    body = await _json(request)
    if not isinstance(body, dict):
        raise RefusedError(400, "", "a JSON object is needed")
    return body
