"""The sandbox as a web application: POST /_sandbox/send sends a callback, GET /_sandbox/sent lists them.

Whether Sumotext repeats a callback, and after which response, is not documented: the sandbox sends each as often as
requested.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from connector.sandbox.refused import RefusedError
from connector.sandbox.sumotext.callbacks import Method, parameters, query, target

SECONDS = 30  # timeout of a callback; the real one is not documented
MOST = 1000  # per callback
FIELDS = ("kind", "fields", "method", "times")


def build(*, hooks: str, secret: str | None = None) -> web.Application:
    """A sandbox that calls the endpoints below `hooks`, such as http://127.0.0.1:8080/hooks/sumotext; `secret` ends their paths.

    Raises:
        RefusedError: `hooks` is not an address.
    """
    target(hooks, "crm", secret)
    callbacks = _Callbacks(hooks, secret)
    app = web.Application(middlewares=[_refuse])
    app.add_routes([web.post("/_sandbox/send", callbacks.send), web.get("/_sandbox/sent", callbacks.list_sent)])
    app.cleanup_ctx.append(callbacks.session)
    return app


class _Callbacks:
    def __init__(self, hooks: str, secret: str | None) -> None:
        self._hooks = hooks
        self._secret = secret
        self._sent: list[dict[str, Any]] = []
        self._http: aiohttp.ClientSession | None = None

    async def session(self, _: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as self._http:
            yield

    async def list_sent(self, _: web.Request) -> web.Response:
        return web.json_response(self._sent)

    async def send(self, request: web.Request) -> web.Response:
        """`kind` and optionally `fields`, `method` (get, form, json) and `times`; returns the daemon's last response."""
        kind, given, method, times = _read(await request.read())
        for _ in range(times):
            self._sent.append(await self._call(kind, given, method))
        return web.json_response(self._sent[-1])

    async def _call(self, kind: str, given: dict[str, str], method: Method) -> dict[str, Any]:
        assert self._http is not None  # noqa: S101 - set while the application runs.
        url = target(self._hooks, kind, self._secret)
        body: bytes | None = None
        headers = {}
        if method is Method.GET:
            url = f"{url}?{query(kind, given)}"
        elif method is Method.FORM:
            body, headers = query(kind, given).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        else:
            body, headers = json.dumps(given).encode(), {"Content-Type": "application/json"}
        sent: dict[str, Any] = {"kind": kind, "method": method, "parameters": given, "status": None, "answer": None}
        verb = "GET" if method is Method.GET else "POST"
        try:
            async with self._http.request(verb, URL(url, encoded=True), data=body, headers=headers) as answer:
                return sent | {"status": answer.status, "answer": await answer.text()}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return sent | {"answer": type(error).__name__}


def _read(body: bytes) -> tuple[str, dict[str, str], Method, int]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError("the body is not JSON") from None
    if not isinstance(given, dict) or not isinstance(given.get("fields", {}), dict):
        raise RefusedError('a JSON object is expected, like {"kind": "poll", "fields": {"reply": "B"}}')
    for name in given:
        if name not in FIELDS:
            raise RefusedError(f"there is no field {name!r}; the fields are {', '.join(FIELDS)}")
    times = given.get("times", 1)
    if not isinstance(times, int) or not 1 <= times <= MOST:
        raise RefusedError(f"times must be a number from 1 to {MOST}")
    try:
        method = Method(given.get("method", "get"))
    except ValueError:
        raise RefusedError(f"method must be one of {', '.join(Method)}") from None
    kind = str(given.get("kind"))
    return kind, parameters(kind, given.get("fields", {})), method, times


@web.middleware
async def _refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as refused:
        return web.json_response({"Message": str(refused)}, status=400)
