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

# If a whole batch fails with one of these, a single record may still be the cause. With other reasons the sink is.
DOUBTFUL = frozenset(
    {
        Reason.TIMEOUT,
        Reason.CONNECTION_LOST,
        Reason.SERVER_ERROR,
        Reason.UNEXPECTED_ANSWER,
        Reason.STORAGE_FULL,
        Reason.MAINTENANCE,
        Reason.SINK_REFUSES,
        Reason.ROW_LOCKED,
    }
)
# For a whole batch, these count no attempt.
SINK_WIDE = frozenset({Reason.UNEXPECTED_ANSWER, Reason.UNKNOWN_CODE, Reason.ROW_LOCKED})
# During an outage these count no attempt either: then the sink is the cause, and not a record.
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
    rule: str = ""  # of a dead letter: the rule of the operation
    code: str = ""  # of a dead letter: the sink's own code


def conclude(
    attempts: Sequence[Attempt], counted_attempts: int, *, not_counted: Collection[Reason] = (), urgent: bool = False
) -> Conclusion:
    """Decide a unit by its worst outcome. It is retried while one of its operations must be, even if another is refused.

    `not_counted` are the reasons for which the whole sink is the cause now. An `urgent` unit waits at most a minute when a
    sink asks for a pause.
    """
    if all(isinstance(one.outcome, Delivered) for one in attempts):
        return _delivered(attempts)
    longest_wait = MINUTE if urgent else MAX_REQUESTED_PAUSE
    done: list[int] = []
    retries: list[RetryLater] = []
    given_up: list[tuple[GiveUp, str]] = []
    for attempt in attempts:
        if attempt.operation is None:
            done.append(attempt.index)
            continue
        match decide(
            _wait_for_configuration(attempt),
            repeat=attempt.operation.repeat,
            attempts=counted_attempts,
            not_counted=not_counted,
            longest_wait=longest_wait,
        ):
            case Deliver():
                done.append(attempt.index)
            case RetryLater() as retry:
                retries.append(retry)
            case GiveUp() as end:
                given_up.append((end, attempt.operation.rule))
    # A unit that waits for a person is not retried, although others of its operations could be.
    parked = any(end.reason is Reason.NEEDS_PERSON for end, _ in given_up)
    if retries and not parked:
        # An operation that waits for something else must not delay one that will probably succeed soon.
        not_waiting = [retry for retry in retries if retry.reason not in NOT_COUNTED] or retries
        deciding = next((retry for retry in not_waiting if retry.reason not in DERIVED), not_waiting[0])
        return Conclusion(
            state=UnitState.RESTING,
            reason=deciding.reason,
            detail=deciding.detail or None,
            delay=max(retry.delay for retry in not_waiting),
            counts_attempt=any(retry.counts_attempt for retry in retries),
            in_doubt=any(retry.in_doubt for retry in retries),
            done=tuple(done),
        )
    if given_up:
        # The person must know first what may be done twice when the unit is released.
        end, rule = max(given_up, key=_importance)
        return Conclusion(
            state=UnitState.DEAD,
            reason=end.reason,
            detail=end.detail or None,
            done=tuple(done),
            rule=rule,
            code=end.code,
        )
    return _delivered(attempts)


def _importance(given_up: tuple[GiveUp, str]) -> tuple[bool, bool]:
    """How much the reason of a dead letter tells a person, for comparing."""
    reason = given_up[0].reason
    return reason is Reason.NEEDS_PERSON, reason not in DERIVED


def _delivered(attempts: Sequence[Attempt]) -> Conclusion:
    details = [one.outcome.detail for one in attempts if one.outcome.detail]
    done = tuple(one.index for one in attempts)
    return Conclusion(state=UnitState.DELIVERED, detail="; ".join(details) or None, done=done)


def _wait_for_configuration(attempt: Attempt) -> Outcome:
    """The outcome. A configuration error of the CRM is not a record's fault: the operation waits until it is corrected."""
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
    own_outcomes = [
        (operation, outcome)
        for operation, outcome in zip(operations, outcomes, strict=True)
        if not _waits_for_others(outcome)
    ]
    codes = {outcome.code for _, outcome in own_outcomes if _has_unknown_code(outcome)}
    if len(codes) != 1 or not all(_has_unknown_code(outcome) for _, outcome in own_outcomes):
        return []
    code = codes.pop()
    return [Suspect(code, record) for record in dict.fromkeys(_identity(operation) for operation, _ in own_outcomes)]


def sink_outage(
    operations: Sequence[Operation],
    outcomes: Sequence[Outcome],
    *,
    locked_again: bool = False,
    cause: Retry | None = None,
    suspect: Suspect | None = None,
) -> Retry | None:
    """The outage of the sink that the outcomes of a batch show; None if there is none.

    An unknown code is the sink's fault if two different records are refused with it, or a single record while the sink
    has that fault already. `cause` is its earlier fault, `suspect` the last record that was refused with an unknown
    code.

    A batch whose records are all locked may have been too large. If the next one is locked too (`locked_again`), a job
    of the CRM holds the locks, such as a recalculation of sharing, which may take hours.
    """
    if (lock := all_locked(outcomes)) and (locked_again or (cause and cause.reason is Reason.ROW_LOCKED)):
        return lock
    suspects = suspected(operations, outcomes)
    if suspects:
        code = suspects[0].code
        records = {one.record for one in suspects} | ({suspect.record} if suspect and suspect.code == code else set())
        if len(records) < 2 and (cause is None or cause.code != code):  # noqa: PLR2004 - two different ones.
            return None
        deciding = next(one for one in outcomes if isinstance(one, Retry) and one.code == code)
        return replace(deciding, reason=Reason.SINK_REFUSES)
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


def all_locked(outcomes: Sequence[Outcome]) -> Retry | None:
    """One of the locks, if nothing but locks kept the batch back."""
    judged = [one for one in outcomes if not _waits_for_others(one)]
    locks = [one for one in judged if isinstance(one, Retry) and one.reason is Reason.ROW_LOCKED]
    return locks[0] if locks and len(locks) == len(judged) else None


def not_counted(fault: Retry | None, cause: Retry | None) -> frozenset[Reason]:
    """Which reasons count no attempt, by the fault that a batch has shown and the earlier fault of the sink."""
    if fault is None:
        return frozenset()
    return SINK_WIDE if cause is None else SINK_WIDE_DURING_OUTAGE


def _waits_for_others(outcome: Outcome) -> bool:
    return isinstance(outcome, Retry) and outcome.reason in NOT_COUNTED


def _has_unknown_code(outcome: Outcome) -> TypeGuard[Retry]:
    return isinstance(outcome, Retry) and outcome.reason is Reason.UNKNOWN_CODE


def _identity(operation: Operation) -> Hashable:
    return operation.record if isinstance(operation, RecordWrite) else operation
