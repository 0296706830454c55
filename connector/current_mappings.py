"""The mappings in use: those in the files, or those that were accepted last if the files have errors.

Callbacks are stored with any mappings, or none.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from connector.config.yaml_document import parse
from connector.delivery.channels import OpenAlarms
from connector.mapping.compile.ruleset import Ruleset, compile_mappings
from connector.mapping.compile.ruleset_changes import RuleChanges, rule_changes
from connector.model.errors import StoreUnavailable
from connector.model.problem import Problem, ProblemsFound, Severity
from connector.pipeline.opt_out_check import refuse_lost_opt_outs
from connector.pipeline.rule_tests import refuse_failing
from connector.registry import LoadedConfig, load_rules, mapping_context, opt_outs, read_schemas
from connector.store.mappings import AcceptedMappings
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Emit, Reloaded
from connector.telemetry.mask import mask

MAPPINGS = "mappings"  # the subject of the alarms
CURE = "correct the files: `connector check` shows each place; then run `connector reload`"


def accepted_rules(loaded: LoadedConfig, accepted: AcceptedMappings) -> Ruleset:
    """The rules of files that were accepted, compiled with the current config. Raises ProblemsFound if they no longer fit it."""
    documents = [parse(text, name) for name, text in sorted(accepted.files.items())]
    rules = compile_mappings(documents, mapping_context(loaded))
    refuse_lost_opt_outs(rules, opt_outs(loaded))
    return rules


class CurrentMappings:
    """Loads the mappings at the start and at a reload, and keeps what was accepted and what was refused."""

    def __init__(
        self, loaded: LoadedConfig, store: Store, alarms: OpenAlarms, *, emit: Emit, now: Callable[[], datetime]
    ) -> None:
        self._loaded = loaded
        self._store = store
        self._alarms = alarms
        self._emit = emit
        self._now = now

    async def at_start(self) -> Ruleset:
        """The mappings to start with. Never raises for bad files, because callbacks must be stored in any case."""
        try:
            rules = load_rules(self._loaded)
            accepted = self._store.mappings.accepted()
            if accepted is not None and accepted.version != rules.version:  # else there is nothing better to use
                refuse_failing(rules)
        except ProblemsFound as found:
            return await self._fallback(found)
        await self._accept(rules)
        return rules

    async def reload(self, current: Ruleset) -> tuple[Ruleset, RuleChanges]:
        """The mappings of the files, and how they differ. Raises ProblemsFound, after which the current ones stay in use."""
        try:
            rules = load_rules(self._loaded, read_schemas(self._loaded))
            refuse_failing(rules)
        except ProblemsFound as found:
            problems = await self._refuse(found)
            self._emit(Reloaded(accepted=False, version=current.version, problems=problems))
            self._alarm("mappings_refused", "a reload was rejected, so the mappings from before stay in use", problems)
            raise
        await self._accept(rules)
        return rules, rule_changes(current, rules)

    async def _fallback(self, found: ProblemsFound) -> Ruleset:
        problems = await self._refuse(found)
        accepted = self._store.mappings.accepted()
        with suppress(ProblemsFound):
            if accepted is not None:
                rules = accepted_rules(self._loaded, accepted)
                since = f"{accepted.accepted_at.astimezone(ZoneInfo(self._loaded.settings.timezone)):%Y-%m-%d %H:%M}"
                message = f"the mapping files have errors, so those that were accepted at {since} are in use"
                self._alarm("mappings_refused", message, problems)
                return rules
        message = "the mapping files have errors and no earlier ones can be used: events are stored, and wait"
        self._alarm("mappings_missing", message, problems)
        return Ruleset.none(mapping_context(self._loaded))

    async def _accept(self, rules: Ruleset) -> None:
        self._alarms.clear(MAPPINGS, self._emit)
        before = self._store.mappings.accepted()
        if before is None or before.version != rules.version or self._store.mappings.refused() is not None:
            # The store raises its own alarm, and the mappings work without being stored.
            with suppress(StoreUnavailable):
                await self._store.mappings.accept(rules.version, rules.texts, self._now())

    async def _refuse(self, found: ProblemsFound) -> tuple[str, ...]:
        problems = tuple(mask(str(problem)) for problem in _errors_or_all(found.problems))
        with suppress(StoreUnavailable):
            await self._store.mappings.refuse(problems, self._now())
        return problems

    def _alarm(self, kind: str, message: str, problems: Sequence[str]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        alarm = Alarm(kind=kind, about=MAPPINGS, message=f"{message}: {problems[0]}{more}", cure=CURE)
        self._alarms.clear(MAPPINGS, self._emit)
        self._alarms.start(alarm, MAPPINGS, self._emit)


def _errors_or_all(problems: Sequence[Problem]) -> list[Problem]:
    """The errors; all problems if none of them is an error."""
    return [problem for problem in problems if problem.severity is Severity.ERROR] or list(problems)
