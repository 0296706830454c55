"""Deliver: claims units, leaves out superseded and suspended operations, sends the others, and settles all outcomes."""

import dataclasses
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from connector.consent.guard import allowed_at_sending, carries_opt_out, with_flag_at_creation
from connector.consent.ledger_state import fold_ledger
from connector.delivery.channels import SendAllowance, SinkChannel
from connector.delivery.outcome_policy import all_locked, not_counted, sink_outage, suspected
from connector.delivery.send import send
from connector.delivery.suspended_rules import Filtered, filter_suspended
from connector.mapping.compile.ruleset import Ruleset
from connector.model.consent import LedgerEntry, Phase
from connector.model.consent_fields import ConsentFields
from connector.model.crm_traits import CrmTraits
from connector.model.errors import StoreUnavailable
from connector.model.event import Verdict
from connector.model.operation import ID_FIELD, Operation, RecordWrite, ServiceCommand
from connector.model.outcome import Delivered, Reason
from connector.model.states import UnitState
from connector.pipeline.cleared_in_doubt import ReadFirst
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.pipeline.settle import PendingWrite, settle_units, settled_event, settled_events
from connector.pipeline.suspended_rules import SendResult, record_suspensions
from connector.ports import Sink
from connector.store.outbox import Outbox
from connector.store.store import Store
from connector.store.units import Confirmation, Settlement, Unit
from connector.telemetry.error_location import place
from connector.telemetry.log_events import BatchSent, Emit

# After so many dead letters in a row no more are made: the bug is not in single units.
MAX_GIVEN_UP = 3


