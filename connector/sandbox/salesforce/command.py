"""The options of `connector sandbox salesforce`."""

from typing import TYPE_CHECKING

import click

from connector.sandbox.salesforce.presets import PRESETS
from connector.sandbox.salesforce.wording import LANGUAGES

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8090


@click.command(epilog="connector sandbox salesforce --port 8090")
@click.option("--data", default=":memory:", help="A file for the records; without it they are kept in memory.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="plain",
    show_default=True,
    help="The kind of org: with NPSP, or with Nonprofit Cloud.",
)
@click.option("--bare", is_flag=True, help="Without custom fields and objects, like a new org.")
@click.option(
    "--currency",
    "currencies",
    multiple=True,
    help="An org with several currencies: name each, such as NOK, the users' own first.",
)
@click.option(
    "--language",
    type=click.Choice(list(LANGUAGES)),
    default="en",
    show_default=True,
    help="The language of the org's error messages.",
)
def command(*, data: str, preset: str, bare: bool, currencies: tuple[str, ...], language: str) -> "web.Application":
    """A Salesforce org: sign in with client id and secret `sandbox`."""
    from connector.sandbox.salesforce.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.

    return build(data, preset=preset, bare=bare, currencies=currencies, language=language)
