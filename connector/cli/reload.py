"""`connector reload`."""

import click

from connector.cli.client import Refusal, ask_daemon
from connector.cli.exit_codes import Ended, Exit, Unreachable
from connector.cli.render import answer, as_json, waiting
from connector.cli.setup import Setup


@click.command()
@as_json
@click.pass_context
def reload(ctx: click.Context, *, as_json: bool) -> None:
    """Let the running daemon read the mappings again: as a whole, or, where anything is wrong, not at all."""
    setup: Setup = ctx.obj
    try:
        with waiting("reloading the mappings"):
            said = ask_daemon(setup.config(), "reload", {})
    except Refusal as refused:
        message = f"{refused}\nnothing was changed: the daemon keeps its present mappings"
        raise Ended(message, Exit.NO) from refused
    if said is None:
        raise Unreachable("the connector is not running: it reads the mappings when it starts")
    answer(
        said,
        lambda paper, document: paper.line(f"mappings {document.get('version', '')} are in use"),
        json_wanted=as_json,
    )