class Deliverer:
    """The stage that sends claimed units to the sinks."""

    def __init__(
        self,
        store: Store,
        config: PipelineConfig,
        runtime: Runtime,
        rules: Callable[[], Ruleset],
        replan: Callable[[], None],
    ) -> None:
        """`rules` returns the rules in force: a reload may replace them during a step.

        `replan` has the units of suspended rules planned again.
        """
        self._store = store
        self._rules = rules
        self._replan = replan
        self._runtime = runtime
        self._emit = runtime.emit
        self._numbers = config.numbers
        self._consent = config.consent
        self._read_first = ReadFirst(store, runtime, lambda: rules().feeds)

    async def deliver(self, channel: SinkChannel, worker: "DeliveryWorker") -> int:
        """Claim a batch, send it, and settle all its outcomes in one transaction. After an error no claim is left.

        Each CRM has two workers. While one sends, the other settles its last batch, and claims the next if a full one waits.
        """
        async with worker.step(self._store.outbox, self._emit, self._runtime.now):
            ahead = await self._claim_ahead(channel, worker)
            async with channel.send_lock:
                units, allowance = await self._claim(channel, worker, ahead)
                if any(unit.in_doubt for unit in units):
                    units = worker.claimed = await self._read_first.hold(units)
                if not units or allowance is None:
                    return 0
                consent = self._consent.get(channel.sink.name, {})
                pending = drop_superseded(units, self._store, channel.sink.traits, consent)
                batch = self._drop_suspended(pending, channel.sink)
                result = await self._send(channel, allowance, batch, units)
                if not result.all_delivered:
                    # Settled under the lock, because the next batch depends on the result.
                    await self._settle(channel, units, pending, result)
            if result.all_delivered:
                await self._settle(channel, units, pending, result)
            return len(units)

    async def _claim_ahead(self, channel: SinkChannel, worker: "DeliveryWorker") -> list[Unit]:
        """Claim a full batch while another one is being sent. Claim nothing while the sink fails: it is probed first."""
        if not channel.send_lock.locked():
            return []
        allowance = channel.allowance(self._runtime.monotonic())
        if allowance is None or channel.breaker.cause is not None or worker.one_by_one:
            return []
        return await self._claim_units(channel, allowance, worker, whole=True)

    async def _claim(
        self, channel: SinkChannel, worker: "DeliveryWorker", ahead: list[Unit]
    ) -> tuple[list[Unit], SendAllowance | None]:
        """The batch to send now: the one claimed ahead if the sink still accepts its size, otherwise a new claim."""
        if ahead and not channel.accepts(sum(len(unit.operations) for unit in ahead), self._runtime.monotonic()):
            await self._store.outbox.give_back(ahead, self._runtime.now())
            ahead, worker.claimed = [], ()
        allowance = channel.allowance(self._runtime.monotonic())
        if allowance is None:
            return [], None
        units = ahead or await self._claim_units(channel, allowance, worker)
        if units:
            self._runtime.wake(channel.sink.name)
        return units, allowance

    async def _claim_units(
        self, channel: SinkChannel, allowance: SendAllowance, worker: "DeliveryWorker", *, whole: bool = False
    ) -> list[Unit]:
        """Claim the next batch, or nothing. When API calls are scarce a batch waits until it is full or holds an opt-out.

        `allowance` is what may be sent now. With `whole` only a full batch is claimed.
        """
        allowance = worker.limit(allowance)
        name, size, now = channel.sink.name, allowance.size, self._runtime.now()
        outbox, overview = self._store.outbox, self._store.overview
        if whole and overview.ready(name, size, now)[0] < size:
            return []
        only_urgent = allowance.only_opt_outs
        if channel.budget is not None:
            limits = channel.budget.limits(self._emit)
            only_urgent = only_urgent or limits.only_opt_outs
            if self._runtime.monotonic() < channel.sent + limits.gap.total_seconds():
                operations, urgent = overview.ready(name, size, now)
                if not urgent and (operations < size or only_urgent):
                    return []
        units = await outbox.claim(name, 1, worker.claim, now, only_urgent=True) if allowance.opt_out_first else []
        units = units or await outbox.claim(name, size, worker.claim, now, only_urgent=only_urgent)
        if units:
            channel.sent = self._runtime.monotonic()
            worker.claimed = units
        elif not whole:
            await channel.prepare()
        return units

    def _drop_suspended(self, pending: Sequence[PendingWrite], sink: Sink) -> Filtered:
        """The pending operations without those of suspended rules."""
        operations = [write.operation for write in pending if write.operation is not None]
        suspensions = self._store.suspensions.of(sink.name)
        if not suspensions:
            return Filtered(operations, operations)
        return filter_suspended(operations, suspensions, self._runtime.now(), sink.traits)

    async def _send(
        self, channel: SinkChannel, allowance: SendAllowance, batch: Filtered, units: Sequence[Unit]
    ) -> SendResult:
        """Send the batch, and adapt batch size and circuit breaker to the outcomes."""
        sink, client, operations = channel.sink, channel.client, batch.to_send
        began, sent_at, calls = self._runtime.monotonic(), self._runtime.now(), client.calls
        known = self._store.known_records(operations, _tried(units))
        answered = await send(sink, client, operations, known.task)
        channel.record_outcomes(answered.outcomes)
        seconds, calls, size = self._runtime.monotonic() - began, client.calls - calls, channel.batch_size.size
        self._emit(
            BatchSent(sink=sink.name, operations=len(batch.operations), calls=calls, seconds=seconds, batch=size)
        )
        result = SendResult(
            batch=batch,
            answered=answered,
            sent_at=sent_at,
            sent=batch.with_suspended(answered) if batch.held_back else answered,
            all_delivered=not batch.suspensions
            and all(isinstance(outcome, Delivered) for outcome in answered.outcomes),
        )
        return self._update_breaker(channel, allowance, result, people={unit.lane for unit in units})

    def _update_breaker(
        self, channel: SinkChannel, allowance: SendAllowance, result: SendResult, people: set[str]
    ) -> SendResult:
        """Pause the sink when a whole batch failed for a reason that concerns the sink itself."""
        outcomes, cause = result.answered.outcomes, channel.breaker.cause
        operations = result.batch.to_send
        locked_again = bool(channel.locked) and len(channel.locked | people) > 1
        fault = sink_outage(operations, outcomes, locked_again=locked_again, cause=cause, suspect=channel.suspect)
        if fault is not None:
            channel.mark_failed(
                fault, allowance, now=self._runtime.monotonic(), at=self._runtime.now(), emit=self._emit
            )
        elif outcomes:
            channel.mark_healthy(self._emit)
        if outcomes:
            channel.locked = people if all_locked(outcomes) else set()
        channel.suspect = next(iter(suspected(operations, outcomes)), None) if outcomes else channel.suspect
        return replace(result, not_counted=not_counted(fault, cause))

    async def _settle(
        self, channel: SinkChannel, units: Sequence[Unit], pending: Sequence[PendingWrite], result: SendResult
    ) -> None:
        settled = settle_units(
            units,
            pending,
            result.sent,
            feeds=self._rules().feeds.get(channel.sink.name, {}),
            consent=self._consent.get(channel.sink.name, {}),
            sent_at=result.sent_at,
            numbers=self._numbers,
            not_counted=result.not_counted,
        )
        await self._store.outbox.settle(settled, now=self._runtime.now())
        for log_event in settled_events(units, settled, now=self._runtime.now()):
            self._emit(log_event)
        if not result.all_delivered:
            await self._suspend(channel, units, settled, result)
        if not result.all_delivered or channel.refused:
            channel.note_refused(result.answered.outcomes, self._store.overview.refused_for, self._emit)

    async def _suspend(
        self, channel: SinkChannel, units: Sequence[Unit], settled: Sequence[Settlement], result: SendResult
    ) -> None:
        """Record which rules this batch suspends or resumes. Suspended units of older mappings are planned again."""
        rules, now = self._rules(), self._runtime.now()
        for log_event in await record_suspensions(self._store, channel.sink.name, result, rules, now=now):
            self._emit(log_event)
        waiting = [
            unit.event_id
            for unit, settlement in zip(units, settled, strict=True)
            if settlement.reason is Reason.CONFIGURATION
        ]
        if waiting and self._store.suspended_units.outdated(waiting, rules.version):
            self._replan()


