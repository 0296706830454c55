"""`connector schema write|print|pull`: files that describe config, mappings and CRM objects to editors and `check`."""

from pathlib import Path
from typing import Any

import click

from connector.cli.exit_codes import Exit
from connector.cli.group import Group
from connector.cli.render import Paper, answer, as_json
from connector.cli.schema_files import KINDS, LOCK, OWN, json_schema_text, own_schema_text, write_files


@click.group(cls=Group)
def schema() -> None:
    """Write or print the JSON Schemas of config and mappings; ask the CRMs about their objects."""


@schema.command("print")
@click.argument("kind", type=click.Choice(KINDS))
@as_json
def print_(*, kind: str, as_json: bool) -> None:  # noqa: ARG001 - the output is always JSON.
    """Print the JSON Schema of the config or of the mappings."""
    click.echo(json_schema_text(kind), nl=False)


@schema.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path("schema"))
@as_json
def write(*, directory: Path, as_json: bool) -> None:
    """Write both JSON Schemas into DIRECTORY, or into `schema` if none is named.

    If lock files are there, it also writes the mappings' schema with the names of your own objects and fields.
    """
    own = own_schema_text(sorted(directory.glob(f"*{LOCK}")))
    files = {directory / f"{kind}.schema.json": json_schema_text(kind) for kind in KINDS}
    files |= {directory / OWN: own} if own else {}
    write_files(files)
    answer({"files": [str(path) for path in files]}, _show, json_wanted=as_json)


def _show(paper: Paper, document: dict[str, Any]) -> None:
    for path in document["files"]:
        paper.line(f"wrote {path}")


@schema.command()
@click.pass_context
@as_json
def pull(ctx: click.Context, *, as_json: bool) -> None:
    """Ask the CRMs about the objects that the mappings use, and keep their answers in lock files.

    `connector check` then compares the mappings with them, without calling a CRM. Ends with 1 if an object does not exist.
    """
    from connector.cli.schema_pull import pull_schemas  # noqa: PLC0415 - see the package's docstring.

    document = pull_schemas(ctx.obj)
    answer(document, _show_pull, json_wanted=as_json)
    if any(one["absent"] for one in document["crms"]):
        ctx.exit(Exit.NO)


def _show_pull(paper: Paper, document: dict[str, Any]) -> None:
    for one in document["crms"]:
        counts = f"{one['objects']} objects, {one['fields']} fields"
        paper.line(f"{one['crm']}: {counts} in {one['lock']}", style="bold")
        for name in one["absent"]:
            paper.line(f"{name} does not exist, or is hidden from the integration user", indent=2, style="red")
        if one["new"]:
            continue
        for text in one["changes"]:
            paper.line(text, indent=2)
        if not one["changes"]:
            paper.line("no changes", indent=2)
    paper.line(
        f"for completion of your own names in editors, use {document['editor']}: write this at the top of a mapping file"
    )
    paper.line(f"# yaml-language-server: $schema={document['header']}", indent=2)
