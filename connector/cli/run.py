"""`connector run`."""

import click

from connector.cli.setup import Setup


@click.command()
@click.pass_context
def run(ctx: click.Context) -> None:
    """Run the daemon until it is told to stop (SIGTERM).

    SIGHUP makes it read the mappings again. What it says is its log, on standard error.
    """
    from connector.daemon import run as run_daemon  # noqa: PLC0415 - see the package's docstring.

    setup: Setup = ctx.obj
    ctx.exit(run_daemon(setup.path()))
