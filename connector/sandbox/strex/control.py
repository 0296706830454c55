"""The control interface under /_sandbox/: settings, faults, keys, and the history."""

from aiohttp import web

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex.api import CommandLog
from connector.sandbox.strex.body import Body, read_json
from connector.sandbox.strex.faults import Faults
from connector.sandbox.strex.forwarder import Forwarder
from connector.sandbox.strex.keywords import SHORT_NUMBER
from connector.sandbox.strex.service import Service
from connector.sandbox.strex.signing import KEY_SECONDS, KeyRing
from connector.sandbox.strex.subscribers import Subscriber


class Control:
    """The control endpoints that change settings and show lists."""

    def __init__(
        self, *, service: Service, forwarder: Forwarder, keys: KeyRing, faults: Faults, commands: CommandLog
    ) -> None:
        self._service = service
        self._forwarder = forwarder
        self._keys = keys
        self._faults = faults
        self._commands = commands

    def routes(self) -> list[web.RouteDef]:
        """The HTTP routes."""
        return [
            web.get("/_sandbox/config", self._config),
            web.put("/_sandbox/config", self._configure),
            web.post("/_sandbox/keys", self._new_key),
            web.get("/_sandbox/subscribers", self._subscribers),
            web.put("/_sandbox/subscribers", self._set_subscribers),
            web.get("/_sandbox/forwards", self._forwards),
            web.get("/_sandbox/commands", self._list_commands),
            web.get("/_sandbox/lookups", self._list_lookups),
            web.get("/_sandbox/faults", self._list_faults),
            web.post("/_sandbox/faults", self._add_fault),
            web.delete("/_sandbox/faults", self._clear_faults),
            web.post("/_sandbox/reset", self._reset),
        ]

    async def _config(self, _: web.Request) -> web.Response:
        return web.json_response(self._service.settings.as_json())

    async def _configure(self, request: web.Request) -> web.Response:
        self._service.settings = self._service.settings.changed(Body.of(await read_json(request)).fields)
        return web.json_response(self._service.settings.as_json())

    async def _new_key(self, request: web.Request) -> web.Response:
        body = Body.of(await read_json(request)).refuse_other_fields("name", "seconds")
        seconds = body.number("seconds")
        if seconds is not None and abs(seconds) > KEY_SECONDS:
            raise RefusedError("seconds must be at most a year; below 0 makes a key that has expired")
        key = self._keys.make(body.text("name"), seconds=KEY_SECONDS if seconds is None else seconds)
        return web.json_response(key.as_json())

    async def _subscribers(self, _: web.Request) -> web.Response:
        return web.json_response([each.as_json() for each in self._service.subscribers])

    async def _set_subscribers(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        if not isinstance(given, list):
            raise RefusedError('a list is expected, like [{"phone": "+4790000001", "keyword": "KATT"}]')
        for subscriber in [self._subscriber(Body.of(each)) for each in given]:
            self._service.subscribers.put(subscriber)
        return await self._subscribers(request)

    def _subscriber(self, body: Body) -> Subscriber:
        body.refuse_other_fields("phone", "short_number", "keyword", "active", "price", "subscriber_transaction_id")
        keyword = self._service.keyword(body.text("keyword"), body.text("short_number", SHORT_NUMBER))
        price = body.number("price")
        return Subscriber.new(
            body.text("phone"),
            keyword,
            active=body.flag("active", default=True),
            price=price,
            subscriber_transaction_id=body.optional_text("subscriber_transaction_id"),
        )

    async def _forwards(self, request: web.Request) -> web.Response:
        if request.query.get("wait", "0") != "0":
            await self._forwarder.wait()
        return web.json_response(self._forwarder.as_json())

    async def _list_commands(self, _: web.Request) -> web.Response:
        return web.json_response(self._commands.as_json())

    async def _list_lookups(self, _: web.Request) -> web.Response:
        return web.json_response(self._service.lookups)

    async def _list_faults(self, _: web.Request) -> web.Response:
        return web.json_response(self._faults.as_json())

    async def _add_fault(self, request: web.Request) -> web.Response:
        self._faults.add(Body.of(await read_json(request)))
        return await self._list_faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return await self._list_faults(request)

    async def _reset(self, _: web.Request) -> web.Response:
        """Delete subscribers, look-ups, forwards, commands and faults; settings, keywords and keys are kept."""
        await self._forwarder.clear()
        self._service.clear()
        self._commands.clear()
        self._faults.clear()
        return web.json_response({})
