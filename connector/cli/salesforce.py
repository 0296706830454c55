"""`connector salesforce …`: the group of what is done in the Salesforce org itself, outside the daemon's road."""

import click

from connector.cli.org_setup import setup


@click.group()
def salesforce() -> None:
    """Set up the Salesforce org."""


salesforce.add_command(setup)
