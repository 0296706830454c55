"""Pure: decides what becomes of a unit from the outcomes of its operations."""

from collections.abc import Collection, Hashable, Sequence
from datetime import timedelta
from typing import TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from connector.delivery.retry import (
    MAX_REQUESTED_PAUSE,
    MINUTE,
    NOT_COUNTED,
    OUTAGE_REASONS,
    POLICIES,
    Deliver,
    GiveUp,
    RetryLater,
    decide,
)
from connector.model.operation import Operation, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.states import UnitState

# A child is rejected because of its parent: the parent's own reason says more.
DERIVED = frozenset({Reason.PARENT_FAILED, Reason.PARENT_WAITING, Reason.HALTED})

# When a whole batch comes back with one of these, one of its records may still be at fault. The other reasons concern
# the whole batch.
DOUBTFUL = frozenset(
    {
        Reason.TIMEOUT,
        Reason.CONNECTION_LOST,
        Reason.SERVER_ERROR,
        Reason.UNEXPECTED_ANSWER,
        Reason.STORAGE_FULL,
        Reason.MAINTENANCE,
        Reason.SINK_REFUSES,
    }
)
# For a whole batch, these count no attempt.
SINK_WIDE = frozenset({Reason.UNEXPECTED_ANSWER, Reason.UNKNOWN_CODE})
# The same if the sink already had a fault: what fails then is not a record's fault.
SINK_WIDE_DURING_OUTAGE = SINK_WIDE | OUTAGE_REASONS


class Attempt(Struct, frozen=True):
    """One operation of a unit, by its position there, and its outcome; no operation if it was superseded."""

    index: int
    operation: Operation | None
    outcome: Outcome


class Conclusion(Struct, frozen=True, kw_only=True):
    """What becomes of a unit."""

    state: UnitState
    reason: Reason | None = None
    detail: str | None = None
    delay: timedelta | None = None
    counts_attempt: bool = False
    in_doubt: bool = False
    done: tuple[int, ...] = ()
    rule: str = ""  # of a dead letter: whose operation it is
    code: str = ""  # of a dead letter: the sink's own word


def conclude(
    attempts: Sequence[Attempt], spent: int, *, not_counted: Collection[Reason] = (), urgent: bool = False
) -> Conclusion:
    """Decide a unit by its worst outcome. It is retried while one of its operations must be, even if another is refused already.

    `not_counted` are the reasons that are the whole sink's fault now. An `urgent` unit waits at most a minute when a
    sink asks for a pause.
    """
    if all(isinstance(one.outcome, Delivered) for one in attempts):
        return _delivered(attempts)
    longest_wait = MINUTE if urgent else MAX_REQUESTED_PAUSE
    done: list[int] = []
    again: list[RetryLater] = []
    dead: list[tuple[GiveUp, str]] = []
    for attempt in attempts:
        if attempt.operation is None:
            done.append(attempt.index)
            continue
        match decide(
            _waiting(attempt),
            repeat=attempt.operation.repeat,
            attempts=spent,
            not_counted=not_counted,
            longest_wait=longest_wait,
        ):
            case Deliver():
                done.append(attempt.index)
            case RetryLater() as one:
                again.append(one)
            case GiveUp() as one:
                dead.append((one, attempt.operation.rule))
    # An operation that a person must decide about is not sent again because others of its unit must be.
    parked = any(one.reason is Reason.NEEDS_PERSON for one, _ in dead)
    if again and not parked:
        # An operation that waits for something else must not delay one that will probably succeed soon.
        pressing = [one for one in again if one.reason not in NOT_COUNTED] or again
        telling = next((one for one in pressing if one.reason not in DERIVED), pressing[0])
        return Conclusion(
            state=UnitState.RESTING,
            reason=telling.reason,
            detail=telling.detail or None,
            delay=max(one.delay for one in pressing),
            counts_attempt=any(one.counts_attempt for one in again),
            in_doubt=any(one.in_doubt for one in again),
            done=tuple(done),
        )
    if dead:
        # Before a person sends the unit again, they must know what may then be done twice.
        end, rule = max(dead, key=lambda one: (one[0].reason is Reason.NEEDS_PERSON, one[0].reason not in DERIVED))
        return Conclusion(
            state=UnitState.DEAD,
            reason=end.reason,
            detail=end.detail or None,
            done=tuple(done),
            rule=rule,
            code=end.code,
        )
    return _delivered(attempts)


