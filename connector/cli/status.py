"""`connector status`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.exit_codes import Exit
from connector.cli.render import Paper, ago, answer, as_json
from connector.cli.setup import Setup

OPEN = ("waiting", "ready", "resting", "claimed")


@click.command()
@as_json
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show whether the daemon runs, what is wrong now and how to fix it, then events, sinks and feeds.

    Ends with 3 if the daemon does not run.
    """
    setup: Setup = ctx.obj
    reply = ask(setup, "status")
    answer(reply, _show, json_wanted=as_json)
    if not reply["daemon"]["running"]:
        ctx.exit(Exit.UNREACHABLE)


def _show(paper: Paper, document: dict[str, Any]) -> None:
    daemon = document["daemon"]
    if daemon["running"]:
        paper.line(f"daemon: running since {paper.time(daemon['since'])} ({ago(daemon['since_seconds'])})")
        paper.line(f"console: {daemon['console']} (`connector console login` prints a link to sign in)")
    else:
        paper.line("daemon: NOT RUNNING", style="red")
    _show_problems(paper, document["problems"])
    paper.heading(f"Events: {document['received']} received")
    if counts := [(state, count) for state, count in document["states"].items() if count]:
        paper.table(["state", "events"], counts)
    if document["oldest_pending"]:
        paper.line(
            f"the oldest event that waits to be planned was received {ago(document['oldest_pending_seconds'])} ago"
        )
    _show_sinks(paper, document["sinks"])
    if document["calls"]:
        _show_calls(paper, document["calls"])
    if document["feeds"]:
        _show_feeds(paper, document["feeds"])
    _show_charging(paper, document["charging"])
    if document["events_with_notes"]:
        paper.line(f"{document['events_with_notes']} events were sent without a field: see `connector notes list`")
    paper.line(f"last backup: {_backup(document['backup'])}")
    paper.line(f"mappings: {document['mapping']['version'] or 'none that can be used'}")


def _show_sinks(paper: Paper, sinks: list[dict[str, Any]]) -> None:
    paper.heading("Sinks")
    paper.table(
        ["sink", "open", "delivered", "dead", "oldest open"],
        [
            (
                one["sink"] if one["configured"] else f"{one['sink']} (no longer configured)",
                sum(one["units"][state] for state in OPEN),
                one["units"]["delivered"],
                one["units"]["dead"],
                ago(one["oldest_open_seconds"]),
            )
            for one in sinks
        ],
    )
    for one in sinks:
        if one["batch"] and one["batch"]["size"] < one["batch"]["most"]:
            size, most = one["batch"]["size"], one["batch"]["most"]
            paper.line(
                f"{one['sink']} is slow or has locked records: batches of {size} operations for now, normally {most}"
            )


def _show_calls(paper: Paper, calls: list[dict[str, Any]]) -> None:
    paper.heading("API calls in the last 24 hours")
    paper.table(
        ["crm", "ours", "our budget", "left", "whole org", "lasts"],
        [
            (one["crm"], one["ours"], _known(one["budget"]), _known(one["left"]), _org(one), _lasts(one))
            for one in calls
        ],
    )


def _show_feeds(paper: Paper, feeds: list[dict[str, Any]]) -> None:
    paper.heading("Feeds")
    paper.table(
        ["feed", "polled every", "state"],
        [(one["feed"], ago(one["every_seconds"]), _feed(one)) for one in feeds],
    )
    _show_reconciled(paper, feeds)


def _show_charging(paper: Paper, providers: list[dict[str, Any]]) -> None:
    for one in providers:
        paper.heading(f"Recurring charges of {one['provider']}{'' if one['enabled'] else ' (off)'}")
        paper.line(f"{one['subscriptions']} subscriptions, {one['ended']} ended because charges failed")
        charges = ", ".join(f"{count} {state}" for state, count in one["charges"].items() if count)
        paper.line(f"charges: {charges or 'none yet'}")
        if (run := one["run"]) is not None:
            why = f": {run['why']}" if run["why"] else ""
            paper.line(f"run of {run['day']}: {run['size']} new charges, {run['failures']} failed, {run['state']}{why}")
        if one["paused"]:
            paper.line(f"paused: {one['paused']}", style="yellow")
        if one["charges"]["in_doubt"]:
            paper.line("see `connector charges list --state in_doubt`", style="red")


def _show_problems(paper: Paper, problems: list[dict[str, Any]]) -> None:
    paper.heading("What is wrong now" if problems else "Nothing is wrong now")
    for one in problems:
        since = f" (since {paper.time(one['since'])})" if one["since"] else ""
        paper.line(f"{one['message']}{since}", indent=2, style="red" if one["severity"] == "error" else "yellow")
        paper.line(one["cure"], indent=4)


def _backup(backup: dict[str, Any]) -> str:
    if backup["file"]:
        return f"{ago(backup['seconds'])} ago, {backup['file']} in {backup['directory']} ({backup['kept']} kept)"
    return "none yet" if backup["enabled"] else "none, and the nightly backup is switched off"


def _known(number: int | None) -> str:
    return "not known yet" if number is None else str(number)


def _org(budget: dict[str, Any]) -> str:
    return "not known yet" if budget["org_maximum"] is None else f"{budget['org_used']} of {budget['org_maximum']}"


def _lasts(budget: dict[str, Any]) -> str:
    if budget["only_opt_outs"]:
        return f"used up: only opt-outs are sent, from a reserve of {budget['reserve']}"
    if budget["lasts_seconds"] is None:
        return "enough for 24 h" if budget["left"] is not None else ""
    return f"{ago(budget['lasts_seconds'])} more"


def _show_reconciled(paper: Paper, feeds: list[dict[str, Any]]) -> None:
    """Print when all records of each feed were last compared with the stored state."""
    for feed, last in [(one["feed"], one["reconciled"]) for one in feeds if one["reconciled"]]:
        since = ago(last["ended_seconds"])
        if last["why"]:
            paper.line(f"{feed}: comparing all records failed {since} ago: {last['why']}", style="red")
        else:
            changes = f"{last['changes']} changes were found"
            paper.line(f"{feed}: all {last['compared']} records were compared {since} ago, and {changes}")


def _feed(feed: dict[str, Any]) -> str:
    if feed["trouble"]:
        return "paused, see above"
    if not feed["begun"]:
        return "not started"
    return "works" if feed["first_look_over"] else "initial sync, which sends nothing"
