"""The JSON Schemas of config and mappings as text, and their files, for the commands `schema` and `init`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from connector.cli.exit_codes import Misused

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
