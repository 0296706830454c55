"""`connector salesforce …`: commands for one-off work in the Salesforce org, separate from the daemon."""

import click

from connector.cli.examples import examples
from connector.cli.group import PackageGroup


@click.group(
    cls=PackageGroup,
    package=__name__,
    names=("setup", "backfill"),
    epilog=examples("connector salesforce setup --dry-run", "connector salesforce backfill"),
)
def group() -> None:
    """Set up the Salesforce org, and fill the external IDs of its contacts."""
