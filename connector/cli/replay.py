"""`connector replay`."""

import sys
from typing import Any

import click

from connector.cli.client import ask
from connector.cli.exit_codes import Misused
from connector.cli.filters import event_filters, filter_payload
from connector.cli.preview_view import show_changes
from connector.cli.render import Paper, answer, as_json, revealing
from connector.cli.setup import Setup


@click.command()
@click.argument("event", required=False)
@event_filters
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before many events are planned again.")
@revealing
@as_json
@click.pass_context
def replay(
    ctx: click.Context, /, *, event: str | None, dry_run: bool, yes: bool, reveal: bool, as_json: bool, **given: Any
) -> None:
    """Plan EVENT again by the mappings in use, or all events that the conditions select.

    What was delivered stays, and is not repeated; what the mappings change is delivered too. Opt-outs and opt-ins that
    came later stay valid. With conditions, what would change is shown first, and nothing happens without --yes or your
    answer.
    """
    setup: Setup = ctx.obj
    conditions = filter_payload(given)
    if (event is not None) == bool(conditions):
        raise Misused("say which: an event by its number or key, or conditions such as --state unmatched --since 7d")
    if event is not None:
        payload = {"id": event, "dry_run": dry_run, "reveal": reveal}
        reply = ask(setup, "replay", payload, is_change=not dry_run)
        answer(reply, lambda paper, one: _show_one(paper, one, dry_run=dry_run), json_wanted=as_json)
        return
    # Without a terminal nobody can answer, and `--json` prints one document: then only --yes acts.
    asking = not (yes or dry_run or as_json) and sys.stdin.isatty()
    preview = ask(setup, "replay", {**conditions, "dry_run": True, "reveal": reveal})
    if not as_json:
        answer(preview, _show_many, json_wanted=False)
    acts = yes and not dry_run
    if asking and preview["to_replay"]:
        acts = click.confirm(f"Plan {preview['to_replay']} events again?")
    if not acts or not preview["to_replay"]:
        if as_json:
            answer(preview, _show_many, json_wanted=True)
        elif preview["to_replay"] and not asking and not dry_run:
            click.echo("Nothing was changed: add --yes to plan them again.")
        return
    reply = ask(setup, "replay", {**conditions, "reveal": reveal}, is_change=True)
    answer(reply, _show_done, json_wanted=as_json)


def _show_one(paper: Paper, document: dict[str, Any], *, dry_run: bool) -> None:
    would = "would be" if dry_run else "will be"
    paper.line(f"event {document['id']} {would} planned again")
    changes = document["preview"]["changes"]
    show_changes(paper, document["preview"])
    if not changes:
        paper.line("by the mappings in use nothing changes", indent=2)


def _show_many(paper: Paper, document: dict[str, Any]) -> None:
    if not document["found"]:
        paper.line("no such events")
        return
    paper.line(f"{document['found']} events; {document['to_replay']} of them would change")
    show_changes(paper, document["preview"])
    if document["still_unreadable"]:
        paper.line(f"{document['still_unreadable']} still cannot be read, and stay as they are", style="yellow")


def _show_done(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(f"{document['replayed']} events are planned again now")
    for why in document["refused"]:
        paper.line(why, indent=2, style="yellow")
