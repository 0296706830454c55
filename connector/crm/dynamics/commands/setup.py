"""`connector dynamics setup`: creates the columns, the tables and the alternate keys of the shipped mappings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from connector.cli.examples import examples
from connector.cli.exit_codes import Exit, Misused, Unreachable
from connector.cli.progress import progress
from connector.cli.render import Paper, answer, as_json
from connector.model.errors import PeerUnavailable

if TYPE_CHECKING:
    from connector.cli.setup import Setup
    from connector.config.yaml_document import Document
    from connector.crm.crm import Crm
    from connector.crm.dynamics.client.web_api import WebApi
    from connector.crm.dynamics.setup.definitions import TablePart
    from connector.crm.dynamics.setup.survey import Survey
    from connector.delivery.http_client import Client
    from connector.mapping.compile.ruleset import Ruleset
    from connector.registry import LoadedConfig

MARKS = {"add": "+", "build": "~", "in_the_way": "!"}
STYLES = {"add": "green", "build": "yellow", "in_the_way": "red"}


class OrgSetup(Struct, frozen=True, kw_only=True):
    """One org that an administrator sets up for the application user."""

    crm: "Crm"
    web: "WebApi"  # signed in as the administrator
    as_application: "Client"
    rules: "Ruleset"
    config: "Document"
    wanted: tuple["TablePart", ...]


@click.command(
    epilog=examples("connector dynamics setup --dry-run", "connector dynamics setup --token-env ADMIN_TOKEN")
)
@click.option("--dry-run", is_flag=True, help="Show what is missing, but create nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--token-env", metavar="NAME", help="The environment variable with an administrator's access token.")
@click.option("--crm", help="Which org, if several are configured.")
@as_json
@click.pass_context
def setup(
    ctx: click.Context, *, dry_run: bool, yes: bool, token_env: str | None, crm: str | None, as_json: bool
) -> None:
    """Give the org the columns, the tables and the alternate keys of the shipped mappings.

    Shows first what is there and what is missing, and lists records that share the value of a key. Creates only what is missing, and
    removes nothing. After an interruption the same command continues. Ends with 1 if something is in the way.
    """
    if as_json and not (yes or dry_run):
        raise Misused("--json cannot ask for confirmation: add --yes or --dry-run")
    try:
        document = asyncio.run(_set_up(ctx.obj, (crm, token_env), dry_run=dry_run, yes=yes, quiet=as_json))
    except PeerUnavailable as error:
        raise Unreachable(str(error)) from error
    answer(document, _show, json_wanted=as_json)
    if not document["ok"]:
        ctx.exit(Exit.NO)


async def _set_up(
    setup: "Setup", named: tuple[str | None, str | None], *, dry_run: bool, yes: bool, quiet: bool
) -> dict[str, Any]:
    from connector.checks.mismatches import missing_in_crm  # noqa: PLC0415 - see the package's docstring.
    from connector.crm.dynamics.setup.create import Creator  # noqa: PLC0415 - the same.
    from connector.crm.dynamics.setup.survey import survey  # noqa: PLC0415 - the same.

    async with _working(setup.config(), *named) as work:
        with progress() as say:
            say("comparing the shipped tables with the org")
            found = await survey(work.web, work.wanted)
        if not quiet:
            _preview(Paper(), work.crm.name, found)
        document = _document(work.crm.name, found, dry_run=dry_run)
        if dry_run:
            return document
        if found.to_do:
            if not yes:
                click.confirm(f"Create this in {work.crm.name}?", abort=True, err=True)
            with progress() as say:
                document["keys"] = await Creator(work.web, report=say).create(found, work.wanted)
            document["changed"] = True
            document["ok"] = document["ok"] and "Failed" not in document["keys"].values()
        document["lacks"] = await missing_in_crm(work.as_application, work.crm, work.rules, work.config)
    return document


@asynccontextmanager
async def _working(loaded: "LoadedConfig", crm: str | None, token_env: str | None) -> AsyncIterator[OrgSetup]:
    """The org of that name; with a token, signed in as its administrator for what the application user may not do.

    Raises Misused if it is not clear which org is meant, else ConnectorError.
    """
    from connector.checks.crm_requirements import needs  # noqa: PLC0415 - see the package's docstring.
    from connector.cli.orgs import administrator_of, chosen_org  # noqa: PLC0415 - the same.
    from connector.cli.setup import load_rules  # noqa: PLC0415 - the same.
    from connector.config.yaml_document import read  # noqa: PLC0415 - the same.
    from connector.crm.dynamics.client.web_api import Gate, WebApi  # noqa: PLC0415 - the same.
    from connector.crm.dynamics.settings import DynamicsSettings  # noqa: PLC0415 - the same.
    from connector.crm.dynamics.setup.definitions import shipped  # noqa: PLC0415 - the same.
    from connector.delivery.http_client import Transport  # noqa: PLC0415 - the same.
    from connector.registry import build_crms  # noqa: PLC0415 - the same.

    name, settings = chosen_org(loaded, crm, DynamicsSettings, "Dynamics 365")
    role = build_crms(loaded)[name]
    rules = load_rules(loaded)
    async with Transport() as transport:
        yield OrgSetup(
            crm=role,
            web=WebApi(transport.client(administrator_of(role.credentials, settings.url, token_env)), Gate()),
            as_application=transport.client(role.credentials),
            rules=rules,
            config=read(loaded.path),
            wanted=shipped({one.object for one in needs(rules).get(name, ())}),
        )


def _document(crm: str, found: "Survey", *, dry_run: bool) -> dict[str, Any]:
    return {
        "ok": not found.in_the_way,
        "crm": crm,
        "dry_run": dry_run,
        "parts": [
            {"name": one.name, "kind": one.kind, "state": one.state.value, "detail": one.detail} for one in found.parts
        ],
        "duplicates": [{"column": one.column, "records": list(one.ids)} for one in found.duplicates],
        "keys": {},
        "lacks": [],
        "changed": False,
    }


def _preview(paper: Paper, crm: str, found: "Survey") -> None:
    todo = [one for one in found.parts if one.state.value in MARKS]
    paper.line(f"{crm}: {len(found.parts) - len(todo)} of {len(found.parts)} parts exist already")
    for one in todo:
        detail = f": {one.detail}" if one.detail else ""
        paper.line(f"{MARKS[one.state]} {one.kind} {one.name}{detail}", style=STYLES[one.state])
    for group in found.duplicates:
        paper.line(f"{group.column} has the same value on {', '.join(group.ids)}", indent=2, style="red")


def _show(paper: Paper, document: dict[str, Any]) -> None:
    blocked = [one for one in document["parts"] if one["state"] == "in_the_way"]
    if document["changed"]:
        paper.line("created and published", style="green")
    for name, status in document["keys"].items():
        if status == "Failed":
            paper.line(
                f"the index of {name} failed: run the command again, which lists the records that share a value",
                style="red",
            )
        elif status != "Active":
            paper.line(
                f"the index of {name} is still being built: `connector doctor` shows when it is ready", style="yellow"
            )
    for one in blocked:
        paper.line(f"not created: {one['kind']} {one['name']}: {one['detail']}", style="red")
    for sentence in document["lacks"]:
        paper.line(sentence, style="yellow")
    if document["dry_run"]:
        paper.line("nothing was changed")
    elif not document["changed"] and not blocked:
        paper.line("everything exists already; nothing was changed")
