"""The options of `connector sandbox sumotext`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8092


@click.command()
@click.option(
    "--hooks",
    default="http://127.0.0.1:8080/hooks/sumotext",
    show_default=True,
    help="The address of Sumotext's endpoints.",
)
@click.option("--secret", help="The path secret, the last part of the endpoints' addresses.")
def command(*, hooks: str, secret: str | None) -> "web.Application":
    """Sumotext: POST /_sandbox/send plays a web form, a poll reply or a text message."""
    from connector.sandbox.sumotext.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.

    return build(hooks=hooks, secret=secret)
