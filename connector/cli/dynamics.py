"""`connector dynamics …`: commands for one-off work in the Dynamics 365 org, separate from the daemon."""

import click

from connector.cli.dynamics_backfill import backfill
from connector.cli.dynamics_setup import setup
from connector.cli.group import Group


@click.group(cls=Group)
def dynamics() -> None:
    """Set up the Dynamics 365 org, and fill the keys of its contacts."""


dynamics.add_command(setup)
dynamics.add_command(backfill)
