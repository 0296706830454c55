"""`connector replay`."""

import click

from connector.cli.client import ask
from connector.cli.render import answer, as_json


@click.command()
@click.argument("event")
@as_json
@click.pass_context
def replay(ctx: click.Context, *, event: str, as_json: bool) -> None:
    """Let EVENT be planned once more.

    One that was unreadable, unmatched, ignored, or could not be planned; or one whose opt-out no rule has told to the CRM or the
    provider.
    """
    said = ask(ctx.obj, "replay", {"id": event}, order=True)
    answer(
        said, lambda paper, document: paper.line(f"event {document['id']} will be planned again"), json_wanted=as_json
    )
