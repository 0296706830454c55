"""`connector run`."""

import os

import click

from connector.cli.client import become_owner
from connector.cli.exit_codes import Ended, exit_on_error
from connector.cli.setup import Setup

# systemctl shows 2, 3 and 4 under the names of other programs' failures (2/INVALIDARGUMENT), and these as they are.
UNDER_SYSTEMD = 80
ERROR = "<3>"  # sd-daemon(3): the priority `err` of a line in the journal


@click.command()
@click.pass_context
def run(ctx: click.Context) -> None:
    """Run the daemon until SIGTERM.

    SIGHUP makes it reload the mappings. It logs to standard error.
    """
    from connector.daemon import run as run_daemon  # noqa: PLC0415 - see the package's docstring.

    setup: Setup = ctx.obj
    try:
        with exit_on_error():
            loaded = setup.config()
            become_owner(loaded.database)
            ctx.exit(run_daemon(loaded))
    except Ended as error:
        code = error.exit_code + (UNDER_SYSTEMD if "INVOCATION_ID" in os.environ else 0)
        priority = ERROR if "JOURNAL_STREAM" in os.environ else ""
        message = error.format_message().replace("\n", f"\n{priority}")
        raise Ended(message, code, prefix=f"{priority}Error: ") from error
