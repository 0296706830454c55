"""`connector consents show|baseline`."""

from typing import Any

import click

from connector.cli.client import ask
from connector.cli.explain_view import show_consents
from connector.cli.group import Group
from connector.cli.render import LIMIT, Paper, answer, as_json, revealing


@click.group(cls=Group)
def consents() -> None:
    """See what is known of a person's consent; send the opt-outs that the CRM held before the connector was set up."""


@consents.command()
@click.argument("phone")
@revealing
@as_json
@click.pass_context
def show(ctx: click.Context, *, phone: str, reveal: bool, as_json: bool) -> None:
    """Show the subscriptions and the ledger of a PHONE number (+47…)."""
    answer(ask(ctx.obj, "consents_show", {"phone": phone, "reveal": reveal}), show_consents, json_wanted=as_json)


@consents.command()
@click.option("--send", is_flag=True, help="Send the commands. Each may send an SMS to a donor and cannot be undone.")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="Maximum number of lines.")
@revealing
@as_json
@click.pass_context
def baseline(ctx: click.Context, *, send: bool, limit: int, reveal: bool, as_json: bool) -> None:
    """Show what the CRM's existing opt-outs would send to the provider; with --send, send it.

    The first poll of the CRM recorded them, and sent nothing.
    """
    payload = {"send": send, "limit": limit, "reveal": reveal}
    answer(ask(ctx.obj, "consents_baseline", payload, is_change=send), _show_baseline, json_wanted=as_json)


def _show_baseline(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(f"{document['opted_out_records']} records of the CRM are opted out")
    for name, words in (
        ("without_number", "have no valid phone number"),
        ("already_out", "are already recorded as opted out"),
        ("same_number", "have the same number as another of them"),
        ("send_nothing", "lead to no command with the present mappings"),
    ):
        if document[name]:
            paper.line(f"{document[name]} {words}", indent=2)
    if document["lines"]:
        paper.table(
            ["record", "phone", "commands"],
            [(one["record"], one["phone"], one["commands"]) for one in document["lines"]],
        )
    if document["left_off"]:
        paper.line(f"and {document['left_off']} more")
    paper.line(f"{document['commands']} commands for {document['people']} people", style="bold")
    paper.line(f"{document['sent']} new events will be sent" if document["sent"] else "nothing was sent")
