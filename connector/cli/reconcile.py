"""`connector reconcile`."""

import time
from typing import Any

import click

from connector.cli.client import ask_daemon
from connector.cli.exit_codes import Exit, Unreachable
from connector.cli.progress import progress
from connector.cli.render import Paper, answer, as_json
from connector.cli.setup import Setup

PAUSE = 0.5  # seconds between two progress checks


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what differs; nothing is made of it.")
@click.option("--accept-missing", is_flag=True, help="Believe that known records which are not there were all deleted.")
@as_json
@click.pass_context
def reconcile(ctx: click.Context, *, dry_run: bool, accept_missing: bool, as_json: bool) -> None:
    """Compare all records of the CRM with what is known of them, as the daemon does every night.

    What differs is taken for a change, under the same guards as what a poll finds. The daemon does it; after Ctrl-C it goes on.
    Ends with 1 where a feed could not be compared to the end.
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
    said = ask_daemon(setup.config(), "reconcile", payload)
    if said is None:
        raise Unreachable("no connector runs, and it is the daemon that compares: start it with `connector run`")
    return said


def _words(document: dict[str, Any]) -> str:
    if not document["feeds"]:
        return "beginning"
    one = document["feeds"][-1]
    of = "" if one["total"] is None else f" of {one['total']:,}"
    return f"{one['feed']}: {one['compared']:,}{of} records compared, {one['differing']:,} differ"


def _show(paper: Paper, document: dict[str, Any]) -> None:
    if not document["feeds"]:
        paper.line("no feed is followed: a mapping with `feed:` begins one")
    for one in document["feeds"]:
        paper.heading(one["feed"])
        paper.line(f"{one['compared']:>9,} records compared")
        paper.line(f"{one['differing']:>9,} of them looked at by themselves, for they may differ")
        verb = "would be taken for changes" if document["dry_run"] else "taken for changes"
        paper.line(f"{one['changes']:>9,} {verb}, of {one['people']:,} people")
        if one["noted"]:
            paper.line(
                f"{one['noted']:>9,} were not known, {one['noted_out']:,} of them opted out; nothing is sent for them"
            )
        if one["noted_out"]:
            paper.line(
                "see `connector consents baseline`, which shows what would be sent, and sends it with --send", indent=10
            )
        if one["missing"]:
            paper.line(f"{one['missing']:>9,} known ones are not in the CRM any more")
        if one["many_people"]:
            paper.line("so many people wait for your word: see `connector parked list`", indent=10)
        if one["why"]:
            paper.line(f"not compared to the end: {one['why']}", style="red")
