"""Builds the sandbox as one web application."""

import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from connector.sandbox.messagecloud.donor_actions import DonorActions
from connector.sandbox.messagecloud.gateway import Gateway
from connector.sandbox.refused import RefusedError

GATEWAY = web.AppKey("gateway", Gateway)  # for tests in the same process


def build(
    *,
    campaign_name: str = "sandbox",
    api_key: str = "sandbox-key",
    hooks: str | None = None,
    secret: str | None = None,
    price: int = 100,
    short_number: str = "2172",
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """A MessageCloud sandbox.

    Args:
        campaign_name: the account that calls must name.
        api_key: the key that calls must have.
        hooks: the base address of the endpoints, such as http://127.0.0.1:8080/hooks/messagecloud; None until it is set.
        secret: the path secret of the endpoints `mo` and `dlr`.
        price: of every subscription, in NOK.
        short_number: to which everything is billed.
        clock: Unix time in seconds.

    Raises:
        RefusedError: `hooks` is not an address.
    """
    gateway = Gateway(campaign_name, api_key, price, short_number, clock)
    donor_actions = DonorActions(gateway, hooks=hooks, secret=secret)
    app = web.Application(middlewares=[_refuse])
    app[GATEWAY] = gateway
    app.add_routes(gateway.routes())
    app.add_routes(donor_actions.routes())
    app.cleanup_ctx.append(donor_actions.session)
    return app


@web.middleware
async def _refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as refused:
        return web.json_response({"Message": str(refused)}, status=400)
