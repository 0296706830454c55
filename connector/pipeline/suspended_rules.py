"""Suspended rules: records which rules a batch suspends or resumes, and probes them again after a reload."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec import Struct

from connector.delivery.send import Sent
from connector.delivery.suspended_rules import Filtered, Suspension, SuspensionChanges, learn
from connector.mapping.compile.items import WriteItem
from connector.mapping.compile.ruleset import Ruleset
from connector.model.outcome import Reason
from connector.pipeline.replan import replan_suspended
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.store.store import Store
from connector.telemetry.log_events import LogEvent

SUSPENDED_RULES_WORKER = "suspended rules"


class SendResult(Struct, frozen=True, kw_only=True):
    """The result of one batch, with the operations of suspended rules that were held back."""

    batch: Filtered
    answered: Sent  # by the sink
    sent: Sent  # the whole batch
    sent_at: datetime  # when sending began
    all_delivered: bool  # and no rule is suspended: the next batch need not wait for the result
    not_counted: frozenset[Reason] = frozenset()  # they count no attempt: the whole sink is the cause


async def record_suspensions(
    store: Store, sink: str, result: SendResult, rules: Ruleset, *, now: datetime
) -> list[LogEvent]:
    """Store which suspensions the batch began, confirmed or ended; returns their alarms."""
    batch, traits = result.batch, rules.context.traits_of(sink)
    changes = learn(sink, batch, result.sent.outcomes, now, traits)
    if not changes:
        return []
    began = tuple(suspension for suspension in changes.began if still_written(suspension, rules))
    # A refused write of an older rule raises no alarm: it is planned again by the corrected rule.
    await store.suspensions.change(SuspensionChanges(began=began, again=changes.again, ended=changes.ended), now=now)
    return [*(suspension.alarm() for suspension in began), *(suspension.cleared() for suspension in changes.ended)]


class SuspendedRules:
    """Plans the units of suspended rules again when the mappings have changed, and then probes these rules."""

    def __init__(self, store: Store, config: PipelineConfig, runtime: Runtime, rules: Callable[[], Ruleset]) -> None:
        """`rules` returns the rules in force. Both are due at a start: mappings may differ, and a crash may have come before."""
        self.retry_due = True
        self._replan_due = True
        self._store = store
        self._configured = config.configured
        self._runtime = runtime
        self._rules = rules
        self._lock = asyncio.Lock()

    def begin_again(self) -> None:
        """Plan again and probe all rules at the next retry(), because the mappings were reloaded."""
        self._replan_due = self.retry_due = True

    def ask_replan(self) -> None:
        """Let the worker plan suspended units of older mappings again."""
        self._replan_due = True
        self._runtime.wake(SUSPENDED_RULES_WORKER)

    async def retry(self) -> int:
        """Plan again and probe, as far as due. Planning comes first, so that no plan of older mappings is sent."""
        async with self._lock:
            if not self._rules().usable:
                return 0  # without mappings the rules stay suspended
            if self._replan_due:
                self._replan_due = False
                try:
                    sinks = await replan_suspended(self._store, self._rules(), self._configured, self._runtime.now)
                except BaseException:
                    self._replan_due = True
                    raise
                self._wake(sinks)
            if self.retry_due:
                await self._try_rules()
                self.retry_due = False
        return 0

    async def _try_rules(self) -> None:
        """Probe all suspended rules now. A rule that no longer writes the refused field is no longer suspended."""
        suspensions, rules, now = self._store.suspensions.all(), self._rules(), self._runtime.now()
        ended = [suspension for suspension in suspensions if not still_written(suspension, rules)]
        await self._store.suspensions.change(SuspensionChanges(ended=tuple(ended)), now=now)
        await self._store.suspensions.try_again(
            [suspension for suspension in suspensions if suspension not in ended], now=now
        )
        for suspension in ended:
            self._runtime.emit(suspension.cleared())
        self._wake({suspension.sink for suspension in suspensions})

    def _wake(self, sinks: Iterable[str]) -> None:
        for sink in sinks:
            self._runtime.wake(sink)


def still_written(suspension: Suspension, rules: Ruleset) -> bool:
    """Whether the rule still writes the refused field or object."""
    items = [
        item
        for file in rules.files
        for rule in file.rules
        if rule.label == suspension.rule
        for item in rule.items
        if isinstance(item, WriteItem) and item.object.casefold() == suspension.object.casefold()
    ]
    if not suspension.field:
        return bool(items)
    named = {value.name.casefold() for item in items for value in item.values}
    named |= {name.casefold() for item in items if item.match is not None for name in item.match.phone}
    column = rules.context.traits_of(suspension.sink).relationship_column
    return suspension.field.partition(".")[0].casefold() in named | {column(name) for name in named}
