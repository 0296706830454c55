"""Finds and reads a command's config and mappings. Imports nothing heavy until it is needed."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connector.cli.exit_codes import Misused, Unreachable
from connector.model.problem import Problem, ProblemsFound, Severity

if TYPE_CHECKING:
    from connector.mapping.compile.ruleset import Ruleset
    from connector.model.crm_schema import CrmSchema
    from connector.registry import LoadedConfig
    from connector.store.store import Store

VARIABLE = "CONNECTOR_CONFIG"
PLACES = (Path("config.yaml"), Path("/etc/connector/config.yaml"))


@dataclass(frozen=True)
class Setup:
    """The start of every command: where its config is. It is read once: root may not read it again as the database's owner."""

    given: Path | None = None

    def path(self, environ: Mapping[str, str] = os.environ) -> Path:
        """The config file. Raises Misused if none is given and none is in its usual places."""
        if self.given is not None:
            return self.given
        if named := environ.get(VARIABLE):
            return Path(named)
        for place in PLACES:
            if os.path.exists(place):  # noqa: PTH110 - Path.exists() raises where we may not look.
                return place
        places = ", ".join(str(place) for place in PLACES)
        raise Misused(
            f"there is no config (looked for {places}): `connector init` writes one; name another file by --config"
        )

    def config(self) -> "LoadedConfig":
        """The config. Raises ProblemsFound."""
        return self._loaded

    @cached_property
    def _loaded(self) -> "LoadedConfig":
        from connector.registry import load_config  # noqa: PLC0415 - heavy; see the package's docstring.

        return load_config(self.path())

    def zone(self) -> ZoneInfo:
        """The time zone in which people read times: `timezone` of the config. Raises ProblemsFound."""
        return ZoneInfo(self.config().settings.timezone)


def mappings_directory(loaded: "LoadedConfig") -> Path:
    """The directory of the mapping files, as a short path."""
    return short_path(loaded.resolve_path(loaded.settings.mappings))


def short_path(path: Path) -> Path:
    """A path in its shortest form from the current directory."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def lock_file(loaded: "LoadedConfig", crm: str) -> Path:
    """The path of a CRM's lock file, which need not exist, as a short path."""
    from connector.config.schema_lock import lock_path  # noqa: PLC0415 - heavy.

    return short_path(lock_path(loaded.resolve_path(loaded.settings.schemas), crm))


def read_locks(loaded: "LoadedConfig") -> "dict[str, CrmSchema]":
    """The schemas of the CRMs with a lock file. Raises ProblemsFound with the path of a broken one."""
    from connector.registry import read_schemas  # noqa: PLC0415 - heavy.

    try:
        return read_schemas(loaded)
    except ProblemsFound as found:
        directory = short_path(loaded.resolve_path(loaded.settings.schemas))
        raise ProblemsFound([replace(one, file=str(directory / one.file)) for one in found.problems]) from None


def load_rules(loaded: "LoadedConfig", schemas: "Mapping[str, CrmSchema] | None" = None) -> "Ruleset":
    """The usable mappings of a config; with `schemas`, checked against these.

    Raises ProblemsFound, whose paths can be opened from the current directory.
    """
    rules = read_rules(loaded, schemas)
    lost = lost_opt_outs(loaded, rules)
    if any(one.severity is Severity.ERROR for one in lost):
        raise ProblemsFound(lost)
    return rules


def read_rules(loaded: "LoadedConfig", schemas: "Mapping[str, CrmSchema] | None" = None) -> "Ruleset":
    """The mappings of a config, as load_rules() reads them, without checking for opt-outs that they would lose."""
    from connector.registry import read_mappings  # noqa: PLC0415 - heavy.

    try:
        return read_mappings(loaded, schemas)
    except ProblemsFound as found:
        raise ProblemsFound(with_file_paths(loaded, found.problems)) from None


def lost_opt_outs(loaded: "LoadedConfig", rules: "Ruleset") -> list[Problem]:
    """The opt-outs that the mappings would lose, with file paths."""
    from connector import registry  # noqa: PLC0415 - heavy.
    from connector.pipeline import opt_out_check  # noqa: PLC0415 - heavy.

    return with_file_paths(loaded, opt_out_check.lost_opt_outs(rules, registry.opt_outs(loaded)))


def with_file_paths(loaded: "LoadedConfig", problems: tuple[Problem, ...] | list[Problem]) -> list[Problem]:
    """The problems of mapping files, with file paths."""
    directory = mappings_directory(loaded)
    try:
        files = {path.name for path in directory.iterdir()}
    except OSError:  # the problems tell so
        files = set()
    return [
        replace(problem, file=str(directory / problem.file) if problem.file in files else str(directory))
        for problem in problems
    ]


def open_to_read(loaded: "LoadedConfig", cure: str = "run this where the connector runs") -> "Store":
    """The database, for reading alone. Raises Unreachable with the cure if there is none yet."""
    from connector.store.store import Store  # noqa: PLC0415 - heavy.

    if not loaded.database.exists():
        raise Unreachable(f"there is no database at {loaded.database}: {cure}")
    return Store.open_to_read(loaded.database)


def rules_once(loaded: "LoadedConfig") -> "Callable[[], Ruleset]":
    """Reads the mappings when they are first needed, or never."""
    return cache(lambda: load_rules(loaded))
