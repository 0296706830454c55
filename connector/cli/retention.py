"""`connector retention`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.render import Paper, answer, as_json


@click.command()
@as_json
@click.pass_context
def retention(ctx: click.Context, *, as_json: bool) -> None:
    """Show what is held of each kind, how old it is, and what the next sweep deletes.

    The sweep runs every night at 03:17. `store: retention:` in the config says how long each kind is kept.
    """
    answer(ask(ctx.obj, "retention_show"), _show, json_wanted=as_json)


def _show(paper: Paper, document: dict[str, Any]) -> None:
    paper.table(
        ["kind", "kept for", "held", "oldest", "next sweep", "in 14 days"],
        [
            (one["kind"], one["kept"], one["count"], paper.time(one["oldest"]), one["next_sweep"], one["in_two_weeks"])
            for one in document["kinds"]
        ],
    )
    paper.heading("Why")
    for one in document["kinds"]:
        paper.line(f"{one['kind']}: {one['why']}", indent=2)
    for one in document["kept_for_ever"]:
        paper.line(f"{one['kind']}, for ever: {one['why']}", indent=2)
    people, unfinished = document["forgotten"]["people"], document["forgotten"]["unfinished"]
    if people:
        rest = f", and part of the data of {unfinished} of them is kept until it is finished" if unfinished else ""
        paper.line(f"{people} people were forgotten{rest}")
