"""The options of `connector sandbox webhook`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8098


@click.command(epilog="connector sandbox webhook --secret whsec_c2FtcGxl")
@click.option("--secret", required=True, help="The signing secret of the messages: whsec_…")
def command(*, secret: str) -> "web.Application":
    """A receiver of signed messages: GET /_sandbox/messages lists them."""
    from connector.sandbox.webhook.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.

    return build(secret)
