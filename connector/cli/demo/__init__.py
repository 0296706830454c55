"""`connector demo`: a donor's story on this machine, with a real daemon and both sandboxes as separate processes."""

import json
import os
import signal
from pathlib import Path

import click

from connector.cli.demo.environment import Environment
from connector.cli.demo.script import PARTS, play

PLACE = Path(".demo")


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running afterwards, to try with curl.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=PLACE,
    show_default=True,
    help="For its files; it is emptied first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end and nothing else.")
@click.pass_context
def demo(context: click.Context, *, keep: bool, directory: Path, as_json: bool) -> None:
    """Play a donor's story: SMS to Salesforce, an opt-out in Salesforce back to Strex, and no echo."""
    # However the demo is ended, its processes end with it. The shell that started it may have turned Ctrl-C off.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.umask(0o077)  # only the current user can read the demo's files
    with Environment(directory, PARTS) as environment:
        report = play(environment, quiet=as_json)
        if as_json:
            click.echo(json.dumps(report))
        if keep:
            environment.wait(lambda lines: click.echo("\n".join(lines), err=as_json))
    if not report["as_promised"]:
        context.exit(1)
