"""The options of `connector sandbox marketing-cloud`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8097


@click.command()
def command() -> "web.Application":
    """Marketing Cloud: sign in with client id and secret `sandbox`; PUT /_sandbox/config makes data extensions and events."""
    from connector.sandbox.marketing_cloud.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.

    return build()
