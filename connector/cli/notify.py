"""`connector notify test|digest`."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from connector.cli.client import become_owner
from connector.cli.exit_codes import Exit, Misused, Unreachable
from connector.cli.group import Group
from connector.cli.render import Paper, answer, as_json, show_slow_step
from connector.cli.setup import Setup

if TYPE_CHECKING:
    from connector.alarms.messenger import Messenger
    from connector.alarms.policy import Message
    from connector.registry import LoadedConfig


@click.group(cls=Group)
def notify() -> None:
    """Test the messages to people, and show the weekly digest. `notify:` in the config names the recipients."""


@notify.command()
@click.option(
    "--severity",
    type=click.Choice(["warning", "critical"]),
    default="warning",
    help="The severity of the test message.",
)
@as_json
@click.pass_context
def test(ctx: click.Context, *, severity: str, as_json: bool) -> None:
    """Send a test message to every recipient, and show to whom it was sent. Ends with 1 if it could not be sent to one."""
    from connector.alarms.policy import Message  # noqa: PLC0415 - see the package's docstring.

    setup: Setup = ctx.obj
    body = "This is a test of the connector's alarms. There is nothing to do."
    made = Message(title=f"[{severity}] connector: test", body=body, severity=severity, at_once=True)  # type: ignore[arg-type]
    document = _send_to_recipients(setup.config(), made, digest=False)
    answer(document, _show, json_wanted=as_json)
    if not document["ok"]:
        ctx.exit(Exit.NO)


@notify.command()
@click.option("--send", is_flag=True, help="Send it to the recipients too.")
@as_json
@click.pass_context
def digest(ctx: click.Context, *, send: bool, as_json: bool) -> None:
    """Show the digest of the last seven days: who joined and left, gifts, and what needs a person."""
    from connector.alarms.digest import digest_message, make_digest  # noqa: PLC0415 - see the package's docstring.
    from connector.store.store import Store  # noqa: PLC0415 - the same.

    setup: Setup = ctx.obj
    loaded = setup.config()
    path = loaded.database
    if not path.exists():
        raise Unreachable(f"there is no database at {path} yet: start the connector with `connector run`")
    become_owner(path)
    with show_slow_step("counting the events of the week"):
        deadline = loaded.settings.consent.deadline
        made = make_digest(Store.open_to_read(path), now=datetime.now(UTC), deadline=deadline, crms=loaded.crms)
    message = digest_message(made)
    document: dict[str, Any] = {"ok": True, "title": message.title, "lines": message.body.split("\n"), "recipients": []}
    if send:
        document |= _send_to_recipients(loaded, message, digest=True)
    answer(document, _show, json_wanted=as_json)
    if not document["ok"]:
        ctx.exit(Exit.NO)


def _send_to_recipients(loaded: "LoadedConfig", message: "Message", *, digest: bool) -> dict[str, Any]:
    messenger, faults = _messenger(loaded)
    with show_slow_step("sending"):
        said = asyncio.run(messenger.send_to_all(message, digest=digest))
    return {
        "ok": not faults and all(taken for _, taken in said),
        "recipients": [{"number": one.number, "service": one.service, "taken": taken} for one, taken in said],
        "faults": faults,
    }


def _messenger(loaded: "LoadedConfig") -> "tuple[Messenger, list[str]]":
    from connector.alarms.messenger import Messenger  # noqa: PLC0415 - see the package's docstring.
    from connector.alarms.send import is_address, send  # noqa: PLC0415 - the same.
    from connector.alarms.targets import open_targets  # noqa: PLC0415 - the same.

    settings = loaded.settings.notify
    if not settings.to:
        raise Misused("nobody gets alarms: name recipients under `notify: to:` in the config (see docs/alarms.md)")
    targets, faults = open_targets(settings, loaded.base, is_address)
    timezone = loaded.settings.timezone
    return Messenger(settings, targets, timezone=timezone, send=send, now=lambda: datetime.now(UTC)), faults


def _show(paper: Paper, document: dict[str, Any]) -> None:
    if "title" in document:
        paper.heading(document["title"])
        for line in document["lines"]:
            paper.line(line)
    for one in document["recipients"]:
        state = (
            "the message was sent"
            if one["taken"]
            else "the message was NOT sent: check the address, and that this machine may reach it"
        )
        paper.line(f"recipient {one['number']} ({one['service']}): {state}", style="green" if one["taken"] else "red")
    for fault in document.get("faults", ()):
        paper.line(fault, style="red")
