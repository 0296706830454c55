"""`connector salesforce …`: commands for one-off work in the Salesforce org, separate from the daemon."""

import click

from connector.cli.group import Group
from connector.cli.salesforce_backfill import backfill
from connector.cli.salesforce_setup import setup


@click.group(cls=Group)
def salesforce() -> None:
    """Set up the Salesforce org, and fill the external IDs of its contacts."""


salesforce.add_command(setup)
salesforce.add_command(backfill)
