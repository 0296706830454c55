"""`connector parked list|release|discard|answer|answers`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.dead import selected_events
from connector.cli.explain_view import describe
from connector.cli.group import Group
from connector.cli.render import LIMIT, Paper, answer, as_json


@click.group(cls=Group)
def parked() -> None:
    """See what waits for a person: commands to release or discard, and texts that may be opt-outs.

    Each command that is released may send an SMS to a donor and cannot be taken back.
    """


@parked.command("list")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="Maximum number of lines.")
@as_json
@click.pass_context
def list_(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """List what is parked, oldest first, and the texts that may be opt-outs."""
    answer(ask(ctx.obj, "parked_list", {"limit": limit}), _show_list, json_wanted=as_json)


@parked.command()
@click.argument("events", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Everything that is parked.")
@as_json
@click.pass_context
def release(ctx: click.Context, *, events: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Send what is parked of EVENTS, or all."""
    reply = ask(ctx.obj, "parked_release", selected_events(events, every=every), is_change=True)
    answer(reply, lambda paper, document: paper.line(f"{document['released']} released"), json_wanted=as_json)


@parked.command()
@click.argument("events", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Everything that is parked.")
@as_json
@click.pass_context
def discard(ctx: click.Context, *, events: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Never send what is parked of EVENTS, or all. The ledger records that it was not sent."""
    reply = ask(ctx.obj, "parked_discard", selected_events(events, every=every))
    answer(reply, lambda paper, document: paper.line(f"{document['discarded']} discarded"), json_wanted=as_json)


@parked.command("answer")
@click.argument("event")
@click.argument("answer_", metavar="ANSWER", type=click.Choice(["was", "was-not"]))
@as_json
@click.pass_context
def answer_(ctx: click.Context, *, event: str, answer_: str, as_json: bool) -> None:
    """Say whether the text of EVENT `was` an opt-out, or `was-not`.

    The answer holds for all events with such a text, those that wait and later ones, until you give another one.
    """
    reply = ask(ctx.obj, "parked_answer", {"id": event, "answer": answer_}, is_change=True)
    answer(reply, _show_answered, json_wanted=as_json)


@parked.command()
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="Maximum number of lines.")
@as_json
@click.pass_context
def answers(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """List what was answered about texts that may be opt-outs, the newest first."""
    answer(ask(ctx.obj, "parked_answers", {"limit": limit}), _show_answers, json_wanted=as_json)


def _show_answered(paper: Paper, document: dict[str, Any]) -> None:
    out = document["answer"] == "was"
    kind = "opt-outs" if out else "ordinary messages"
    paper.line(f"{len(document['planned'])} event(s) with this text are now planned as {kind}, and so are later ones")
    if out and document["planned"]:
        paper.line(
            f"{document['provider']} may not have treated the text as a stop: check that the subscription has ended there too",
            style="yellow",
        )
    if document["done_before"]:
        before = "ordinary messages" if out else "opt-outs"
        cure = (
            "set the opt-out of these donors in the CRM"
            if out
            else "their opt-outs stay in force until they join again"
        )
        events = ", ".join(str(one) for one in document["done_before"])
        paper.line(
            f"events that were already processed as {before}: {events}; {cure} (`connector explain EVENT`)",
            style="yellow",
        )


def _show_answers(paper: Paper, document: dict[str, Any]) -> None:
    if not document["answers"]:
        paper.line("no answers yet")
        return
    paper.table(
        ["event", "provider", "keyword", "text", "answer", "answered", "to change it"],
        [
            (
                one["event"],
                one["provider"],
                one["keyword"],
                one["text"],
                one["answer"],
                paper.time(one["answered_at"]),
                one["change"],
            )
            for one in document["answers"]
        ],
    )
    if document["more"]:
        paper.line("there may be more: use a larger --limit")


def _show_questions(paper: Paper, questions: list[dict[str, Any]]) -> None:
    for one in questions:
        place = f"on {one['short_number']}" if one["short_number"] else None
        to = " ".join(filter(None, (one["keyword"], place, f"({one['provider']})")))
        paper.heading(f"Was this an opt-out? {one['count']} event(s), {to}")
        paper.line(one["text"], indent=2)
        paper.line(f"event {one['event']}, first received {paper.time(one['first_received_at'])}", indent=2)
        paper.line(f"it was:     {one['answers']['was']}", indent=2)
        paper.line(f"it was not: {one['answers']['was-not']}", indent=2)


def _show_list(paper: Paper, document: dict[str, Any]) -> None:
    _show_questions(paper, document["questions"])
    if not document["parked"]:
        if not document["questions"]:
            paper.line("nothing is parked")
        return
    paper.table(
        ["event", "key", "sink", "received", "what"],
        [
            (
                one["id"],
                one["key"],
                one["sink"],
                paper.time(one["received_at"]),
                [*(describe(each) for each in one["operations"]), *filter(None, [one["detail"]])],
            )
            for one in document["parked"]
        ],
    )
    if document["more"]:
        paper.line("there may be more: use a larger --limit")
