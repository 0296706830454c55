"""The options of `connector sandbox onlinefundraising`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8093


@click.command()
@click.option("--webhook-url", help="The address that received messages are sent to, with the path secret.")
@click.option("--api-key", default="sandbox-key", show_default=True, help="The key that calls must have.")
@click.option(
    "--compress",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Divides every wait before a retry.",
)
def command(*, webhook_url: str | None, api_key: str, compress: float) -> "web.Application":
    """OnlineFundraising: sends received messages, has keywords and lists; POST /_sandbox/phone plays a donor."""
    from connector.sandbox.onlinefundraising.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.

    return build(api_key=api_key, webhook_url=webhook_url, compress=compress)
