"""`connector salesforce setup`: creates the fields, the object and the permission set of the shipped mappings."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from connector.cli.examples import examples
from connector.cli.exit_codes import Exit, Misused, Unreachable
from connector.cli.render import Paper, answer, as_json, show_slow_step
from connector.model.errors import PeerUnavailable

if TYPE_CHECKING:
    from connector.cli.setup import Setup
    from connector.crm.salesforce.commands.deploy import OrgSetup
    from connector.crm.salesforce.setup.survey import Survey

MARKS = {"there": " ", "hidden": " ", "add": "+", "change": "~", "in_the_way": "!"}
STYLES = {"add": "green", "change": "yellow", "in_the_way": "red"}


@click.command(epilog=examples("connector salesforce setup --dry-run", "connector salesforce setup --assign"))
@click.option("--dry-run", is_flag=True, help="Let the org check everything, but change nothing.")
@click.option("--assign", is_flag=True, help="Assign the permission set to the integration user too.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--token-env", metavar="NAME", help="The environment variable with an administrator's access token.")
@click.option("--crm", help="Which org, if several are configured.")
@as_json
@click.pass_context
def setup(
    ctx: click.Context,
    *,
    dry_run: bool,
    assign: bool,
    yes: bool,
    token_env: str | None,
    crm: str | None,
    as_json: bool,
) -> None:
    """Give the org the fields, the object and the permission set of the shipped mappings.

    Shows first what is there and what is missing; deploys only what is missing, all or nothing, and removes nothing. Ends with 1 if
    something was refused or is in the way.
    """
    if as_json and not (yes or dry_run):
        raise Misused("--json cannot ask for confirmation: add --yes or --dry-run")
    try:
        document = asyncio.run(
            _set_up(ctx.obj, (crm, token_env), assign=assign, dry_run=dry_run, yes=yes, quiet=as_json)
        )
    except PeerUnavailable as error:
        raise Unreachable(str(error)) from error
    answer(document, _show, json_wanted=as_json)
    if not document["ok"]:
        ctx.exit(Exit.NO)


async def _set_up(
    setup: "Setup", named: tuple[str | None, str | None], *, assign: bool, dry_run: bool, yes: bool, quiet: bool
) -> dict[str, Any]:
    from connector.crm.salesforce.commands.deploy import working  # noqa: PLC0415 - see the package's docstring.

    async with working(setup.config(), *named) as work:
        with show_slow_step("comparing the package with the org"):
            found = await work.survey()
        if not quiet:
            _preview(Paper(), work.crm, found)
        document = _document(work, found, dry_run=dry_run)
        if found.in_the_way:
            return document | {"ok": False}
        if found.to_do:
            if not (yes or dry_run):
                click.confirm(f"Deploy this to {work.crm}?", abort=True, err=True)
            with show_slow_step("deploying") as say:
                progress = await work.deploy(
                    found.wanted,
                    check_only=dry_run,
                    on_progress=lambda done, total: say(f"deploying: {done} of {total}"),
                )
            failures = [{"file": one.file, "message": one.message, "cure": one.cure} for one in progress.failures]
            document |= {"state": progress.state, "failures": failures, "ok": progress.succeeded}
        if document["ok"] and not dry_run:
            document["permission_sets"] = await work.assign() if assign else await work.assigned()
            assigned_now = any(one["new"] for one in document["permission_sets"])
            document["changed"] = bool(found.to_do) or assigned_now
            if all(one["assigned"] for one in document["permission_sets"]):
                with show_slow_step("checking as the integration user"):
                    document["lacks"] = await work.lacks()
    return document


def _document(work: "OrgSetup", found: "Survey", *, dry_run: bool) -> dict[str, Any]:
    return {
        "ok": True,
        "crm": work.crm,
        "user": work.user,
        "dry_run": dry_run,
        "parts": [
            {"name": one.name, "kind": one.kind, "standing": one.standing.value, "detail": one.detail}
            for one in found.findings
        ],
        "state": None,
        "failures": [],
        "permission_sets": [],
        "lacks": [],
        "changed": False,
    }


def _preview(paper: Paper, crm: str, found: "Survey") -> None:
    todo = [one for one in found.findings if one.standing.value in STYLES]
    there = len(found.findings) - len(todo)
    paper.line(f"{crm}: {there} of {len(found.findings)} parts exist already")
    for one in todo:
        detail = f": {one.detail}" if one.detail else ""
        paper.line(f"{MARKS[one.standing]} {one.kind} {one.name}{detail}", style=STYLES[one.standing])


def _show(paper: Paper, document: dict[str, Any]) -> None:
    if any(one["standing"] == "in_the_way" for one in document["parts"]):
        paper.line("nothing was changed: first remove what is in the way", style="red")
        return
    for one in document["failures"]:
        paper.line(f"{one['file']}: {one['message']}", style="red")
        paper.line(f"cure: {one['cure']}", indent=2)
    if not document["ok"]:
        paper.line(f"nothing was changed: the org refused the package ({document['state']})", style="red")
        return
    if document["dry_run"]:
        words = "the org would accept the package" if document["state"] else "there is nothing to deploy"
        paper.line(f"{words}; nothing was changed")
        return
    if document["state"]:
        paper.line("deployed", style="green")
    for one in document["permission_sets"]:
        paper.line(one["text"], style="" if one["assigned"] else "yellow")
    for sentence in document["lacks"]:
        paper.line(sentence, style="yellow")
    if not document["changed"]:
        paper.line("everything exists already; nothing was changed")
