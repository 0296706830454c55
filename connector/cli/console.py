"""`connector console login|logout|audit|password`."""

from typing import Any

import click

from connector.cli.client import START, ask, ask_daemon, user_name
from connector.cli.exit_codes import Misused, Unreachable
from connector.cli.group import Group
from connector.cli.render import LIMIT, Paper, answer, as_json

ROLES = ["viewer", "operator", "admin"]


@click.group(cls=Group)
def console() -> None:
    """Sign in to the web console, sign people out, and see who did what in it."""


@console.command()
@click.option("--user", help="The name that stands in the audit log. Default: yours on this machine.")
@click.option("--role", type=click.Choice(ROLES), default="admin", show_default=True, help="What you may do there.")
@as_json
@click.pass_context
def login(ctx: click.Context, *, user: str | None, role: str, as_json: bool) -> None:
    """Print a link that signs you in to the console once. It is valid for five minutes."""
    reply = ask_daemon(ctx.obj.config(), "console_login", {"user": user or user_name(), "role": role})
    if reply is None:
        raise Unreachable(f"the connector does not run, and so its console does not: {START}")
    answer(reply, _show_login, json_wanted=as_json)


def _show_login(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(document["url"])
    paper.line(f"It works once, for {document['seconds'] // 60} minutes, with the role {document['role']}.")
    if document["url"].startswith("http://127."):
        port = document["url"].split("/")[2].rpartition(":")[2]
        paper.line(f"From another computer, first run: ssh -L {port}:127.0.0.1:{port} THIS-SERVER")


@console.command()
@click.option("--all", "all_", is_flag=True, help="Everybody.")
@click.option("--user", help="One person.")
@as_json
@click.pass_context
def logout(ctx: click.Context, *, all_: bool, user: str | None, as_json: bool) -> None:
    """Sign people out of the console at once."""
    if all_ == (user is not None):
        raise Misused("say who: --all, or --user NAME")
    payload = {} if user is None else {"user": user}
    answer(ask(ctx.obj, "console_logout", payload), _show_logout, json_wanted=as_json)


def _show_logout(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(f"{document['sessions']} session{'' if document['sessions'] == 1 else 's'} ended")


@console.command()
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="Maximum number of lines.")
@click.option("--before", type=int, help="Only entries with a smaller number: those of the page before.")
@as_json
@click.pass_context
def audit(ctx: click.Context, *, limit: int, before: int | None, as_json: bool) -> None:
    """List who did what in the console, and who looked at unmasked numbers, the newest first."""
    payload = {"limit": limit, **({} if before is None else {"before": before})}
    answer(ask(ctx.obj, "console_audit", payload), _show_audit, json_wanted=as_json)


def _show_audit(paper: Paper, document: dict[str, Any]) -> None:
    entries = document["entries"]
    if not entries:
        paper.line("the audit log is empty")
        return
    columns = ["id", "at", "who", "role", "action", "about", "why"]
    paper.table(
        columns, [tuple((one | {"at": paper.time(one["at"])})[column] for column in columns) for one in entries]
    )
    if document["more"]:
        paper.line(f"there are older ones: use --before {entries[-1]['id']}")


@console.command()
@as_json
def password(*, as_json: bool) -> None:
    """Ask for a password, and print its hash for `console: users` in the config."""
    from connector.config.passwords import SHORTEST, password_hash  # noqa: PLC0415 - see the package's docstring.

    written = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    if len(written) < SHORTEST:
        raise Misused(f"the password is too short: use {SHORTEST} characters or more")
    answer({"password_hash": password_hash(written)}, _show_password, json_wanted=as_json)


def _show_password(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(f"password_hash: {document['password_hash']}")
