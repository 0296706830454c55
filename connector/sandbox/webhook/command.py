"""The options of `connector sandbox webhook`."""

import click
from aiohttp import web

from connector.sandbox.webhook import build

PORT = 8098


@click.command(epilog="connector sandbox webhook --secret whsec_c2FtcGxl")
@click.option("--secret", required=True, help="The signing secret of the messages: whsec_…")
def command(*, secret: str) -> web.Application:
    """A receiver of signed messages: GET /_sandbox/messages lists them."""
    return build(secret)
