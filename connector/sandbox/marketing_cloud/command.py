"""The options of `connector sandbox marketing-cloud`."""

import click
from aiohttp import web

from connector.sandbox.marketing_cloud import build

PORT = 8097


@click.command()
def command() -> web.Application:
    """Marketing Cloud: sign in with client id and secret `sandbox`; PUT /_sandbox/config makes data extensions and events."""
    return build()
