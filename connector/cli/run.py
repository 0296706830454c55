"""`connector run`."""

import asyncio

import click

from connector.cli.setup import Setup


@click.command()
@click.pass_context
def run(ctx: click.Context) -> None:
    """Run the daemon until it is told to stop (SIGTERM).

    SIGHUP makes it read the mappings again. What it says is its log, on standard error.
    """
    from connector.daemon import serve  # noqa: PLC0415 - see the package's docstring.

    setup: Setup = ctx.obj
    asyncio.run(serve(setup.config()))
