"""Serves a sandbox on a port: for a test as a context manager, for a command until it is stopped."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext

from aiohttp import web

LONGEST_LINE = (
    65_536  # bytes of a request line or header; a sandbox rejects shorter ones itself if the real server does
)
TLS: web.AppKey[SSLContext] = web.AppKey("tls", SSLContext)  # an application with it is served by https
STOP_GRACE = 1.0  # seconds for open requests when a sandbox stops


@asynccontextmanager
async def serving(
    app: web.Application, host: str = "127.0.0.1", port: int = 0, tls: SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve `app` during the block, and yield its base URL; port 0 uses a free one, and `tls` makes it https."""
    tls = tls or app.get(TLS)
    runner = web.AppRunner(
        app,
        access_log=None,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
        shutdown_timeout=STOP_GRACE,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        bound = runner.addresses[0]
        yield f"{'https' if tls else 'http'}://{host}:{bound[1]}"
    finally:
        if tls is not None and runner.server is not None:
            for connection in runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()  # a client that is gone does not answer TLS's farewell
        await runner.cleanup()


async def serve_until_stopped(app: web.Application, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve `app` until SIGTERM or SIGINT; `announce` gets the base URL once it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with serving(app, host, port) as url:
            announce(url)
            await stop.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
