"""`connector charges preview|list|show|approve|resolve|pause|resume`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.group import Group
from connector.cli.render import LIMIT, Paper, answer, as_json, revealing

STATES = ("due", "sending", "asking", "taken", "failed", "in_doubt", "skipped")

provider_option = click.option("--provider", help="The provider, if several charge donors.")


@click.group(cls=Group)
def charges() -> None:
    """See whom the connector charges each month, and decide what only a person can decide."""


@charges.command()
@click.option("--date", "day", help="The day, such as 2026-03-01. Default: the next run.")
@provider_option
@revealing
@as_json
@click.pass_context
def preview(ctx: click.Context, *, day: str | None, provider: str | None, reveal: bool, as_json: bool) -> None:
    """Show what the next run, or the one of a day, would charge. It changes nothing."""
    payload = {"date": day, "provider": provider, "reveal": reveal}
    answer(ask(ctx.obj, "charges_preview", payload), _show_preview, json_wanted=as_json)


@charges.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--phone", help="Only those of this number.")
@click.option("--period", help="Only those of this month, such as 2026-03.")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="Maximum number of lines.")
@revealing
@as_json
@click.pass_context
def list_(
    ctx: click.Context,
    *,
    state: str | None,
    phone: str | None,
    period: str | None,
    limit: int,
    reveal: bool,
    as_json: bool,
) -> None:
    """List charges, the newest first; the last column says why one was not sent."""
    payload = {"state": state, "phone": phone, "period": period, "limit": limit, "reveal": reveal}
    answer(ask(ctx.obj, "charges_list", payload), _show_list, json_wanted=as_json)


@charges.command()
@click.argument("charge")
@revealing
@as_json
@click.pass_context
def show(ctx: click.Context, *, charge: str, reveal: bool, as_json: bool) -> None:
    """Show one CHARGE, its history and its subscription."""
    answer(ask(ctx.obj, "charges_show", {"id": charge, "reveal": reveal}), _show_one, json_wanted=as_json)


@charges.command()
@click.option("--date", "day", help="A later day, such as 2026-03-01. Default: today's run, which waits.")
@provider_option
@as_json
@click.pass_context
def approve(ctx: click.Context, *, day: str | None, provider: str | None, as_json: bool) -> None:
    """Start a run that waits for a person, or continue one that was stopped.

    A run that is approved before its day waits again if it has more charges by then.
    """
    reply = ask(ctx.obj, "charges_approve", {"date": day, "provider": provider}, is_change=True)
    answer(reply, _show_approved, json_wanted=as_json)


@charges.command()
@click.argument("ids", metavar="CHARGES...", nargs=-1, required=True)
@click.option(
    "--as",
    "decision",
    type=click.Choice(["taken", "not-taken", "again", "ask"]),
    required=True,
    help="taken, not-taken, again (charge once more), or ask (ask the provider by the transaction).",
)
@click.option("--transaction", help="The provider's transaction id, if you have found it there.")
@as_json
@click.pass_context
def resolve(ctx: click.Context, *, ids: tuple[str, ...], decision: str, transaction: str | None, as_json: bool) -> None:
    """Decide what became of CHARGES in doubt, or charge a failed or skipped one again.

    Look at the provider first. `again` takes money a second time if the first call had succeeded.
    """
    payload = {"ids": list(ids), "decision": decision, "transaction": transaction}
    reply = ask(ctx.obj, "charges_resolve", payload, is_change=True)
    answer(
        reply,
        lambda paper, document: paper.line(f"{len(document['resolved'])} charge(s): {document['decision']}"),
        json_wanted=as_json,
    )


@charges.command()
@click.option("--why", help="The reason, for those who look later.")
@provider_option
@as_json
@click.pass_context
def pause(ctx: click.Context, *, why: str | None, provider: str | None, as_json: bool) -> None:
    """Send no charges until `resume`. A charge that is being sent is finished."""
    reply = ask(ctx.obj, "charges_pause", {"why": why, "provider": provider}, is_change=True)
    answer(reply, lambda paper, document: paper.line(f"paused: {document['paused']}"), json_wanted=as_json)


@charges.command()
@provider_option
@as_json
@click.pass_context
def resume(ctx: click.Context, *, provider: str | None, as_json: bool) -> None:
    """Send charges again after `pause`."""
    reply = ask(ctx.obj, "charges_resume", {"provider": provider}, is_change=True)
    answer(reply, lambda paper, document: paper.line(f"{document['provider']}: resumed"), json_wanted=as_json)


def _show_preview(paper: Paper, document: dict[str, Any]) -> None:
    paper.heading(f"{document['provider']}, {document['day']}, {document['hours']}")
    if not document["enabled"]:
        paper.line("charging is off: nothing is sent before the config says `charges: {enabled: true}`", style="yellow")
    if document["paused"]:
        paper.line(f"paused: {document['paused']}", style="yellow")
    if document["waits"]:
        paper.line(f"waits for `connector charges approve`: {document['waits']}", style="yellow")
    if document["charges"]:
        columns = ("what", "phone", "keyword", "period", "due_day", "amount", "attempt", "why")
        paper.table(columns, [[one[column] for column in columns] for one in document["charges"]])
    paper.line(f"{document['count']} charge(s), {document['total']} {document['currency']}")


def _show_list(paper: Paper, document: dict[str, Any]) -> None:
    if not document["charges"]:
        paper.line("no such charges")
        return
    columns = ("id", "state", "phone", "keyword", "period", "amount", "attempt", "status", "detail")
    paper.table(columns, [[one[column] for column in columns] for one in document["charges"]])
    if document["more"]:
        paper.line("there may be more: use a larger --limit")


def _show_one(paper: Paper, document: dict[str, Any]) -> None:
    paper.heading(f"Charge {document['id']}: {document['state']}")
    given = document["subscription"]
    paper.line(f"{document['phone']}, {given['keyword']} on {given['short_number']}, period {document['period']}")
    paper.line(f"due on {document['due_day']}, not sent after {document['last_day']}")
    paper.line(
        f"amount {document['amount']}, attempts {document['attempts']}, transaction {document['transaction_id']}"
    )
    paper.line(f"subscription {given['id']}, begun {paper.time(given['began_at'])}, now {given['amount']} each time")
    if given["ended_at"]:
        paper.line(f"ended {paper.time(given['ended_at'])}: {given['ended_why']}")
    history = [(paper.time(one["at"]), one["state"], one["detail"]) for one in document["history"]]
    paper.table(["when", "state", "what"], history)
    for command in document["decisions"]:
        paper.line(command)


def _show_approved(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(f"{document['provider']}: the run of {document['day']} is approved, {document['size']} new charge(s)")
    if not document["enabled"]:
        paper.line("charging is off: it begins when the config says `charges: {enabled: true}`", style="yellow")
