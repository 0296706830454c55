"""The provider's interface: service commands, the ping, the public keys; and the list of received commands."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex.body import Body, read_json
from connector.sandbox.strex.faults import COMMAND_PATH, FAULT
from connector.sandbox.strex.forwarder import Forwarder
from connector.sandbox.strex.service import Command, Service
from connector.sandbox.strex.signing import KeyRing

ACTIONS = ("stop", "unsubscribe", "changesubscriberprice")


class Api:
    """The endpoints under /api/."""

    def __init__(self, service: Service, forwarder: Forwarder, keys: KeyRing) -> None:
        self._service = service
        self._forwarder = forwarder
        self._keys = keys

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.post(COMMAND_PATH, self._command),
            web.get("/api/ping", self._ping),
            web.get("/api/server/public-keys/{name}", self._public_key),
            web.get("/api/public-key/{name}", self._public_key),
        ]

    async def _command(self, request: web.Request) -> web.Response:
        settings = self._service.settings
        if request.headers.get(settings.auth_header) != settings.auth_form.replace("{key}", settings.api_key):
            message = f"Unauthorized: the API key belongs in the {settings.auth_header} header"
            return web.json_response({"Message": message}, status=401)
        status, drafts = self._service.command(_read(Body.of(await read_json(request))))
        self._forwarder.send(drafts)
        if status == web.HTTPNotFound.status_code:
            return web.json_response({"Message": "The phone is not in this subscription"}, status=status)
        return web.Response(status=status)

    async def _ping(self, _: web.Request) -> web.Response:
        return web.json_response("pong")

    async def _public_key(self, request: web.Request) -> web.Response:
        key = self._keys.get(request.match_info["name"])
        if key is None:
            return web.json_response({"Message": "There is no such key"}, status=404)
        return web.json_response(key.as_json())


class CommandLog:
    """Every received command, whatever the result."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._all: list[dict[str, Any]] = []

    def clear(self) -> None:
        """Delete all entries."""
        self._all.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """The commands in order of their responses."""
        return list(self._all)

    def middleware(self) -> Middleware:
        """The middleware that records commands; outside of the faults, so that failed commands are recorded too."""

        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path != COMMAND_PATH or request.method != "POST":
                return await handler(request)
            content = await request.read()
            time = self._clock()
            response = await handler(request)
            self._all.append(
                {
                    "time": time,
                    "command": _decoded(content),
                    "status": response.status,
                    "fault": request.get(FAULT),
                }
            )
            return response

        return record


def _read(body: Body) -> Command:
    action = body.text("action")
    if action not in ACTIONS:
        raise RefusedError(f"action must be one of {', '.join(ACTIONS)}")
    price = body.number("price") if action == "changesubscriberprice" else None
    if action == "changesubscriberprice" and (price is None or price <= 0):
        raise RefusedError("changesubscriberprice needs a price above 0")
    return Command(
        phone=body.text("phone"),
        short_number=body.text("shortNumber"),
        keyword=body.text("keyword"),
        action=action,
        price=price,
    )


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode(errors="replace")
