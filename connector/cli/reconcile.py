"""`connector reconcile`."""

import time
from typing import Any

import click

from connector.cli.client import START, ask_daemon
from connector.cli.exit_codes import Exit, Unreachable
from connector.cli.progress import progress
from connector.cli.render import Paper, answer, as_json
from connector.cli.setup import Setup

PAUSE = 0.5  # seconds between two progress checks


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what differs; change nothing.")
@click.option("--accept-missing", is_flag=True, help="Treat all known records that are missing in the CRM as deleted.")
@as_json
@click.pass_context
def reconcile(ctx: click.Context, *, dry_run: bool, accept_missing: bool, as_json: bool) -> None:
    """Compare all records of the CRM with what is known of them, as the daemon does every night.

    A difference counts as a change, under the same guards as a change that a poll finds. The daemon compares: Ctrl-C does not
    stop it. Ends with 1 if a feed could not be compared to the end.
    """
    setup: Setup = ctx.obj
    document = _ask(setup, {"start": True, "dry_run": dry_run, "accept_missing": accept_missing})
    with progress() as emit:
        while document["running"]:
            emit(_words(document))
            time.sleep(PAUSE)
            document = _ask(setup, {})
    document["ok"] = not any(one["why"] for one in document["feeds"])
    answer(document, _show, json_wanted=as_json)
    if not document["ok"]:
        ctx.exit(Exit.NO)


def _ask(setup: Setup, payload: dict[str, Any]) -> dict[str, Any]:
    reply = ask_daemon(setup.config(), "reconcile", payload)
    if reply is None:
        raise Unreachable(f"the connector is not running, and the daemon does the comparison: {START}")
    return reply


def _words(document: dict[str, Any]) -> str:
    if not document["feeds"]:
        return "beginning"
    one = document["feeds"][-1]
    of = "" if one["total"] is None else f" of {one['total']:,}"
    return f"{one['feed']}: {one['compared']:,}{of} records compared, {one['differing']:,} differ"


def _show(paper: Paper, document: dict[str, Any]) -> None:
    if not document["feeds"]:
        paper.line("there are no feeds: a mapping with `feed:` adds one")
    for one in document["feeds"]:
        paper.heading(one["feed"])
        paper.line(f"{one['compared']:>9,} records compared")
        paper.line(f"{one['differing']:>9,} of them read one by one, because they may differ")
        verb = "would be handled as changes" if document["dry_run"] else "handled as changes"
        paper.line(f"{one['changes']:>9,} {verb}, of {one['people']:,} people")
        if one["noted"]:
            paper.line(f"{one['noted']:>9,} were new, {one['noted_out']:,} of them opted out; nothing is sent for them")
        if one["noted_out"]:
            paper.line("`connector consents baseline` shows what would be sent; with --send it sends it", indent=10)
        if one["missing"]:
            paper.line(f"{one['missing']:>9,} known records are no longer in the CRM")
        if one["many_people"]:
            paper.line("so many people need your decision: see `connector parked list`", indent=10)
        if one["why"]:
            paper.line(f"not finished: {one['why']}", style="red")
