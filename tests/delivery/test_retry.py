from datetime import timedelta

import pytest

from connector.delivery.retry import MAX_REQUESTED_PAUSE, POLICIES, Deliver, GiveUp, RetryLater, decide
from connector.model.operation import Repeat
from connector.model.outcome import Delivered, Reason, Rejected, Retry

SINGLE = {
    Reason.FIELD_REQUIRED,
    Reason.VALIDATION,
    Reason.TOO_LONG,
    Reason.PICKLIST,
    Reason.BAD_VALUE,
    Reason.DUPLICATE_RECORD,
    Reason.AMBIGUOUS_KEY,
    Reason.RECORD_MISSING,
    Reason.RECORD_DELETED,
    Reason.NO_ACCESS,
    Reason.PARENT_FAILED,
    Reason.BAD_COMMAND,
    Reason.PROVIDER_DISAGREES,
    Reason.PRICE_NOT_CHANGED,
    Reason.MISSING_KEY,
    Reason.NEEDS_PERSON,
    Reason.UNKNOWN_NAME,
    Reason.BUG,
}


def test_every_reason_is_either_repeated_or_final():
    assert set(POLICIES) | SINGLE == set(Reason)
    assert not set(POLICIES) & SINGLE


def test_a_delivered_operation_is_never_retried():
    assert decide(Delivered(), repeat=Repeat.NEVER, attempts=99) == Deliver()


@pytest.mark.parametrize("reason", sorted(SINGLE))
def test_a_rejection_is_a_dead_letter_at_once(reason):
    assert decide(Rejected(reason=reason, detail="x"), repeat=Repeat.SAFE, attempts=0) == GiveUp(
        reason=reason, detail="x"
    )


@pytest.mark.parametrize("reason", sorted(POLICIES))
def test_retry_delays_grow_up_to_a_cap(reason):
    delays = []
    for attempts in range(4):
        again = decide(Retry(reason=reason), repeat=Repeat.SAFE, attempts=attempts)
        assert isinstance(again, RetryLater)
        delays.append(again.delay)
    assert delays == sorted(delays)
    assert delays[0] < delays[-1] <= POLICIES[reason].cap


@pytest.mark.parametrize("reason", [Reason.CREDENTIALS, Reason.QUOTA_EXHAUSTED, Reason.UNAVAILABLE])
def test_waiting_for_the_sink_counts_no_attempt_and_is_retried_for_ever(reason):
    again = decide(Retry(reason=reason), repeat=Repeat.SAFE, attempts=10_000)
    assert isinstance(again, RetryLater)
    assert not again.counts_attempt


def test_a_lasting_fault_of_one_record_becomes_a_dead_letter():
    last = POLICIES[Reason.ROW_LOCKED].attempts - 1
    assert isinstance(decide(Retry(reason=Reason.ROW_LOCKED), repeat=Repeat.SAFE, attempts=last - 1), RetryLater)
    dead = decide(Retry(reason=Reason.ROW_LOCKED, detail="lock"), repeat=Repeat.SAFE, attempts=last)
    assert dead == GiveUp(reason=Reason.ROW_LOCKED, detail=f"given up after {last + 1} attempts: lock")


def test_a_sink_is_paused_for_the_time_that_it_asks_for_up_to_a_limit():
    asked = decide(Retry(reason=Reason.RATE_LIMITED, not_before=timedelta(hours=1)), repeat=Repeat.SAFE, attempts=0)
    assert asked.delay == timedelta(hours=1)
    endless = decide(Retry(reason=Reason.RATE_LIMITED, not_before=timedelta(days=9)), repeat=Repeat.SAFE, attempts=0)
    assert endless.delay == MAX_REQUESTED_PAUSE


def test_a_charge_in_doubt_is_for_a_person_and_other_operations_are_repeated():
    doubt = Retry(reason=Reason.TIMEOUT, in_doubt=True)
    assert decide(doubt, repeat=Repeat.NEVER, attempts=0).reason is Reason.NEEDS_PERSON
    assert isinstance(decide(doubt, repeat=Repeat.HARMLESS, attempts=0), RetryLater)
    refused = Retry(reason=Reason.UNAVAILABLE)
    assert isinstance(decide(refused, repeat=Repeat.NEVER, attempts=0), RetryLater)