def _delivered(attempts: Sequence[Attempt]) -> Conclusion:
    details = [one.outcome.detail for one in attempts if one.outcome.detail]
    done = tuple(one.index for one in attempts)
    return Conclusion(state=UnitState.DELIVERED, detail="; ".join(details) or None, done=done)


def _waiting(attempt: Attempt) -> Outcome:
    """The outcome; a fault of a CRM's set-up concerns no single record, and waits until it is corrected."""
    outcome = attempt.outcome
    if not isinstance(outcome, Rejected) or outcome.reason is not Reason.CONFIGURATION:
        return outcome
    if not isinstance(attempt.operation, RecordWrite):
        return outcome
    return Retry(reason=outcome.reason, detail=outcome.detail, code=outcome.code)


class Suspect(Struct, frozen=True):
    """A record that was refused with a code that is not in our tables."""

    code: str
    record: Hashable


def suspected(operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> Sequence[Suspect]:
    """The records of a batch that was refused as a whole with one unknown code; none if there was any other outcome."""
    if not all(isinstance(one, Retry) for one in outcomes):
        return []
    judged = [
        (one, outcome) for one, outcome in zip(operations, outcomes, strict=True) if not _waits_for_others(outcome)
    ]
    codes = {outcome.code for _, outcome in judged if _unknown(outcome)}
    if len(codes) != 1 or not all(_unknown(outcome) for _, outcome in judged):
        return []
    code = codes.pop()
    return [Suspect(code, one) for one in dict.fromkeys(_identity(one) for one, _ in judged)]


def sink_outage(
    operations: Sequence[Operation],
    outcomes: Sequence[Outcome],
    *,
    cause: Retry | None = None,
    suspect: Suspect | None = None,
) -> Retry | None:
    """The fault of the sink as a whole, by the outcomes of a batch; None if it has none.

    An unknown code is the sink's fault if two different records are refused with it, or a single record while the sink
    has that fault already. `cause` is its earlier fault, `suspect` the last record that was refused with an unknown
    code.
    """
    suspects = suspected(operations, outcomes)
    if suspects:
        code = suspects[0].code
        records = {one.record for one in suspects} | ({suspect.record} if suspect and suspect.code == code else set())
        if len(records) < 2 and (cause is None or cause.code != code):  # noqa: PLR2004 - two different ones.
            return None
        telling = next(one for one in outcomes if isinstance(one, Retry) and one.code == code)
        return replace(telling, reason=Reason.SINK_REFUSES)
    outages: list[Retry] = []
    for outcome in outcomes:
        if not isinstance(outcome, Retry):
            return None
        if outcome.reason in OUTAGE_REASONS:
            outages.append(outcome)
        elif outcome.reason not in NOT_COUNTED:
            return None
    if not outages:
        return None
    return max(outages, key=lambda one: max(POLICIES[one.reason].first, one.not_before or timedelta()))


def not_counted(fault: Retry | None, cause: Retry | None) -> frozenset[Reason]:
    """Which reasons count no attempt, by the fault that a batch has shown and the earlier fault of the sink."""
    if fault is None:
        return frozenset()
    return SINK_WIDE if cause is None else SINK_WIDE_DURING_OUTAGE


def _waits_for_others(outcome: Outcome) -> bool:
    return isinstance(outcome, Retry) and outcome.reason in NOT_COUNTED


def _unknown(outcome: Outcome) -> TypeGuard[Retry]:
    return isinstance(outcome, Retry) and outcome.reason is Reason.UNKNOWN_CODE


def _identity(operation: Operation) -> Hashable:
    return operation.record if isinstance(operation, RecordWrite) else operation
