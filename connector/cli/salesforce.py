"""`connector salesforce …`: the group of what is done in the Salesforce org itself, outside the daemon's road."""

import click

from connector.cli.backfill import backfill


@click.group()
def salesforce() -> None:
    """Fill the external IDs of the Salesforce org."""


salesforce.add_command(backfill)
