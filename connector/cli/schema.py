"""`connector schema write|print|pull`: files that describe config, mappings and CRM objects to editors and `check`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from connector.cli.exit_codes import Exit, Misused
from connector.cli.group import Group
from connector.cli.render import Paper, answer, as_json

KINDS = ("config", "mapping")
LOCK = ".lock.json"
OWN = "own.mapping.schema.json"  # a different file from mapping.schema.json, which is the same for everybody


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema for this kind of file."""
    if kind == "mapping":
        from connector.mapping.language.json_schema import mapping_schema  # noqa: PLC0415 - see the package's docstring.

        return mapping_schema()
    from connector.config.validation import schema as config_schema  # noqa: PLC0415 - the same.
    from connector.registry import CONFIG  # noqa: PLC0415 - see the package's docstring.

    return config_schema(CONFIG, title="Config of the connector")


def json_schema_text(kind: str) -> str:
    """The JSON Schema for this kind of file, as text."""
    return schema_text(json_schema(kind))


def schema_text(made_schema: dict[str, Any]) -> str:
    """A JSON Schema as text."""
    return json.dumps(made_schema, ensure_ascii=False, indent=2) + "\n"


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


def own_schema_text(locks: Sequence[Path]) -> str | None:
    """The mappings' schema with the names in these lock files, as text; None without lock files. Raises ProblemsFound."""
    from connector.config.schema_lock import read_lock  # noqa: PLC0415 - see the package's docstring.
    from connector.mapping.language.editor_schema import own_schema  # noqa: PLC0415 - the same.

    read = [read_lock(path, path.name.removesuffix(LOCK), str(path)) for path in locks]
    schemas = [one for one in read if one is not None]
    return schema_text(own_schema(schemas)) if schemas else None


def write_files(files: Mapping[Path, str]) -> None:
    """Write the files, each completely or not at all. Raises Misused if that is not possible.

    The service's user must be able to read them when root writes them under a strict umask.
    """
    for path, text in files.items():
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
                path.parent.chmod(0o755)
            beside = path.with_name(f".{path.name}.new")
            beside.write_text(text, encoding="utf-8")
            beside.chmod(0o644)
            beside.replace(path)
        except OSError as error:
            raise Misused(f"cannot write {path}: {error.strerror}") from error


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
