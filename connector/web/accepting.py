"""Accepts connections from listening sockets.

When descriptors run out, asyncio's own way tries to accept as often as the backlog is long, logs each time, and has no
limits.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from connector.web.connections import SHORTAGE, UNIX, Connections, SpareDescriptors

AT_ONCE = 64  # connections that are accepted before the loop does something else
SILENCE = 1.0  # seconds that a connection may be silent before it may be closed for another one
PAUSE = 1.0  # seconds without a new connection after descriptors ran out, unless one is closed meanwhile
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Connection:
    """What a protocol of asyncio reports in addition: whether it is in use, and when it has ended."""

    busy = False  # whether a request is being handled
    used = False  # whether there has ever been one
    silent_since = 0.0  # seconds of the loop's clock: when it was accepted, or when its last request was answered

    def on_closed(self) -> None:
        """Called once the connection is closed; the acceptor replaces it with a method of its own."""

    def abort(self) -> None:
        """Close it at once."""
        raise NotImplementedError


class Acceptor:
    """Accepts connections, as many as the limits allow.

    If all places are taken, the oldest silent connection that has sent no request is closed for the new one, else the
    oldest one on which no request is handled. So connections that send nothing keep nobody out.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        make: Callable[[], Connection],
        *,
        connections: Connections | None = None,
        spare: SpareDescriptors | None = None,
        silence: float = SILENCE,
    ) -> None:
        self._sockets = sockets
        self._make = make
        self._connections = connections
        self._spare = spare
        self._silence = silence
        self._open: dict[Connection, str] = {}  # with its address, the oldest first
        self._opening: set[asyncio.Task[object]] = set()
        self._loop = asyncio.get_running_loop()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._open)

    def start(self) -> None:
        """Begin to accept connections."""
        for listening in self._sockets:
            self._resume(listening)

    def stop(self) -> None:
        """Accept no more connections, and close the listening sockets. Open connections stay."""
        for listening in self._sockets:
            if (pause := self._pauses.pop(listening, None)) is not None:
                pause.cancel()
            self._loop.remove_reader(listening)
            listening.close()
        self._sockets = []

    def _resume(self, listening: socket.socket) -> None:
        self._pauses.pop(listening, None)
        self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                taken, address = self._take(listening)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in SHORTAGE:
                    raise
                if self._connections is not None:
                    self._connections.not_accepted(error)
                self._loop.remove_reader(listening)
                self._pauses[listening] = self._loop.call_later(PAUSE, self._resume, listening)
                return
            self._serve(taken, str(address[0]) if isinstance(address, tuple) else UNIX)

    def _take(self, listening: socket.socket) -> tuple[socket.socket, object]:
        try:
            return listening.accept()
        except OSError as error:
            if error.errno not in SHORTAGE or self._spare is None or not self._spare.free_one():
                raise
        try:
            return listening.accept()
        finally:
            # It succeeds even if nobody waits: Linux looks for a free descriptor first.
            self._spare.refill()

    def _serve(self, taken: socket.socket, address: str) -> None:
        taken.setblocking(False)
        if self._connections is not None and not self._connections.enter(address, self._make_room):
            with suppress(OSError):
                taken.send(BUSY)
            taken.close()
            return
        protocol = self._make()
        protocol.silent_since = self._loop.time()
        self._open[protocol] = address
        protocol.on_closed = lambda: self._closed(protocol)  # type: ignore[method-assign]
        opening = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: cast("asyncio.Protocol", protocol), taken)
        )
        self._opening.add(opening)
        opening.add_done_callback(lambda done: self._opened(done, protocol))

    def _opened(self, opening: asyncio.Task[object], protocol: Connection) -> None:
        self._opening.discard(opening)
        if opening.cancelled() or opening.exception() is not None:
            self._closed(protocol)

    def _closed(self, protocol: Connection) -> None:
        address = self._open.pop(protocol, None)
        if address is None:
            return
        if self._connections is not None:
            self._connections.leave(address)
        if self._spare is not None:
            self._spare.refill()
        for listening, pause in [*self._pauses.items()]:
            # Its descriptor is free in the next round of the loop.
            pause.cancel()
            self._resume(listening)

    def _make_room(self) -> bool:
        """Close a connection that is not needed; False if there is none."""
        before = self._loop.time() - self._silence
        idle = [protocol for protocol in self._open if not protocol.busy and protocol.silent_since <= before]
        if not idle:
            return False
        leaving = next((protocol for protocol in idle if not protocol.used), idle[0])
        self._closed(leaving)
        leaving.abort()
        return True