@dataclasses.dataclass(slots=True)
class DeliveryWorker:
    """The claims of one worker. Between two of its steps it has no claim."""

    claim: str  # the name of its claims; it begins with the id of this start of the process
    claimed: Sequence[Unit] = ()
    must_release: bool = False  # a step has raised, so that it may still have claims
    one_by_one: int = 0  # units that are still claimed one at a time, after a bug in a batch
    given_up: int = 0  # dead letters because of bugs, in a row

    @asynccontextmanager
    async def step(self, outbox: Outbox, emit: Emit, now: Callable[[], datetime]) -> AsyncIterator[None]:
        """One step. If it raises, its claims are released in doubt: now, or before the next claim.

        After a bug the units are claimed one at a time. A unit that fails alone becomes a dead letter; the others continue.
        """
        if self.must_release:
            await self._release(outbox, now())
        self.claimed, self.must_release = [], True
        try:
            yield
        except StoreUnavailable:
            raise
        except Exception as error:
            await self._after_bug(outbox, emit, now(), place(error))
            raise
        self.must_release = False
        if self.claimed:
            self.one_by_one, self.given_up = max(0, self.one_by_one - len(self.claimed)), 0

    def limit(self, allowance: SendAllowance) -> SendAllowance:
        """The allowance, reduced to one unit after a bug."""
        return dataclasses.replace(allowance, size=1) if self.one_by_one else allowance

    async def _release(self, outbox: Outbox, now: datetime) -> None:
        await outbox.release(self.claim, now)
        self.must_release = False

    async def _after_bug(self, outbox: Outbox, emit: Emit, now: datetime, bug: str) -> None:
        # Read from the store: a unit that cannot be read is claimed, but not in `claimed`.
        claimed_ids = outbox.claimed_by(self.claim)
        if len(claimed_ids) > 1 and not self.one_by_one:
            self.one_by_one = len(claimed_ids)
        elif claimed_ids and self.given_up < MAX_GIVEN_UP:
            # Units in doubt of one person are claimed together: the first of them becomes the dead letter.
            unit = next((unit for unit in self.claimed if unit.id == claimed_ids[0]), None)
            dead_letter = _given_up(claimed_ids[0], unit, bug)
            await outbox.settle([dead_letter], now=now)
            if unit is not None:
                emit(settled_event(unit, dead_letter, now))
            self.given_up += 1
        await self._release(outbox, now)


def _given_up(unit_id: int, unit: Unit | None, bug: str) -> Settlement:
    """The unit as a dead letter; an opt-out in it stays open."""
    detail = f"{bug}: please report this bug"
    operations = unit.operations if unit is not None else ()
    opts_out = any(carries_opt_out(operation, Verdict.OPT_OUT) for operation in operations)
    return Settlement(
        unit_id=unit_id,
        state=UnitState.DEAD,
        reason=Reason.BUG,
        detail=detail,
        counts_attempt=False,
        rule=operations[0].rule if operations else "",
        confirmations=(Confirmation(phase=Phase.FAILED, detail=detail),) if opts_out else (),
    )


