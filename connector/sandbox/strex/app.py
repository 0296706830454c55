"""Builds the sandbox as one web application."""

import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex.api import Api, CommandLog
from connector.sandbox.strex.control import Control
from connector.sandbox.strex.donor_actions import DonorActions
from connector.sandbox.strex.faults import Faults
from connector.sandbox.strex.forwarder import Forwarder
from connector.sandbox.strex.rest import Rest
from connector.sandbox.strex.service import Service
from connector.sandbox.strex.settings import Settings
from connector.sandbox.strex.signing import KeyRing

MAX_BODY_BYTES = 64 * 1024 * 1024  # Tests set thousands of subscribers in one call.


def build(
    *,
    api_key: str = "sandbox-key",
    mo_url: str | None = None,
    dlr_url: str | None = None,
    compress: float = 1.0,
    sign: bool = True,
    key_name: str = "2026-01-01",
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """A Strex Connect sandbox.

    Args:
        api_key: the required `Authorization` header of service commands, and `X-ApiKey` header of the REST API.
        mo_url: where messages from phones are forwarded to; None forwards none until it is configured.
        dlr_url: the same for delivery reports.
        compress: divides every wait before a retry.
        sign: whether forwards have `X-ECDSA-Signature`.
        key_name: the name under which the signing key is published.
        clock: Unix time in seconds, for all timestamps.

    Raises:
        RefusedError: a URL or the compress factor is invalid.
    """
    settings = Settings(api_key=api_key).changed(
        {"mo_url": mo_url, "dlr_url": dlr_url, "compress": compress, "sign": sign}
    )
    keys = KeyRing(clock)
    keys.make(key_name)
    service = Service(settings, clock)
    forwarder = Forwarder(lambda: service.settings, keys, clock)
    faults = Faults()
    commands = CommandLog(clock)

    async def start(_: web.Application) -> None:
        forwarder.start()

    async def stop(_: web.Application) -> None:
        await forwarder.stop()

    app = web.Application(
        client_max_size=MAX_BODY_BYTES, middlewares=[commands.middleware(), faults.middleware(), _refuse]
    )
    app.add_routes(Api(service, forwarder, keys).routes())
    app.add_routes(Rest(service).routes())
    app.add_routes(DonorActions(service, forwarder).routes())
    app.add_routes(Control(service=service, forwarder=forwarder, keys=keys, faults=faults, commands=commands).routes())
    app.on_startup.append(start)
    # On shutdown, not on cleanup: otherwise a client that waits for the forwards would delay the server's stop.
    app.on_shutdown.append(stop)
    return app


@web.middleware
async def _refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as refused:
        return web.json_response({"Message": str(refused)}, status=400)
