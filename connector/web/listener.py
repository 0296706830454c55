"""A listener: a socket, aiohttp's protocol, and a shutdown that loses no request. The handler is passed in."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, InvalidURLError, LineTooLong

from connector.telemetry.log_events import NOT_HTTP
from connector.web.accepting import SILENCE, Acceptor, Connection
from connector.web.connections import Connections, SpareDescriptors

# Seconds from a connection's start, or from its last answer, until the next request's headers must be complete.
# aiohttp's own 3630 would keep half-sent headers open for an hour.
KEEPALIVE = 20.0
LINGER = timedelta(seconds=1)  # measured: 0.3 s lost 2 connections in 8 restarts under load, 1 s none
GRACE = 10.0  # seconds that running requests have to end
UNREAD = 1.0  # seconds for which the rest of a refused body is read, so that the refusal reaches the caller
LINE = 8190  # bytes of an address, the same limit as aiohttp's
BACKLOG = 1024  # connections that wait while the loop is busy: repeats of a provider come in bursts

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
NotHttp = Callable[[int, str], None]  # called with the status, and the reason in a few constant words


class Listener:
    """Serves one handler on one address.

    The handler gets the bare request: a router, middlewares and error pages would cost half of the time of a callback.
    It closes its connections itself after `draining` is called.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        host: str,
        port: int,
        passed: socket.socket | None = None,
        linger: timedelta = LINGER,
        max_line: int = LINE,
        not_http: NotHttp | None = None,
        keepalive: float = KEEPALIVE,
        connections: Connections | None = None,
        spare: SpareDescriptors | None = None,
        silence: float = SILENCE,
    ) -> None:
        """`connections` limits and counts them; without it there is no limit. `spare` descriptors are used if others are missing.

        `silence` is how many seconds a connection may be silent before it may be closed for another one.
        """
        self._handle = handle
        self._connections = connections
        self._spare = spare
        self._silence = silence
        self._keepalive = keepalive
        self._max_line = max_line
        self._not_http = not_http
        self._host = host
        self._port = port
        self._passed = passed
        self._linger = linger.total_seconds()
        self._runner: web.ServerRunner | None = None
        self._acceptor: Acceptor | None = None
        self._draining = False

    async def start(self) -> str:
        """Listen, on the socket that systemd passed if there is one; returns the base address."""
        server = _Server(
            self._serve,
            # A caller that disconnects does not stop what it began: the event is stored anyway.
            handler_cancellation=False,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=self._keepalive,
            lingering_time=UNREAD,
            max_line_size=self._max_line,
        )
        server.not_http = self._not_http
        self._runner = web.ServerRunner(server, shutdown_timeout=GRACE)
        await self._runner.setup()
        sockets = [self._passed] if self._passed is not None else await _bound(self._host, self._port)
        for listening in sockets:
            listening.setblocking(False)
            listening.listen(BACKLOG)
        base = _base(sockets[0].getsockname())
        self._acceptor = Acceptor(
            sockets, server, connections=self._connections, spare=self._spare, silence=self._silence
        )
        self._acceptor.start()
        return base

    @property
    def open_connections(self) -> int:
        """How many connections there are now; 0 while it does not listen."""
        return self._acceptor.open if self._acceptor is not None else 0

    async def stop(self) -> None:
        """Answer running requests and those that come in the next second, with `Connection: close`; then close."""
        if self._runner is None:
            return
        self._draining = True
        if self._acceptor is not None:
            self._acceptor.stop()
            self._acceptor = None
        await asyncio.sleep(self._linger)
        await self._runner.cleanup()
        self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol = request.protocol
        protocol.busy = protocol.used = True  # type: ignore[attr-defined]  # it is of our own kind
        try:
            response = await self._handle(request)
        finally:
            protocol.busy = False  # type: ignore[attr-defined]
            protocol.silent_since = asyncio.get_running_loop().time()  # type: ignore[attr-defined]
        if self._draining:
            response.force_close()
        return response


class _Protocol(web.RequestHandler, Connection):
    """aiohttp's own, except for its answer to what is not a request: that quoted the unreadable bytes, and could be a 500."""

    not_http: NotHttp | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self.on_closed()

    def abort(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.SERVICE_UNAVAILABLE,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it must not be repeated.
    ) -> web.StreamResponse:
        """The answer. `not_http` is called for what the parser refuses; the library logs everything else itself."""
        if self.not_http is not None and isinstance(exc, HttpProcessingError):
            self.not_http(status, _why(exc))
            response = web.Response(status=status, text="not understood")
            response.force_close()
            return response
        ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        words = "please repeat" if ours else "not understood"
        return super().handle_error(request, HTTPStatus.SERVICE_UNAVAILABLE if ours else status, exc, words)


class _Server(web.Server):
    """Creates our protocol for each connection; aiohttp has no other way to set it."""

    not_http: NotHttp | None = None

    def __call__(self) -> _Protocol:
        protocol = _Protocol(self, loop=self._loop, **self._kwargs)
        protocol.not_http = self.not_http
        return protocol


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


async def _bound(host: str, port: int) -> list[socket.socket]:
    """Sockets at all addresses of the host, or at all of this machine if it is blank; raises OSError."""
    loop = asyncio.get_running_loop()
    try:
        addresses = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(errno.EADDRNOTAVAIL, f"`{host}` is no address ({error.strerror})") from error
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(addresses):
            sockets.append(socket.create_server(address, family=family))
    except OSError:
        for opened in sockets:
            opened.close()
        raise
    return sockets
