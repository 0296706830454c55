"""`connector sinks`: secrets of webhooks."""

import click

from connector.cli.group import Group
from connector.cli.render import answer, as_json


@click.group(cls=Group)
def sinks() -> None:
    """Prepare the webhooks and other systems that get results."""


@sinks.command()
@as_json
def secret(*, as_json: bool) -> None:
    """Make a signing secret for a webhook. Put it where `secret:` of the config says, and give it to the receiver."""
    from connector.sinks.webhook.signature import new_secret  # noqa: PLC0415 - see the package's docstring.

    answer({"secret": new_secret()}, lambda paper, document: paper.line(document["secret"]), json_wanted=as_json)
