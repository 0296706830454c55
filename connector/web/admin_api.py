"""The operator's listener: health, metrics, the console, and the commands that the CLI sends to the daemon. Loopback only.

`GET /healthz` (the process works), `GET /readyz` (it can accept callbacks), `GET /metrics`, `POST /admin/{command}`
with a JSON object. Every answer except the metrics and the console is a JSON object; an error has `error`, and `cure` if
there is one. `/` and everything under `/console` is the console's, which has guards of its own.
"""

import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import hdrs, web

from connector.config.secrets import is_one_of
from connector.model.errors import ConnectorError
from connector.model.problem import ProblemsFound
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Emit, WorkerFailed

TOKEN_BYTES = 32  # random bytes
BODY_LIMIT = 1024 * 1024  # bytes of a command's object
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = {hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"}

CONSOLE = ("/console", "/favicon.ico")

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Command = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
Reasons = Callable[[], Iterable[str]]  # reasons for a failure; none means that all is well


class Denied(ConnectorError):  # noqa: N818 - it reads as what happened.
    """A request to the admin listener that is refused."""

    def __init__(self, status: int, error: str, cure: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.cure = cure


class AdminHandler:
    """The handler of the admin listener.

    `unhealthy` and `not_ready` return the reasons in plain words. `metrics` returns the text and its content type. A
    command takes the posted object and returns one; it raises ConnectorError for what a person can fix.
    """

    def __init__(
        self,
        commands: Mapping[str, Command],
        *,
        token: str,
        unhealthy: Reasons,
        not_ready: Reasons,
        metrics: Callable[[], tuple[bytes, str]],
        emit: Emit,
        console: Handle | None = None,
        hosts: Iterable[str] = (),
    ) -> None:
        self._commands = commands
        self._token = token.encode()
        self._unhealthy = unhealthy
        self._not_ready = not_ready
        self._metrics = metrics
        self._emit = emit
        self._console = console
        self._hosts = LOCAL_HOSTS | {host.lower() for host in hosts}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. It raises nothing except cancellation."""
        path = request.raw_path.partition("?")[0]
        if self._console is not None and (path == "/" or path.startswith(CONSOLE)):
            return await self._console(request)
        try:
            self._check_host(request)
            return await self._route(request)
        except Denied as denied:
            return _json(denied.status, {"error": str(denied), "cure": denied.cure})
        except ProblemsFound as found:
            problems = [str(problem) for problem in found.problems]
            return _json(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "the files have problems", "problems": problems})
        except ConnectorError as error:
            return _json(HTTPStatus.CONFLICT, {"error": str(error)})
        except Exception as error:  # noqa: BLE001 - the listener must survive a bug in a command.
            where = place(error)
            self._emit(WorkerFailed(worker="admin", error=where, seconds=0.0))
            cure = "this is a bug: report it with this line; nothing else is affected"
            return _json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": where, "cure": cure})

    def _check_host(self, request: web.BaseRequest) -> None:
        """Raises Denied for a name that is not ours: see host_of()."""
        if host_of(request) not in self._hosts:
            raise Denied(HTTPStatus.MISDIRECTED_REQUEST, "unknown Host", "call it as 127.0.0.1 or localhost")

    async def _route(self, request: web.BaseRequest) -> web.Response:
        path = request.raw_path.partition("?")[0]
        if path.startswith("/admin/"):
            _check_method(request, "POST")
            return await self._command(request, path.removeprefix("/admin/"))
        match path:
            case "/healthz":
                _check_method(request, "GET", "HEAD")
                return _health_answer(self._unhealthy())
            case "/readyz":
                _check_method(request, "GET", "HEAD")
                return _health_answer(self._not_ready())
            case "/metrics":
                _check_method(request, "GET", "HEAD")
                text, content_type = self._metrics()
                return web.Response(body=text, headers={**HEADERS, hdrs.CONTENT_TYPE: content_type})
            case _:
                raise Denied(HTTPStatus.NOT_FOUND, "no such page", "there are /healthz, /readyz and /metrics")

    async def _command(self, request: web.BaseRequest, name: str) -> web.Response:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not is_one_of(token.strip(), (self._token,)):
            cure = "send `Authorization: Bearer` with the token in the state directory; it is new at each start"
            raise Denied(HTTPStatus.UNAUTHORIZED, "no valid token", cure)
        command = self._commands.get(name)
        if command is None:
            known = ", ".join(sorted(self._commands))
            raise Denied(HTTPStatus.NOT_FOUND, "no such command", f"known: {known}")
        return _json(HTTPStatus.OK, await command(await _read_object(request)))


async def _read_object(request: web.BaseRequest) -> Mapping[str, Any]:
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > BODY_LIMIT:
            raise Denied(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the object is too large")
    try:
        value = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise Denied(HTTPStatus.BAD_REQUEST, "the body is not a JSON object", "send {} where a command needs nothing")
    return value


def host_of(request: web.BaseRequest) -> str | None:
    """The name in the Host header, in small letters and without the port; None if it cannot be read.

    A web page whose own name resolves to this machine sends that name (DNS rebinding).
    """
    try:
        return urlsplit(f"//{request.headers.get(hdrs.HOST, '')}").hostname
    except ValueError:
        return None


def _check_method(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        raise Denied(HTTPStatus.METHOD_NOT_ALLOWED, "wrong method", f"use {methods[0]}")


def _health_answer(reasons: Iterable[str]) -> web.Response:
    failures = list(reasons)
    if failures:
        return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "failing", "reasons": failures})
    return _json(HTTPStatus.OK, {"status": "ok"})


def _json(status: int, value: Mapping[str, Any]) -> web.Response:
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str)
    return web.Response(status=status, body=body, headers={**HEADERS, hdrs.CONTENT_TYPE: "application/json"})


def write_token(path: Path) -> str:
    """A new token for this start, in a file that only the service's user can read. The whole file is replaced."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"{token}\n")
    fresh.replace(path)
    return token
