"""`connector dynamics …`: commands for one-off work in the Dynamics 365 org, separate from the daemon."""

import click

from connector.cli.examples import examples
from connector.cli.group import PackageGroup


@click.group(
    cls=PackageGroup,
    package=__name__,
    names=("setup", "backfill"),
    epilog=examples("connector dynamics setup --dry-run", "connector dynamics backfill"),
)
def group() -> None:
    """Set up the Dynamics 365 org, and fill the keys of its contacts."""
