"""Builds the sandbox as one web application."""

import time
from collections.abc import Callable

from aiohttp import web

from connector.sandbox.onlinefundraising.account import Account
from connector.sandbox.onlinefundraising.api import Api, Dials
from connector.sandbox.onlinefundraising.control import Control
from connector.sandbox.onlinefundraising.sender import Sender

MAX_BODY_BYTES = 16 * 1024 * 1024


def build(
    *,
    api_key: str = "sandbox-key",
    webhook_url: str | None = None,
    compress: float = 1.0,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """An OnlineFundraising sandbox.

    Args:
        api_key: the required `Authorization` header of calls.
        webhook_url: where messages are sent if their keyword has no address of its own; None sends none.
        compress: divides every wait before a retry.
        clock: Unix time in seconds, for all timestamps.
    """
    account = Account(clock)
    dials = Dials(api_key=api_key, webhook_url=webhook_url, compress=compress)
    sender = Sender(lambda: dials.compress)
    api = Api(account, dials)
    control = Control(account, dials, api, sender)

    async def start(_: web.Application) -> None:
        sender.start()

    async def stop(_: web.Application) -> None:
        await sender.stop()

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[control.faults, api.guard])
    app.add_routes([*api.routes(), *control.routes()])
    app.on_startup.append(start)
    # On shutdown, not on cleanup: otherwise a client that waits for the webhooks would delay the server's stop.
    app.on_shutdown.append(stop)
    return app
