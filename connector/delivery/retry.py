"""Pure: decides what follows from an outcome. The only table of retries; their delays last across restarts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from connector.model.operation import Repeat
from connector.model.outcome import Outcome, Reason, Rejected, Retry

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
# The longest pause of one unit that a sink may ask for: after a longer one the event would seem to be lost.
MAX_REQUESTED_PAUSE = 6 * HOUR
# The longest pause of a whole sink that it may ask for. Without such a request it is a minute, so that a CRM that works
# again is used soon.
MAX_PAUSE = 15 * MINUTE
PROBE_EVERY = 3 * MINUTE  # between the probes of a suspended rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a reason is retried: `first`, doubled each time up to `cap`, at most `attempts` times (None: for ever).

    `waits`: the sink is the cause, and not the operation. Waiting counts no attempt, and the whole sink is paused.
    """

    first: timedelta
    cap: timedelta
    attempts: int | None
    waits: bool = False
    steps: tuple[timedelta, ...] = ()  # the pauses one by one, instead of doubling


POLICIES: dict[Reason, Policy] = {
    Reason.UNAVAILABLE: Policy(first=2 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.RATE_LIMITED: Policy(first=5 * SECOND, cap=MINUTE, attempts=None, waits=True),
    # One call a minute is less than what a feed uses; while the budget is used up only opt-outs are sent.
    Reason.QUOTA_EXHAUSTED: Policy(first=30 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.STORAGE_FULL: Policy(first=30 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.CREDENTIALS: Policy(first=15 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.WRONG_ADDRESS: Policy(first=15 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.MAINTENANCE: Policy(first=15 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.SINK_REFUSES: Policy(first=15 * SECOND, cap=MINUTE, attempts=None, waits=True),
    # A slow sink may have done the work; three days with growing pauses outlast a weekend.
    Reason.TIMEOUT: Policy(first=5 * SECOND, cap=HOUR, attempts=80),
    Reason.CONNECTION_LOST: Policy(first=2 * SECOND, cap=HOUR, attempts=80),
    Reason.SERVER_ERROR: Policy(first=5 * SECOND, cap=HOUR, attempts=20),
    Reason.UNEXPECTED_ANSWER: Policy(first=5 * SECOND, cap=HOUR, attempts=20),
    # A mass update, or a recalculation of sharing, may hold locks for hours.
    Reason.ROW_LOCKED: Policy(first=SECOND, cap=MINUTE, attempts=24 * 60),
    # It is sent again in smaller requests; the adapter rejects a record that fails alone.
    Reason.TRIGGER_LIMIT: Policy(first=5 * SECOND, cap=MINUTE, attempts=None),
    Reason.RACE: Policy(first=SECOND, cap=10 * SECOND, attempts=5),
    Reason.PARENT_MISSING: Policy(first=5 * SECOND, cap=5 * MINUTE, attempts=8),
    Reason.PARENT_WAITING: Policy(first=SECOND, cap=MINUTE, attempts=None),
    Reason.HALTED: Policy(first=SECOND, cap=MINUTE, attempts=None),
    # The rule waits until the CRM is configured correctly: see suspended_rules.py.
    Reason.CONFIGURATION: Policy(first=PROBE_EVERY, cap=HOUR, attempts=None),
    # The table of Standard Webhooks 1.0, "Retry schedule": about three days.
    Reason.NOT_ACCEPTED: Policy(
        first=5 * SECOND,
        cap=24 * HOUR,
        attempts=10,
        steps=(5 * SECOND, 5 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24))),
    ),
    Reason.UNKNOWN: Policy(first=10 * SECOND, cap=10 * MINUTE, attempts=5),
    # The meaning of such a code is unknown: a day gives time to a person, who is alerted at the first one.
    Reason.UNKNOWN_CODE: Policy(first=10 * SECOND, cap=MINUTE, attempts=24 * 60),
}
# These wait for another operation or a corrected configuration, or were sent with too many others: no attempt counts.
NOT_COUNTED = frozenset({Reason.PARENT_WAITING, Reason.HALTED, Reason.CONFIGURATION, Reason.TRIGGER_LIMIT})
# If a whole batch fails with one of these, the sink is the cause and is paused.
OUTAGE_REASONS = frozenset(
    {reason for reason, policy in POLICIES.items() if policy.waits}
    | {Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.SERVER_ERROR, Reason.UNEXPECTED_ANSWER}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLater:
    """To be retried after `delay`."""

    reason: Reason
    delay: timedelta
    counts_attempt: bool
    in_doubt: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """A dead letter."""

    reason: Reason
    detail: str = ""
    code: str = ""  # the sink's own code for it


RetryDecision = Deliver | RetryLater | GiveUp


def decide(
    outcome: Outcome,
    *,
    repeat: Repeat,
    attempts: int,
    not_counted: Collection[Reason] = (),
    longest_wait: timedelta = MAX_REQUESTED_PAUSE,
) -> RetryDecision:
    """Decide what follows from one outcome, after so many counted attempts (without this one).

    `not_counted` are the reasons for which the whole sink is the cause now; they count no attempt. `longest_wait` is the
    longest pause that a sink may ask for.
    """
    if isinstance(outcome, Rejected):
        return GiveUp(reason=outcome.reason, detail=outcome.detail, code=outcome.code)
    if not isinstance(outcome, Retry):
        return Deliver()
    if outcome.in_doubt and repeat is Repeat.NEVER:
        return GiveUp(
            reason=Reason.NEEDS_PERSON,
            detail="it may have been done, and doing it twice would do harm: check at the provider, then release or discard it",
        )
    policy = POLICIES[outcome.reason]
    fault_of_sink = outcome.reason in not_counted
    if policy.attempts is not None and attempts + 1 >= policy.attempts and not fault_of_sink:
        detail = f"given up after {attempts + 1} attempts: {outcome.detail}"
        return GiveUp(reason=outcome.reason, detail=detail, code=outcome.code)
    delay = backoff(policy, attempts)
    if fault_of_sink:
        delay = min(delay, MINUTE)
    if outcome.not_before is not None:
        delay = max(delay, min(outcome.not_before, longest_wait))
    return RetryLater(
        reason=outcome.reason,
        delay=delay,
        counts_attempt=not policy.waits and not fault_of_sink and outcome.reason not in NOT_COUNTED,
        in_doubt=outcome.in_doubt,
        detail=outcome.detail,
    )


def backoff(policy: Policy, times: int) -> timedelta:
    """The pause after so many failures in a row."""
    if policy.steps:
        return policy.steps[min(times, len(policy.steps) - 1)]
    return min(policy.cap, policy.first * (1 << min(times, 20)))
