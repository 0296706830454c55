"""A listener: a socket, aiohttp's protocol behind it, and a stop that loses no request. What is served is passed in."""

import asyncio
import asyncio.trsock
import os
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, InvalidURLError, LineTooLong

from connector.model.facts import NOT_HTTP
from connector.web.connections import UNIX, Connections

KEEPALIVE = 20.0  # seconds; aiohttp's own 3630 would also let half-sent headers stay open for an hour
LINGER = timedelta(seconds=1)  # measured: 0.3 s lost 2 connections in 8 restarts under load, 1 s none
GRACE = 10.0  # seconds that requests under way have to end
UNREAD = 1.0  # seconds that the rest of a refused body is swallowed, so that the refusal reaches the caller
LINE = 8190  # bytes of an address, as aiohttp has it
BACKLOG = 1024  # connections that wait while the loop is busy: a provider that repeats comes in bursts
# Connections that the loop takes in one go. asyncio takes as many as the queue may hold, and where descriptors are missing tries, and
# logs, each of them (cpython, Lib/asyncio/selector_events.py, _accept_connection).
AT_ONCE = 16
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
NotHttp = Callable[[int, str], None]  # told the status, and why in a few constant words


class Listener:
    """Serves one handler on one address.

    The handler gets the bare request: a router, middlewares and error pages would cost half of the time of a callback. It
    closes its connections by itself once `draining` is told.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        host: str,
        port: int,
        passed: socket.socket | None = None,
        linger: timedelta = LINGER,
        longest_line: int = LINE,
        not_http: NotHttp | None = None,
        connections: Connections | None = None,
    ) -> None:
        """`connections` limits and counts them; without it there is no limit."""
        self._handle = handle
        self._connections = connections
        self._longest_line = longest_line
        self._not_http = not_http
        self._host = host
        self._port = port
        self._passed = passed
        self._linger = linger.total_seconds()
        self._runner: web.ServerRunner | None = None
        self._site: web.BaseSite | None = None
        self._draining = False

    async def start(self) -> str:
        """Listen, on the socket that systemd passed if there is one; returns the base address."""
        server = _Server(
            self._serve,
            # A caller that hangs up does not stop what it began: the event is stored all the same.
            handler_cancellation=False,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE,
            lingering_time=UNREAD,
            max_line_size=self._longest_line,
        )
        server.not_http = self._not_http
        server.limit = self._connections
        self._runner = web.ServerRunner(server, shutdown_timeout=GRACE)
        await self._runner.setup()
        if self._passed is not None:
            self._site = web.SockSite(self._runner, self._passed, backlog=AT_ONCE)
        else:
            self._site = web.TCPSite(self._runner, self._host, self._port, backlog=AT_ONCE)
        if self._connections is not None:
            _tell_what_is_not_accepted(self._connections)
        await self._site.start()
        for one in self._site._server.sockets:  # type: ignore[union-attr]  # noqa: SLF001 - aiohttp shows them nowhere else.
            _lengthen_queue(one)
        return _base(self._runner.addresses[0])

    async def stop(self) -> None:
        """Answer what is under way and what comes in the next second, with `Connection: close`; then hang up."""
        if self._runner is None:
            return
        self._draining = True
        if self._site is not None:
            await self._site.stop()
            self._site = None
        await asyncio.sleep(self._linger)
        await self._runner.cleanup()
        self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._handle(request)
        if self._draining:
            response.force_close()
        return response


class _Protocol(web.RequestHandler):
    """aiohttp's own, but for its answer to what is no request: that quoted the bytes it could not read, and could be a 500."""

    not_http: NotHttp | None = None
    limit: Connections | None = None
    counted: str | None = None  # the address under which the connection is counted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or hang up where there is no room for it."""
        if self.limit is not None:
            name = transport.get_extra_info("peername")
            address = str(name[0]) if isinstance(name, tuple) else UNIX
            if not self.limit.enter(address):
                assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a listener's always is.
                transport.write(BUSY)
                transport.close()
                return
            self.counted = address
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its place back."""
        if self.limit is not None:
            if self.counted is None:
                return
            self.limit.leave(self.counted)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, but nothing of a connection that was not taken."""
        if self.limit is None or self.counted is not None:
            super().data_received(data)

    def eof_received(self) -> None:
        """The same."""
        if self.limit is None or self.counted is not None:
            super().eof_received()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.SERVICE_UNAVAILABLE,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it is what must not be repeated.
    ) -> web.StreamResponse:
        """The answer. What the parser refuses is told to `not_http`, anything else in the library's own record."""
        if self.not_http is not None and isinstance(exc, HttpProcessingError):
            self.not_http(status, _why(exc))
            response = web.Response(status=status, text="not understood")
            response.force_close()
            return response
        ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        words = "please repeat" if ours else "not understood"
        return super().handle_error(request, HTTPStatus.SERVICE_UNAVAILABLE if ours else status, exc, words)


class _Server(web.Server):
    """Makes our protocol for each connection; aiohttp has no other way to name one."""

    not_http: NotHttp | None = None
    limit: Connections | None = None

    def __call__(self) -> _Protocol:
        protocol = _Protocol(self, loop=self._loop, **self._kwargs)
        protocol.not_http = self.not_http
        protocol.limit = self.limit
        return protocol


def _tell_what_is_not_accepted(connections: Connections) -> None:
    """Have missing descriptors told once a minute, and not for each connection that waits. All else is told as before."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if connections.not_accepted(context.get("exception")):
            return
        if before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)


def _lengthen_queue(listening: asyncio.trsock.TransportSocket) -> None:
    """Let more connections wait in the kernel than the loop takes in one go."""
    with socket.socket(fileno=os.dup(listening.fileno())) as same:
        same.listen(BACKLOG)


def _why(error: HttpProcessingError) -> str:
    """The kind of the fault; the error's own words quote the caller's bytes."""
    match error:
        case LineTooLong():
            return "address or header too long"
        case InvalidURLError():
            return "bad address"
        case BadHttpMethod():
            return NOT_HTTP
        case _:
            return "bad request"


def _base(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:  # noqa: PLR2004 - host and port; IPv6 has two more.
        host, port = address[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return str(address)
