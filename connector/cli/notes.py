"""`connector notes list`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.group import Group
from connector.cli.render import LIMIT, Paper, answer, as_json


@click.group(cls=Group)
def notes() -> None:
    """See which fields events were delivered without, because a value could not be made."""


@notes.command("list")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="Maximum number of lines.")
@as_json
@click.pass_context
def list_(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """List notes, the newest event first."""
    answer(ask(ctx.obj, "notes_list", {"limit": limit}), _show_list, json_wanted=as_json)


def _show_list(paper: Paper, document: dict[str, Any]) -> None:
    if not document["notes"]:
        paper.line("no event has a note")
        return
    paper.table(
        ["event", "key", "state", "received", "field that was left out", "why", "rule", "where"],
        [
            (
                one["id"],
                one["key"],
                one["state"],
                paper.time(one["received_at"]),
                f"{one['operation']}: {one['field']}",
                one["why"],
                one["rule"],
                one["place"] or "no longer in the file",
            )
            for one in document["notes"]
        ],
    )
    if document["more"]:
        paper.line("there may be more: use a larger --limit")
    paper.line(f"cure: {document['cure']}")
