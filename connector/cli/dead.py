"""`connector dead list|show|retry`."""

from typing import Any

import click

from connector.cli.ask import ask
from connector.cli.exits import Misused
from connector.cli.explained import describe
from connector.cli.render import Paper, answer, as_json, revealing

LIMIT = click.IntRange(1, 1000)


@click.group()
def dead() -> None:
    """See dead letters, and let them try again. A dead letter is named by the id or the key of its event."""


@dead.command("list")
@click.option("--reason", help="Only those with this reason.")
@click.option("--limit", type=LIMIT, default=100, show_default=True)
@as_json
@click.pass_context
def list_(ctx: click.Context, *, reason: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, oldest first, and the cure for each reason."""
    answer(ask(ctx.obj, "dead_list", {"reason": reason, "limit": limit}), _show_list, json_wanted=as_json)


@dead.command()
@click.argument("event")
@revealing
@as_json
@click.pass_context
def show(ctx: click.Context, *, event: str, reveal: bool, as_json: bool) -> None:
    """Show the dead letters of one EVENT, and what they were to do."""
    answer(ask(ctx.obj, "dead_show", {"id": event, "reveal": reveal}), _show_letters, json_wanted=as_json)


@dead.command()
@click.argument("events", nargs=-1)
@click.option("--reason", help="All with this reason.")
@click.option("--all", "every", is_flag=True, help="All that are not parked.")
@as_json
@click.pass_context
def retry(ctx: click.Context, *, events: tuple[str, ...], reason: str | None, every: bool, as_json: bool) -> None:
    """Let dead letters of EVENTS, of a reason, or all try again, when the cause is mended."""
    payload = chosen(events, every=every, reason=reason)
    answer(ask(ctx.obj, "dead_retry", payload, order=True), _show_retried, json_wanted=as_json)


def chosen(events: tuple[str, ...], *, every: bool, reason: str | None = None) -> dict[str, Any]:
    """The events that are meant, said in exactly one way. Raises Misused."""
    if bool(events) + every + (reason is not None) != 1:
        raise Misused("say which: one or more events, a --reason where there is one, or --all")
    if events:
        return {"ids": list(events)}
    return {"all": True} if every else {"reason": reason}


def _show_list(paper: Paper, document: dict[str, Any]) -> None:
    rows = document["letters"]
    if not rows:
        paper.line(
            "there are no dead letters" if not document["reasons"] else "there are none that fail; see what is parked"
        )
    else:
        paper.table(
            ["event", "key", "sink", "reason", "received", "detail"],
            [(one["id"], one["key"], one["sink"], one["reason"], one["received_at"], one["detail"]) for one in rows],
        )
    if document["more"]:
        paper.line("there may be more: ask with a larger --limit")
    for reason, about in document["reasons"].items():
        paper.line(f"{reason} ({about['count']}): {about['cure']}")


def _show_letters(paper: Paper, document: dict[str, Any]) -> None:
    for one in document["letters"]:
        paper.heading(f"event {one['id']} ({one['key']}) to {one['sink'] or 'nowhere: it could not be planned'}")
        paper.line(f"{one['reason']}: {one['detail'] or ''}", indent=2)
        paper.line(f"received {one['received_at']}, {one['attempts']} attempts", indent=2)
        if one["may_have_been_done"]:
            paper.line("it may have been done", indent=2, style="yellow")
        for operation in one["operations"]:
            paper.line(describe(operation), indent=4)
        paper.line(f"cure: {one['cure']}", indent=2)


def _show_retried(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(f"{document['retried']} dead letter(s) try again")
