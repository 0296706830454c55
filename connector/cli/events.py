"""`connector events`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.filters import event_filters, filter_payload
from connector.cli.render import LIMIT, Paper, answer, as_json, revealing
from connector.cli.setup import Setup

# What can be done about the events of a state, if anything; EVENT is a placeholder for an event's number.
NEXT = {
    "unmatched": "add a rule, then `connector reload` and `connector replay --state unmatched`",
    "unreadable": "after an update of the connector: `connector replay --state unreadable`; `connector dead discard EVENT` "
    "ends one that nobody needs",
    "dead": "see `connector dead list` and `connector parked list`",
}


@click.command()
@event_filters
@click.option("--limit", type=LIMIT, default=50, show_default=True, help="Maximum number of lines.")
@revealing
@as_json
@click.pass_context
def events(ctx: click.Context, /, *, limit: int, reveal: bool, as_json: bool, **given: Any) -> None:
    """List events, the newest first. Conditions are combined."""
    setup: Setup = ctx.obj
    reply = ask(setup, "events_list", {**filter_payload(given), "limit": limit, "reveal": reveal})
    answer(reply, _show, json_wanted=as_json)


def _show(paper: Paper, document: dict[str, Any]) -> None:
    rows = document["events"]
    if not rows:
        paper.line("no such events")
        return
    paper.table(
        ["event", "received", "from", "what", "number", "state"],
        [
            (
                one["id"],
                paper.time(one["received_at"]),
                f"{one['provider']} {one['shape']}",
                " ".join(filter(None, (one["action"], one["keyword"]))),
                one["phone"],
                f"{one['state']} ({one['reason']})" if one["reason"] else one["state"],
            )
            for one in rows
        ],
    )
    if document["more"]:
        paper.line(f"the newest {len(rows)} of {document['total']}: use a larger --limit, or more conditions")
    for state in dict.fromkeys(one["state"] for one in rows):
        if state in NEXT:
            paper.line(f"{state}: {NEXT[state]}")
    paper.line("what happened to one of them, and why: connector explain EVENT")
