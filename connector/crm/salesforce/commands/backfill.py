"""`connector salesforce backfill`: gives existing contacts their phone number as external ID, so that mappings find them."""

from typing import Any

import click

from connector.cli.backfill import backfill_options, run
from connector.cli.examples import examples


@click.command(
    epilog=examples("connector salesforce backfill --conflicts shared.csv", "connector salesforce backfill --write")
)
@backfill_options
@click.pass_context
def backfill(ctx: click.Context, /, **options: Any) -> None:
    """Fill the key (external ID) of existing contacts from their phone numbers.

    Shows first what would be filled, and which contacts a person must check. A key that is filled is never
    overwritten. After an interruption the same command continues. Ends with 1 if Salesforce refused a change.
    """
    from connector.crm.salesforce.commands.backfill_kind import SALESFORCE  # noqa: PLC0415 - see the package's docstring.

    run(ctx, SALESFORCE, **options)
