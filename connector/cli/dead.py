"""`connector dead list|show|retry|discard`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.exit_codes import Misused
from connector.cli.explain_view import describe
from connector.cli.group import Group
from connector.cli.preview_view import show_changes
from connector.cli.render import LIMIT, Paper, answer, as_json, revealing


@click.group(cls=Group)
def dead() -> None:
    """List, retry or discard dead letters. A dead letter is named by the id or the key of its event."""


@dead.command("list")
@click.option("--reason", help="Only those with this reason.")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="Maximum number of lines.")
@as_json
@click.pass_context
def list_(ctx: click.Context, *, reason: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, oldest first, and their causes, each with its cure and the rule's line."""
    answer(ask(ctx.obj, "dead_list", {"reason": reason, "limit": limit}), _show_list, json_wanted=as_json)


@dead.command()
@click.argument("event")
@revealing
@as_json
@click.pass_context
def show(ctx: click.Context, *, event: str, reveal: bool, as_json: bool) -> None:
    """Show the dead letters of one EVENT, and what they should have done."""
    answer(ask(ctx.obj, "dead_show", {"id": event, "reveal": reveal}), _show_letters, json_wanted=as_json)


@dead.command()
@click.argument("events", nargs=-1)
@click.option("--reason", help="All with this reason.")
@click.option("--rule", help="All of this rule (`file: rule`) or file.")
@click.option("--group", help="All of this group, by its name in `dead list`.")
@click.option("--all", "every", is_flag=True, help="All that are not parked.")
@click.option("--as-planned", is_flag=True, help="Send what was planned, also where the mappings have changed since.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@revealing
@as_json
@click.pass_context
def retry(
    ctx: click.Context,
    *,
    events: tuple[str, ...],
    reason: str | None,
    rule: str | None,
    group: str | None,
    every: bool,
    as_planned: bool,
    dry_run: bool,
    reveal: bool,
    as_json: bool,
) -> None:
    """Retry the dead letters of EVENTS, of a cause, or all, when the cause is fixed.

    Where the mappings have changed since (edit them, then `connector reload`), what failed is planned again by them, and
    what changes is shown. What was delivered of the same event stays, and is not repeated.
    """
    payload = selected_events(events, every=every, reason=reason, rule=rule, group=group)
    payload |= {"as_planned": as_planned, "dry_run": dry_run, "reveal": reveal}
    answer(ask(ctx.obj, "dead_retry", payload, is_change=not dry_run), _show_retried, json_wanted=as_json)


@dead.command()
@click.argument("events", nargs=-1, required=True)
@as_json
@click.pass_context
def discard(ctx: click.Context, *, events: tuple[str, ...], as_json: bool) -> None:
    """Never send what failed of EVENTS, because you corrected it by hand. The ledger records that it was not sent.

    A callback that could not be read is discarded in the same way.
    """
    reply = ask(ctx.obj, "dead_discard", {"ids": list(events)})
    answer(reply, lambda paper, document: paper.line(f"{document['discarded']} discarded"), json_wanted=as_json)


def selected_events(events: tuple[str, ...], *, every: bool, **causes: str | None) -> dict[str, Any]:
    """The events that are meant, named in exactly one way. Raises Misused."""
    named = {name: value for name, value in causes.items() if value is not None}
    if bool(events) + every + len(named) != 1:
        ways = ["one or more events", *(f"--{name}" for name in causes), "or --all"]
        raise Misused(f"choose one of: {', '.join(ways)}")
    if events:
        return {"ids": list(events)}
    return {"all": True} if every else dict(named)


def _show_list(paper: Paper, document: dict[str, Any]) -> None:
    rows = document["letters"]
    if not rows:
        paper.line(
            "no dead letters"
            if not document["reasons"]
            else "no dead letters, but some events are parked: see `connector parked list`"
        )
    else:
        paper.table(
            ["event", "sink", "reason", "received", "detail"],
            [(one["id"], one["sink"], one["reason"], paper.time(one["received_at"]), one["detail"]) for one in rows],
        )
    if document["more"]:
        paper.line("there may be more: use a larger --limit")
    for group in document["groups"]:
        what = " ".join(filter(None, (group["reason"], group["code"])))
        where = " ".join(filter(None, (group["rule"], f"({group['place']})" if group["place"] else "")))
        paper.heading(f"{group['count']} of {what}" + (f", {where}" if where else ""))
        if group["detail"]:
            paper.line(group["detail"], indent=2)
        paper.line(f"cure: {group['cure']}", indent=2)
    if "needs_person" in document["reasons"]:
        paper.line(f"{document['reasons']['needs_person']['count']} wait for a decision: see `connector parked list`")


def _show_letters(paper: Paper, document: dict[str, Any]) -> None:
    for one in document["letters"]:
        paper.heading(f"event {one['id']} ({one['key']}) to {one['sink'] or 'no sink: it could not be planned'}")
        paper.line(f"{one['reason']}: {one['detail'] or ''}", indent=2)
        paper.line(f"received {paper.time(one['received_at'])}, {one['attempts']} attempts", indent=2)
        if one["may_have_been_done"]:
            paper.line("it may have been done", indent=2, style="yellow")
        for operation in one["operations"]:
            paper.line(describe(operation), indent=4)
        paper.line(f"cure: {one['cure']}", indent=2)


def _show_retried(paper: Paper, document: dict[str, Any]) -> None:
    if "dead_letters" in document:
        paper.line(f"{document['dead_letters']} event(s) with dead letters would be retried")
    else:
        paper.line(f"{document['retried']} dead letter(s) will be retried")
    if "preview" in document:
        paper.line(f"{document['preview']['events']} of the events are planned again by the mappings in use:")
        show_changes(paper, document["preview"])
        if not document["preview"]["changes"]:
            paper.line("they lead to the same as before", indent=2)
    if document["may_be_done"]:
        events = ", ".join(map(str, document["may_be_done"]))
        paper.line(
            f"not retried, because what must never be repeated may have been done: {events}; see it there, then "
            "`connector dead retry --as-planned EVENT` or `connector dead discard EVENT`",
            style="yellow",
        )
    if document["stops_tried"]:
        paper.line(f"{document['stops_tried']} suspended rule(s) will be retried")
