"""The work of `connector schema pull`: describes each CRM, stores the result, and shows the changes."""

import asyncio
import os
from typing import TYPE_CHECKING, Any

from connector.checks.crm_requirements import needs
from connector.checks.describe_crm import Described, describe_what_is_used
from connector.checks.schema_diff import changes
from connector.cli.progress import progress
from connector.cli.schema_files import OWN, own_schema_text, write_files
from connector.cli.setup import Setup, load_rules, lock_file, mappings_directory, read_locks, short_path
from connector.config.schema_lock import lock_text
from connector.delivery.http_client import Transport
from connector.model.problem import ProblemsFound
from connector.registry import build_crms

if TYPE_CHECKING:
    from pathlib import Path

    from connector.mapping.compile.ruleset import Ruleset
    from connector.model.crm_schema import CrmSchema
    from connector.registry import LoadedConfig


def pull_schemas(setup: Setup) -> dict[str, Any]:
    """Describe all CRMs, then write. If one does not respond, nothing is written. Raises ConnectorError and ProblemsFound."""
    loaded = setup.config()
    before = _before(loaded)
    described = asyncio.run(_describe_crms(loaded, load_rules(loaded)))
    locks: dict[Path, str] = {lock_file(loaded, crm): lock_text(one.schema) for crm, one in described.items()}
    write_files(locks)
    directory = short_path(loaded.resolve_path(loaded.settings.schemas))
    write_files({directory / OWN: own_schema_text([*locks]) or ""})
    return {
        "crms": [_pull_document(loaded, one, before.get(crm)) for crm, one in described.items()],
        "editor": str(directory / OWN),
        "header": os.path.relpath(directory / OWN, mappings_directory(loaded)),
    }


def _before(loaded: "LoadedConfig") -> "dict[str, CrmSchema]":
    """The existing lock files; a broken one counts as missing and is replaced."""
    try:
        return read_locks(loaded)
    except ProblemsFound:
        return {}


async def _describe_crms(loaded: "LoadedConfig", rules: "Ruleset") -> dict[str, Described]:
    wanted = needs(rules)
    described: dict[str, Described] = {}
    async with Transport() as transport:
        for name, crm in build_crms(loaded).items():
            some = wanted.get(name, [])
            names = ", ".join(one.object for one in some)
            with progress() as say:
                say(f"asking {name} about {names}")
                described[name] = await describe_what_is_used(transport.client(crm.credentials), crm, some)
    return described


def _pull_document(loaded: "LoadedConfig", pulled: Described, before: "CrmSchema | None") -> dict[str, Any]:
    schema = pulled.schema
    return {
        "crm": schema.crm,
        "lock": str(lock_file(loaded, schema.crm)),
        "objects": len(schema.objects),
        "fields": sum(len(known.fields) for known in schema.objects),
        "absent": list(pulled.absent),
        "new": before is None,
        "changes": [change.text for change in changes(before, schema)] if before else [],
    }
