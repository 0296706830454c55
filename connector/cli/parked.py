"""`connector parked list|release|discard`."""

from typing import Any

import click

from connector.cli.ask import ask
from connector.cli.dead import LIMIT, chosen
from connector.cli.explained import describe
from connector.cli.render import Paper, answer, as_json


@click.group()
def parked() -> None:
    """See, release or discard what waits for a person: each command may send an SMS to a donor and cannot be taken back."""


@parked.command("list")
@click.option("--limit", type=LIMIT, default=100, show_default=True)
@as_json
@click.pass_context
def list_(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """List what is parked, oldest first."""
    answer(ask(ctx.obj, "parked_list", {"limit": limit}), _show_list, json_wanted=as_json)


@parked.command()
@click.argument("events", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that is parked.")
@as_json
@click.pass_context
def release(ctx: click.Context, *, events: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Send what is parked of EVENTS, or all."""
    said = ask(ctx.obj, "parked_release", chosen(events, every=every), order=True)
    answer(said, lambda paper, document: paper.line(f"{document['released']} released"), json_wanted=as_json)


@parked.command()
@click.argument("events", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that is parked.")
@as_json
@click.pass_context
def discard(ctx: click.Context, *, events: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Never send what is parked of EVENTS, or all. The ledger keeps that it was not sent."""
    said = ask(ctx.obj, "parked_discard", chosen(events, every=every))
    answer(said, lambda paper, document: paper.line(f"{document['discarded']} discarded"), json_wanted=as_json)


def _show_list(paper: Paper, document: dict[str, Any]) -> None:
    if not document["parked"]:
        paper.line("nothing is parked")
        return
    paper.table(
        ["event", "key", "sink", "received", "what"],
        [
            (
                one["id"],
                one["key"],
                one["sink"],
                one["received_at"],
                "\n".join([*(describe(each) for each in one["operations"]), *filter(None, [one["detail"]])]),
            )
            for one in document["parked"]
        ],
    )
    if document["more"]:
        paper.line("there may be more: ask with a larger --limit")
