"""Pure: what an outcome leads to. The one table of repeats: minutes to days, across restarts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from connector.model.operation import Repeat
from connector.model.outcome import Outcome, Reason, Rejected, Retry

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
# A shorter wish of a sink is honoured as it is; a longer one would look like a lost event to the people who wait for it.
MAX_RETRY_AFTER = 6 * HOUR
# The longest pause of a whole sink is a minute: a CRM that is well again is in use within one. It may ask for more, up to this.
MAX_PAUSE = 15 * MINUTE
PROBE_EVERY = (
    3 * MINUTE
)  # the pause before a mapping that is stopped is tried again: one call, as long as it is not mended


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a reason is repeated: `first`, doubled each time up to `cap`, at most `attempts` times (None: for ever).

    `waits`: the fault is the sink's and not the operation's, so that waiting spends no attempt and the whole sink pauses.
    """

    first: timedelta
    cap: timedelta
    attempts: int | None
    waits: bool = False


POLICIES: dict[Reason, Policy] = {
    Reason.UNAVAILABLE: Policy(first=2 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.RATE_LIMITED: Policy(first=5 * SECOND, cap=MINUTE, attempts=None, waits=True),
    # One call a minute is less than what a feed asks; while the budget is used up only opt-outs are sent at all.
    Reason.QUOTA_EXHAUSTED: Policy(first=30 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.STORAGE_FULL: Policy(first=30 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.CREDENTIALS: Policy(first=15 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.WRONG_ADDRESS: Policy(first=15 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.MAINTENANCE: Policy(first=15 * SECOND, cap=MINUTE, attempts=None, waits=True),
    Reason.SINK_REFUSES: Policy(first=15 * SECOND, cap=MINUTE, attempts=None, waits=True),
    # A slow sink may have done the work; three days of growing gaps outlast a weekend.
    Reason.TIMEOUT: Policy(first=5 * SECOND, cap=HOUR, attempts=80),
    Reason.CONNECTION_LOST: Policy(first=2 * SECOND, cap=HOUR, attempts=80),
    Reason.SERVER_ERROR: Policy(first=5 * SECOND, cap=HOUR, attempts=20),
    Reason.UNEXPECTED_ANSWER: Policy(first=5 * SECOND, cap=HOUR, attempts=20),
    Reason.ROW_LOCKED: Policy(first=SECOND, cap=MINUTE, attempts=30),
    # It is sent again in smaller requests, and what fails alone is refused for good by the adapter.
    Reason.TRIGGER_LIMIT: Policy(first=5 * SECOND, cap=MINUTE, attempts=None),
    Reason.RACE: Policy(first=SECOND, cap=10 * SECOND, attempts=5),
    Reason.PARENT_MISSING: Policy(first=5 * SECOND, cap=5 * MINUTE, attempts=8),
    Reason.PARENT_WAITING: Policy(first=SECOND, cap=MINUTE, attempts=None),
    Reason.HALTED: Policy(first=SECOND, cap=MINUTE, attempts=None),
    # What a whole mapping meets waits until its set-up is mended: see suspended_rules.py.
    Reason.CONFIGURATION: Policy(first=PROBE_EVERY, cap=HOUR, attempts=None),
    Reason.UNKNOWN: Policy(first=10 * SECOND, cap=10 * MINUTE, attempts=5),
    # Nobody knows what such a code is about: a day is long enough for a person, who is called at the first one.
    Reason.UNKNOWN_CODE: Policy(first=10 * SECOND, cap=MINUTE, attempts=24 * 60),
}
# These wait for another operation or for a person's set-up, or were sent with too many others: they spend none of their attempts.
NOT_COUNTED = frozenset({Reason.PARENT_WAITING, Reason.HALTED, Reason.CONFIGURATION, Reason.TRIGGER_LIMIT})
# When a whole batch comes back with one of these the sink itself is in trouble, and is left alone for a while.
OUTAGE_REASONS = frozenset(
    {reason for reason, policy in POLICIES.items() if policy.waits}
    | {Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.SERVER_ERROR, Reason.UNEXPECTED_ANSWER}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLater:
    """To be tried again after `delay`."""

    reason: Reason
    delay: timedelta
    counts_attempt: bool  # an attempt
    in_doubt: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """A dead letter."""

    reason: Reason
    detail: str = ""
    code: str = ""  # the sink's own word for it


RetryDecision = Deliver | RetryLater | GiveUp


def decide(
    outcome: Outcome,
    *,
    repeat: Repeat,
    attempts: int,
    not_counted: Collection[Reason] = (),
    longest_wait: timedelta = MAX_RETRY_AFTER,
) -> RetryDecision:
    """What follows from one outcome, after so many spent attempts (this one not counted).

    `not_counted` are the reasons that are the whole sink's fault just now and spend no attempt; `longest_wait` is the longest
    wait that
    a sink may ask for.
    """
    if isinstance(outcome, Rejected):
        return GiveUp(reason=outcome.reason, detail=outcome.detail, code=outcome.code)
    if not isinstance(outcome, Retry):
        return Deliver()
    if outcome.in_doubt and repeat is Repeat.NEVER:
        return GiveUp(
            reason=Reason.NEEDS_PERSON,
            detail="it may have been done, and doing it twice would do harm: see at the provider, then release or discard it",
        )
    policy = POLICIES[outcome.reason]
    whole = outcome.reason in not_counted
    if policy.attempts is not None and attempts + 1 >= policy.attempts and not whole:
        detail = f"given up after {attempts + 1} attempts: {outcome.detail}"
        return GiveUp(reason=outcome.reason, detail=detail, code=outcome.code)
    delay = backoff(policy, attempts)
    if whole:
        delay = min(delay, MINUTE)
    if outcome.not_before is not None:
        delay = max(delay, min(outcome.not_before, longest_wait))
    return RetryLater(
        reason=outcome.reason,
        delay=delay,
        counts_attempt=not policy.waits and not whole and outcome.reason not in NOT_COUNTED,
        in_doubt=outcome.in_doubt,
        detail=outcome.detail,
    )


def backoff(policy: Policy, times: int) -> timedelta:
    """The pause after so many failures in a row."""
    return min(policy.cap, policy.first * (1 << min(times, 20)))
