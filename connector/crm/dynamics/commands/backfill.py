"""`connector dynamics backfill`: gives existing contacts their phone number as key, so that mappings find them."""

from typing import Any

import click

from connector.cli.backfill import backfill_options, run
from connector.cli.examples import examples


@click.command(
    epilog=examples("connector dynamics backfill --conflicts shared.csv", "connector dynamics backfill --write")
)
@backfill_options
@click.pass_context
def backfill(ctx: click.Context, /, **options: Any) -> None:
    """Fill the key of existing contacts from their phone numbers.

    Shows first what would be filled, and which contacts a person must check. A key that is filled is never
    overwritten. After an interruption the same command continues. Ends with 1 if Dynamics 365 refused a change.
    """
    from connector.crm.dynamics.commands.backfill_kind import DYNAMICS  # noqa: PLC0415 - see the package's docstring.

    run(ctx, DYNAMICS, **options)
