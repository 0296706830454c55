"""Pure: the outcomes of a unit's operations → what becomes of the unit."""

from collections.abc import Sequence
from datetime import timedelta

from msgspec import Struct

from connector.delivery.retry import INNOCENT, POLICIES, SINK_TROUBLE, Again, Dead, Done, backoff, judge
from connector.model.lifecycle import UnitState
from connector.model.operation import Operation, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry

# A child is rejected for its parent's sake: the parent's own reason tells more.
SECONDARY = frozenset({Reason.PARENT_FAILED, Reason.PARENT_WAITING, Reason.HALTED})

# A pause delays every donor, so that one is never as long as a single record's gaps may become.
MOST_PAUSE = timedelta(minutes=15)


class Attempt(Struct, frozen=True):
    """One operation of a unit, by its place there, and its outcome; no operation where it had become void."""

    index: int
    operation: Operation | None
    outcome: Outcome


class Conclusion(Struct, frozen=True, kw_only=True):
    """What becomes of a unit."""

    state: UnitState
    reason: Reason | None = None
    detail: str | None = None
    delay: timedelta | None = None
    spends: bool = False
    in_doubt: bool = False
    done: tuple[int, ...] = ()
    rule: str = ""  # of a dead letter: whose operation it is
    code: str = ""  # of a dead letter: the sink's own word


def conclude(attempts: Sequence[Attempt], spent: int) -> Conclusion:
    """Judge a unit by its worst. While one of its operations is to be repeated, the unit is, though another is refused already."""
    done: list[int] = []
    again: list[Again] = []
    dead: list[tuple[Dead, str]] = []
    for attempt in attempts:
        if attempt.operation is None:
            done.append(attempt.index)
            continue
        match judge(_waiting(attempt), repeat=attempt.operation.repeat, attempts=spent):
            case Done():
                done.append(attempt.index)
            case Again() as one:
                again.append(one)
            case Dead() as one:
                dead.append((one, attempt.operation.rule))
    # What only a person may decide is not sent once more for the sake of the others.
    parked = any(one.reason is Reason.NEEDS_PERSON for one, _ in dead)
    if again and not parked:
        # What waits for something else must not hold up what is likely to go through soon.
        pressing = [one for one in again if one.reason not in INNOCENT] or again
        telling = next((one for one in pressing if one.reason not in SECONDARY), pressing[0])
        return Conclusion(
            state=UnitState.RESTING,
            reason=telling.reason,
            detail=telling.detail or None,
            delay=max(one.delay for one in pressing),
            spends=any(one.spends for one in again),
            in_doubt=any(one.in_doubt for one in again),
            done=tuple(done),
        )
    if dead:
        # A person who sends the unit anew must know first what may then be done twice.
        end, rule = max(dead, key=lambda one: (one[0].reason is Reason.NEEDS_PERSON, one[0].reason not in SECONDARY))
        return Conclusion(
            state=UnitState.DEAD,
            reason=end.reason,
            detail=end.detail or None,
            done=tuple(done),
            rule=rule,
            code=end.code,
        )
    details = [one.outcome.detail for one in attempts if isinstance(one.outcome, Delivered) and one.outcome.detail]
    return Conclusion(state=UnitState.DELIVERED, detail="; ".join(details) or None, done=tuple(done))


def _waiting(attempt: Attempt) -> Outcome:
    """The outcome; a fault of the set-up of a CRM concerns no single record, and waits until it is mended."""
    outcome = attempt.outcome
    if not isinstance(outcome, Rejected) or outcome.reason is not Reason.CONFIGURATION:
        return outcome
    if not isinstance(attempt.operation, RecordWrite):
        return outcome
    return Retry(reason=outcome.reason, detail=outcome.detail, code=outcome.code)


def trouble(outcomes: Sequence[Outcome], failures: int) -> tuple[Reason, str, timedelta] | None:
    """Why and for how long the sink as a whole is left alone, after so many bad batches in a row; None while it is well."""
    bad: list[Retry] = []
    for outcome in outcomes:
        if not isinstance(outcome, Retry):
            return None
        if outcome.reason in SINK_TROUBLE:
            bad.append(outcome)
        elif outcome.reason not in INNOCENT:
            return None
    if not bad:
        return None

    def pause(one: Retry) -> timedelta:
        return max(backoff(POLICIES[one.reason], failures), one.not_before or timedelta())

    worst = max(bad, key=pause)
    return worst.reason, worst.detail, min(pause(worst), MOST_PAUSE)
