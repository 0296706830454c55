"""Checks that the CRMs still have what the mappings in use need: daily, after a reload and after a pull.

The start of the daemon refuses nothing: a lock file that no longer fits the mappings must not keep callbacks out. The
CRM is asked then, and if it does not answer either, the lock file is used.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from connector.checks.crm_requirements import needs
from connector.checks.describe_crm import describe_what_is_used
from connector.checks.mismatches import mismatches
from connector.checks.schema_diff import Change, changes
from connector.config.schema_lock import lock_path
from connector.config.yaml_document import read
from connector.crm.crm import Crm, Needs
from connector.delivery.http_client import Client
from connector.mapping.compile.ruleset import Ruleset
from connector.model.crm_schema import CrmSchema
from connector.model.errors import ConnectorError
from connector.model.problem import ProblemsFound
from connector.registry import LoadedConfig, read_schemas
from connector.telemetry.log_events import Alarm, Cleared, Emit, Level, Lifecycle

KIND = "schema_drift"
COMPARED = "compared the mappings with the CRM's schema"
NOT_COMPARED = "could not read the CRM's schema"
SHOWN = 3  # findings that an alarm names; the commands show all
CURE = (
    "`connector check --live` shows all of it: correct the field in the CRM or the rule in the mapping, then run "
    "`connector schema pull` and `connector reload`"
)


class Drift:
    """Compares the mappings in use with the CRMs, and raises one alarm for each CRM that lacks something."""

    def __init__(
        self,
        loaded: LoadedConfig,
        crms: Mapping[str, Crm],
        clients: Mapping[str, Client],
        *,
        rules: Callable[[], Ruleset],
        emit: Emit,
    ) -> None:
        self._loaded = loaded
        self._crms = crms
        self._clients = clients
        self._rules = rules
        self._emit = emit
        self._raised: set[str] = set()
        self._config = read(loaded.path)
        # The state at the last check: the mappings' version and the lock files' times; empty if a CRM did not answer.
        self._seen: tuple[object, ...] | None = None

    async def compare_if_changed(self) -> int:
        """The step of a worker: compare after a reload or a pull; at the start only if the lock files do not fit."""
        if self._seen is None and not any(self._compare_with_locks().values()):
            self._seen = self._state()
        if self._seen != self._state():
            await self.compare()
        return 0

    async def compare(self) -> None:
        """Ask every CRM now. One that does not answer keeps its alarm and is asked again within the hour."""
        rules = self._rules()
        self._seen = self._state()
        wanted = needs(rules)
        locks, broken = self._locks()
        for name, crm in self._crms.items():
            try:
                pulled = await describe_what_is_used(self._clients[name], crm, wanted.get(name, []))
            except ConnectorError as error:
                self._seen = ()
                if known := self._compare_with_locks()[name]:
                    self._update_alarm(name, known)
                self._emit(
                    Lifecycle(message=NOT_COMPARED, level=Level.WARNING, details={"crm": name, "why": str(error)})
                )
                continue
            lacks = self._mismatches(rules, pulled.schema)
            changed = changes(locks[name], pulled.schema) if name in locks else []
            narrowed = [] if lacks else [one.text for one in narrowing(changed, wanted.get(name, []))]
            self._update_alarm(name, [*lacks, *narrowed, *broken])
            details = {"crm": name, "changes": str(len(changed)), "lacks": str(len(lacks) + len(narrowed))}
            self._emit(Lifecycle(message=COMPARED, details=details))

    def _state(self) -> tuple[object, ...]:
        paths = (lock_path(self._loaded.resolve_path(self._loaded.settings.schemas), name) for name in self._crms)
        return (self._rules().version, *(path.stat().st_mtime_ns if path.is_file() else None for path in paths))

    def _compare_with_locks(self) -> Mapping[str, Sequence[str]]:
        """What would fail at each CRM, by its description in the lock file."""
        locks, broken = self._locks()
        rules = self._rules()
        return {
            name: [*(self._mismatches(rules, locks[name]) if name in locks else ()), *broken] for name in self._crms
        }

    def _locks(self) -> tuple[Mapping[str, CrmSchema], list[str]]:
        try:
            return read_schemas(self._loaded), []
        except ProblemsFound as found:
            return {}, [str(one) for one in found.problems]

    def _mismatches(self, rules: Ruleset, schema: CrmSchema) -> list[str]:
        """What would fail; warnings are for people who edit, not for those on call."""
        found = mismatches(rules, self._config, self._crms[schema.crm], schema)
        return [str(replace(one, hint="")) for one in found.errors]

    def _update_alarm(self, name: str, lacks: Sequence[str]) -> None:
        if lacks and name not in self._raised:
            self._raised.add(name)
            more = f"; and {len(lacks) - SHOWN} more" if len(lacks) > SHOWN else ""
            message = f"{name} no longer has what the mappings need: {'; '.join(lacks[:SHOWN])}{more}"
            self._emit(Alarm(kind=KIND, about=name, message=message, cure=CURE))
        elif not lacks and name in self._raised:
            self._raised.discard(name)
            self._emit(Cleared(kind=KIND, about=name))


def narrowing(found: Sequence[Change], wanted: Sequence[Needs]) -> list[Change]:
    """The changes that can make reads or writes fail: of objects and fields that are used."""
    used: dict[str, set[str]] = {}
    for one in wanted:
        fields = used.setdefault(one.object.casefold(), set())
        fields.update(name.casefold() for name in (*one.key_fields, *one.written, *one.read))
    return [one for one in found if one.narrows and one.object.casefold() in used and _uses(one, used)]


def _uses(change: Change, used: Mapping[str, set[str]]) -> bool:
    return change.field is None or change.field.casefold() in used[change.object.casefold()]
