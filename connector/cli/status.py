"""`connector status`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.render import Paper, ago, answer, as_json
from connector.cli.setup import Setup

OPEN = ("waiting", "ready", "resting", "claimed")


@click.command()
@as_json
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show how things stand: events by state, the sinks, the feeds, and what a person should look at."""
    setup: Setup = ctx.obj
    answer(ask(setup, "status"), _show, json_wanted=as_json)


def _show(paper: Paper, document: dict[str, Any]) -> None:
    _show_faults(paper, document["faults"])
    paper.heading(f"Events: {document['received']} received")
    paper.table(["state", "events"], [(state, count) for state, count in document["states"].items() if count])
    if not document["balanced"]:
        paper.line("the counts of events do not add up: please report this", style="red")
    if document["oldest_pending"]:
        paper.line(
            f"the oldest event that waits to be planned was received {ago(document['oldest_pending_seconds'])} ago"
        )
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
            for one in document["sinks"]
        ],
    )
    for one in document["sinks"]:
        if one["trouble"]:
            paper.line(f"{one['sink']} is paused: {_fault(one['trouble'])}", style="red")
    _show_cures(paper, [(one["sink"], one["trouble"]) for one in document["sinks"]])
    for one in document["sinks"]:
        if one["batch"] and one["batch"]["size"] < one["batch"]["most"]:
            size, most = one["batch"]["size"], one["batch"]["most"]
            paper.line(
                f"{one['sink']} is slow or has locked records: batches of {size} operations for now, normally {most}"
            )
    if document["calls"]:
        paper.heading("API calls in the last 24 hours")
        paper.table(
            ["crm", "ours", "our budget", "left", "whole org", "lasts"],
            [
                (one["crm"], one["ours"], _known(one["budget"]), _known(one["left"]), _org(one), _lasts(one))
                for one in document["calls"]
            ],
        )
    if document["feeds"]:
        paper.heading("Feeds")
        paper.table(
            ["feed", "polled every", "state"],
            [(one["feed"], ago(one["every_seconds"]), _feed(one)) for one in document["feeds"]],
        )
        _show_cures(paper, [(one["feed"], one["trouble"]) for one in document["feeds"]])
        _show_reconciled(paper, document)
    _show_charging(paper, document["charging"])
    _show_cares(paper, document)
    if document["events_with_notes"]:
        paper.line(f"{document['events_with_notes']} events were sent without a field: see `connector notes list`")
    paper.line(f"last backup: {_backup(document['backup'])}")
    _show_mappings(paper, document["mapping"])


def _show_mappings(paper: Paper, mapping: dict[str, Any]) -> None:
    problems = f"{mapping['problems']} problems: see `connector check`"
    paper.line(f"mappings: {problems if mapping['version'] is None else mapping['version']}")
    if mapping["refused_at"]:
        paper.line(f"the mapping files were refused at {mapping['refused_at']}, and are not in use:", style="red")
        for problem in mapping["refused_for"]:
            paper.line(problem, indent=2, style="red")
        paper.line("correct them, see `connector check`, then run `connector reload`", indent=2)


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


def _show_faults(paper: Paper, faults: list[str]) -> None:
    for fault in faults:
        paper.line(fault, style="red")


def _show_cares(paper: Paper, document: dict[str, Any]) -> None:
    if document["dead"]:
        paper.heading("Waiting for a person")
        paper.table(["reason", "dead letters"], document["dead"].items())
        paper.line("see `connector dead list` and `connector parked list`")
    if document["stopped"]:
        paper.heading("Mappings that are stopped")
        paper.table(
            ["rule", "where", "what", "since"],
            [
                (
                    one["rule"],
                    one["place"] or "no longer in the file",
                    f"{one['sink']} {one['object']}{'.' + one['field'] if one['field'] else ''}: {one['detail']}",
                    one["since"],
                )
                for one in document["stopped"]
            ],
        )
        held = sum(one["held_by_stops"] for one in document["sinks"])
        paper.line(f"{held} events wait for this; {document['stopped'][0]['cure']}")
    if document["late_opt_outs"]:
        paper.heading("Opt-outs that were refused, or not confirmed in time")
        paper.table(
            ["event", "sink", "since", ""],
            [
                (
                    one["event"],
                    one["sink"],
                    f"{ago(one['seconds'])} ago",
                    one["detail"] or ("refused" if one["failed"] else ""),
                )
                for one in document["late_opt_outs"]
            ],
        )


def _backup(backup: dict[str, Any]) -> str:
    if backup["file"]:
        return f"{ago(backup['seconds'])} ago, {backup['file']} in {backup['directory']} ({backup['kept']} kept)"
    return "none yet" if backup["enabled"] else "none, and the nightly backup is switched off"


def _show_cures(paper: Paper, troubles: list[tuple[str, dict[str, Any] | None]]) -> None:
    for name, trouble in troubles:
        if trouble:
            paper.line(f"{name}: {trouble['cure']}", indent=2)


def _known(number: int | None) -> str:
    return "not known yet" if number is None else str(number)


def _org(one: dict[str, Any]) -> str:
    return "not known yet" if one["org_maximum"] is None else f"{one['org_used']} of {one['org_maximum']}"


def _lasts(one: dict[str, Any]) -> str:
    if one["only_opt_outs"]:
        return f"used up: only opt-outs are sent, from a reserve of {one['reserve']}"
    if one["lasts_seconds"] is None:
        return "enough for 24 h" if one["left"] is not None else ""
    return f"until {one['lasts_until']}, {ago(one['lasts_seconds'])} from now"


def _fault(trouble: dict[str, Any]) -> str:
    """One fault: `configuration (INVALID_FIELD) since 2026-…, 3 min ago:` and Salesforce's message."""
    code = f" ({trouble['code']})" if trouble["code"] else ""
    detail = f": {trouble['detail']}" if trouble["detail"] else ""
    return f"{trouble['reason']}{code} since {trouble['since']}, {ago(trouble['since_seconds'])} ago{detail}"


def _show_reconciled(paper: Paper, document: dict[str, Any]) -> None:
    """Print when all records of each feed were last compared with the stored state."""
    for feed, last in [(one["feed"], one["reconciled"]) for one in document["feeds"] if one["reconciled"]]:
        since = ago(last["ended_seconds"])
        if last["why"]:
            paper.line(f"{feed}: comparing all records failed {since} ago: {last['why']}", style="red")
        else:
            changes = f"{last['changes']} changes were found"
            paper.line(f"{feed}: all {last['compared']} records were compared {since} ago, and {changes}")


def _feed(one: dict[str, Any]) -> str:
    if one["trouble"]:
        return f"fails: {_fault(one['trouble'])}"
    if not one["begun"]:
        return "not started"
    return "works" if one["first_look_over"] else "initial sync, which sends nothing"
