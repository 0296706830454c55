"""The options of `connector sandbox dynamics`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.sandbox.dynamics.org import PRESETS

if TYPE_CHECKING:
    from aiohttp import web

PORT = 8095


@click.command()
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default="plain",
    show_default=True,
    help="The kind of org: with the tables of the Fundraising app on the Common Data Model for Nonprofits.",
)
@click.option("--bare", is_flag=True, help="Without the columns and tables of `connector dynamics setup`.")
@click.option("--consent-table", is_flag=True, help="With the consent table of Customer Insights - Journeys.")
@click.option(
    "--tls",
    "ca_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Serve https, and write the certificate of its own authority to this file. Needs the package trustme.",
)
def command(*, preset: str, bare: bool, consent_table: bool, ca_file: Path | None) -> "web.Application":
    """A Dynamics 365 org: sign in at tenant `sandbox` with client id and secret `sandbox`."""
    from connector.sandbox.dynamics.app import build  # noqa: PLC0415 - `connector sandbox --help` loads no server.
    from connector.sandbox.dynamics.tls import TrustmeMissingError, server_context  # noqa: PLC0415 - the same.
    from connector.sandbox.serve import TLS  # noqa: PLC0415 - the same.

    app = build(preset=preset, bare=bare, consent_table=consent_table)
    if ca_file is not None:
        try:
            app[TLS] = server_context(ca_file)
        except TrustmeMissingError as missing:
            raise click.UsageError(str(missing)) from missing
    return app
