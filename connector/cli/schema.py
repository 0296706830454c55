"""`connector schema write|print`: by these files an editor completes and checks config and mappings."""

import json
from pathlib import Path
from typing import Any

import click

from connector.cli.exits import Misused
from connector.cli.render import Paper, answer, as_json

KINDS = ("config", "mapping")


def made(kind: str) -> dict[str, Any]:
    """The JSON Schema of the kind of file."""
    if kind == "mapping":
        from connector.mapping.schema import mapping_schema  # noqa: PLC0415 - see the package's docstring.

        return mapping_schema()
    from connector.adapters import CONFIG  # noqa: PLC0415 - see the package's docstring.
    from connector.config.load import schema as config_schema  # noqa: PLC0415 - the same.

    return config_schema(CONFIG, title="Config of the connector")


def written(kind: str) -> str:
    """The same as the text of its file."""
    return json.dumps(made(kind), ensure_ascii=False, indent=2) + "\n"


@click.group()
def schema() -> None:
    """Write or print the JSON Schemas of config and mappings."""


@schema.command("print")
@click.argument("kind", type=click.Choice(KINDS))
@as_json
def print_(*, kind: str, as_json: bool) -> None:  # noqa: ARG001 - it is JSON in any case.
    """Print one of them."""
    click.echo(written(kind), nl=False)


@schema.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path("schema"))
@as_json
def write(*, directory: Path, as_json: bool) -> None:
    """Write both into DIRECTORY, `schema` where none is named."""
    files = {directory / f"{kind}.schema.json": kind for kind in KINDS}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, kind in files.items():
            path.write_text(written(kind), encoding="utf-8")
    except OSError as error:
        raise Misused(f"{directory} cannot be written to: {error.strerror}") from error
    answer({"files": [str(path) for path in files]}, _show, json_wanted=as_json)


def _show(paper: Paper, document: dict[str, Any]) -> None:
    for path in document["files"]:
        paper.line(f"wrote {path}")
