"""The options of `connector sandbox twilio`."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8096


@click.command()
@click.option(
    "--hooks",
    default="http://127.0.0.1:8080/hooks/twilio",
    show_default=True,
    help="The address of Twilio's endpoints.",
)
@click.option("--secret", help="The path secret, the last part of the endpoints' addresses.")
@click.option("--auth-token", default="sandbox-token", show_default=True, help="The token that signs the webhooks.")
@click.option("--no-advanced-opt-out", is_flag=True, help="Send STOP without OptOutType.")
def command(*, hooks: str, secret: str | None, auth_token: str, no_advanced_opt_out: bool) -> "web.Application":
    """Twilio: POST /_sandbox/phone plays a donor who writes, /_sandbox/message a message to a donor."""
    from connector.sandbox.twilio.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.

    return build(hooks=hooks, auth_token=auth_token, secret=secret, advanced=not no_advanced_opt_out)
