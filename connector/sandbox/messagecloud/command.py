"""The options of `connector sandbox messagecloud`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8094


@click.command()
@click.option(
    "--hooks",
    default="http://127.0.0.1:8080/hooks/messagecloud",
    show_default=True,
    help="The address of MessageCloud's endpoints.",
)
@click.option("--secret", help="The path secret of the endpoints mo and dlr.")
@click.option("--campaign-name", default="sandbox", show_default=True, help="The account that calls must name.")
@click.option("--api-key", default="sandbox-key", show_default=True, help="The key that calls must have.")
def command(*, hooks: str, secret: str | None, campaign_name: str, api_key: str) -> "web.Application":
    """MessageCloud: creates one-click windows and tells their status; POST /_sandbox/window plays the donor."""
    from connector.sandbox.messagecloud.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.

    return build(hooks=hooks, secret=secret, campaign_name=campaign_name, api_key=api_key)