def drop_superseded(
    units: Sequence[Unit], store: Store, traits: CrmTraits, consent_fields: Mapping[str, ConsentFields]
) -> list[PendingWrite]:
    """Leave out operations and fields that newer decisions and writes have superseded since the plan was made.

    `consent_fields` are those of the sink, by object.
    """
    flagged = {name.casefold(): fields for name, fields in consent_fields.items()}
    decisions = _read_decisions(units, store, flagged)
    pending: list[PendingWrite] = []
    for number, unit in enumerate(units):
        newer = [
            (written.object, written.key_field, _full_key(written.key_field, written.key, traits), written.field)
            for written in unit.newer
        ]
        for index, planned in zip(unit.indexes, unit.operations, strict=True):
            operation: Operation | None = planned
            if isinstance(planned, RecordWrite) and planned.key_field == ID_FIELD:
                # A plan of an earlier version may name a record by a short form of its id.
                operation = replace(planned, key=traits.full_id(planned.key))
            if operation is not None and (newer or unit.id in decisions.deciding):
                operation = allowed_at_sending(
                    operation,
                    event_id=unit.event_id,
                    overtaken=unit.overtaken_by is not None
                    or (_clears_flag(operation) and decisions.undecided.get(unit.lane, 0) > unit.event_id),
                    newer=newer,
                    ledger=decisions.ledgers.get(unit.lane, ()),
                )
            if isinstance(operation, RecordWrite) and unit.lane in decisions.opted_out:
                declared = flagged.get(operation.object.casefold())
                operation = operation if declared is None else with_flag_at_creation(operation, declared)
            pending.append(PendingWrite(number, index, operation))
    return pending


class _Decisions(Struct, frozen=True, kw_only=True):
    """What is decided now about the people of a claim, as far as its operations depend on it."""

    deciding: Collection[int]  # ids of the units with an operation that depends on the person's consent
    ledgers: Mapping[str, Sequence[LedgerEntry]]  # by lane, of these units
    opted_out: Collection[str]  # lanes for which a new record gets the flag
    undecided: Mapping[str, int]  # by lane: the event of the latest opt-out in the CRM that is not planned yet


def _read_decisions(units: Sequence[Unit], store: Store, flagged: Collection[str]) -> _Decisions:
    creating = {
        unit.lane for unit in units if flagged and any(_may_create(operation, flagged) for operation in unit.operations)
    }
    opted_out = set(store.consents.opted_out(sorted(creating))) if creating else set()
    deciding = {unit.id for unit in units if any(map(_concerns_consent, unit.operations))}
    ledgers = store.consents.of_many(sorted(opted_out | {unit.lane for unit in units if unit.id in deciding}))
    undecided: Mapping[str, int] = {}
    if clearing := [unit for unit in units if any(map(_clears_flag, unit.operations))]:
        crm, numbers = clearing[0].operations[0].sink, sorted({unit.lane for unit in clearing})
        first = min(unit.event_id for unit in clearing)
        undecided = store.inbox.undecided_opt_outs(crm, numbers, after=first)
    return _Decisions(
        deciding=deciding,
        ledgers=ledgers,
        opted_out={lane for lane in opted_out if fold_ledger(ledgers[lane]).out},
        undecided=undecided,
    )


def _tried(units: Iterable[Unit]) -> set[tuple[str, str, str]]:
    """The records that these units have tried to write before."""
    return {
        operation.record
        for unit in units
        if unit.tried
        for operation in unit.operations
        if isinstance(operation, RecordWrite)
    }


def _clears_flag(operation: Operation) -> bool:
    return isinstance(operation, RecordWrite) and operation.clears_flag


def _may_create(operation: Operation, flagged: Collection[str]) -> bool:
    """Whether the operation may create a record that has an opt-out flag."""
    return isinstance(operation, RecordWrite) and operation.may_create and operation.object.casefold() in flagged


def _concerns_consent(operation: Operation) -> bool:
    """Whether the person's consent decides about the operation."""
    if isinstance(operation, RecordWrite):
        return bool(operation.consent) or operation.consent_only
    return isinstance(operation, ServiceCommand)


def _full_key(key_field: str, key: str, traits: CrmTraits) -> str:
    return traits.full_id(key) if key_field == ID_FIELD else key
