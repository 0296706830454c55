from datetime import timedelta

import pytest
from msgspec.structs import replace

from connector.delivery.conclude import Attempt, conclude, trouble
from connector.delivery.retry import INNOCENT, MOST_PATIENCE, POLICIES, SINK_TROUBLE
from connector.model.lifecycle import UnitState
from connector.model.operation import RecordWrite, Repeat, ServiceCommand
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone

WRITE = RecordWrite(sink="sf", object="Contact", key_field="K__c", key="a")
MOST = timedelta(minutes=15)
DONE = Delivered()
BAD = Rejected(reason=Reason.VALIDATION, detail="too young")
ORPHAN = Rejected(reason=Reason.PARENT_FAILED, detail="its parent was refused")
LOCKED = Retry(reason=Reason.ROW_LOCKED, detail="locked")
BEHIND = Retry(reason=Reason.PARENT_WAITING, detail="its parent waits")
HALTED = Retry(reason=Reason.HALTED)
BUSY = Retry(reason=Reason.UNAVAILABLE, detail="503")
SLOW = Retry(reason=Reason.TIMEOUT, in_doubt=True)


class Charge(RecordWrite):
    """An operation that must not be done twice."""

    repeat = Repeat.NEVER


CHARGE = Charge(sink="sf", object="Charge", key_field="K__c", key="c")


def attempts(*outcomes):
    return [Attempt(index, WRITE, outcome) for index, outcome in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("outcomes", "state", "reason", "done"),
    [
        ((), UnitState.DELIVERED, None, ()),
        ((DONE,), UnitState.DELIVERED, None, (0,)),
        ((DONE, DONE), UnitState.DELIVERED, None, (0, 1)),
        ((BAD,), UnitState.DEAD, Reason.VALIDATION, ()),
        ((DONE, BAD), UnitState.DEAD, Reason.VALIDATION, (0,)),
        ((BAD, DONE), UnitState.DEAD, Reason.VALIDATION, (1,)),
        ((BAD, ORPHAN), UnitState.DEAD, Reason.VALIDATION, ()),
        ((ORPHAN, BAD), UnitState.DEAD, Reason.VALIDATION, ()),
        ((DONE, ORPHAN), UnitState.DEAD, Reason.PARENT_FAILED, (0,)),
        ((LOCKED,), UnitState.RESTING, Reason.ROW_LOCKED, ()),
        ((DONE, LOCKED), UnitState.RESTING, Reason.ROW_LOCKED, (0,)),
        ((BEHIND, LOCKED), UnitState.RESTING, Reason.ROW_LOCKED, ()),
        ((HALTED, BEHIND, LOCKED), UnitState.RESTING, Reason.ROW_LOCKED, ()),
        ((BEHIND,), UnitState.RESTING, Reason.PARENT_WAITING, ()),
        ((BAD, LOCKED), UnitState.RESTING, Reason.ROW_LOCKED, ()),
        ((DONE, BAD, BEHIND), UnitState.RESTING, Reason.PARENT_WAITING, (0,)),
    ],
)
def test_a_unit_is_judged_by_its_worst_operation(outcomes, state, reason, done):
    end = conclude(attempts(*outcomes), 0)
    assert (end.state, end.reason, end.done) == (state, reason, done)


def test_the_detail_is_that_of_the_telling_operation():
    assert conclude(attempts(ORPHAN, BAD), 0).detail == "too young"
    assert conclude(attempts(BEHIND, LOCKED), 0).detail == "locked"
    assert conclude(attempts(HALTED), 0).detail is None


def test_places_of_what_is_done_are_those_in_the_unit():
    later = [Attempt(2, WRITE, DONE), Attempt(5, WRITE, LOCKED), Attempt(7, WRITE, DONE)]
    assert conclude(later, 0).done == (2, 7)


def test_a_void_operation_is_done_whatever_stands_beside_it():
    void = Attempt(0, None, DONE)
    assert conclude([void], 0).state is UnitState.DELIVERED
    assert conclude([void, Attempt(1, WRITE, LOCKED)], 0).done == (0,)
    assert conclude([Attempt(0, None, BAD)], 0).state is UnitState.DELIVERED


def test_what_is_worth_telling_of_a_delivery_is_kept():
    end = conclude(attempts(Delivered(detail="was not active"), DONE, Delivered(detail="flag left")), 0)
    assert end.detail == "was not active; flag left"
    assert conclude(attempts(DONE), 0).detail is None


def test_a_unit_rests_as_long_as_its_most_patient_operation():
    end = conclude(attempts(LOCKED, Retry(reason=Reason.RATE_LIMITED, not_before=timedelta(hours=1)), BEHIND), 0)
    assert end.delay == timedelta(hours=1)


def test_what_waits_for_the_set_up_holds_up_nothing_that_is_likely_to_go_through_soon():
    held = Retry(reason=Reason.CONFIGURATION, not_before=timedelta(hours=1))
    end = conclude(attempts(held, LOCKED), 0)
    assert (end.state, end.reason, end.spends) == (UnitState.RESTING, Reason.ROW_LOCKED, True)
    assert end.delay < timedelta(minutes=1)
    alone = conclude(attempts(held, BEHIND, DONE), 0)
    assert (alone.reason, alone.delay, alone.spends, alone.done) == (
        Reason.CONFIGURATION,
        timedelta(hours=1),
        False,
        (2,),
    )


def test_a_fault_of_the_set_up_rests_however_often_it_was_tried_and_a_command_is_dead():
    refused = Rejected(reason=Reason.CONFIGURATION, detail="No such column", field="X__c")
    assert conclude(attempts(refused), 1000).state is UnitState.RESTING
    command = ServiceCommand(sink="x", action="stop", phone=Phone("+4790000001"), short_number="2002", keyword="KATT")
    assert conclude([Attempt(0, command, refused)], 0).state is UnitState.DEAD


def test_a_dead_letter_names_its_rule_and_the_code():
    writes = [replace(WRITE, rule="a.yaml: a"), replace(WRITE, rule="b.yaml: b")]
    bad = replace(BAD, code="FIELD_CUSTOM_VALIDATION_EXCEPTION")
    end = conclude([Attempt(0, writes[0], ORPHAN), Attempt(1, writes[1], bad)], 0)
    assert (end.rule, end.code) == ("b.yaml: b", "FIELD_CUSTOM_VALIDATION_EXCEPTION")


def test_the_gaps_grow_with_the_attempts():
    delays = [conclude(attempts(LOCKED), spent).delay for spent in range(5)]
    assert delays == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16)]


@pytest.mark.parametrize(
    ("outcomes", "spends"),
    [
        ((LOCKED,), True),
        ((LOCKED, BEHIND), True),
        ((BEHIND,), False),
        ((HALTED, BEHIND), False),
        ((BUSY,), False),
        ((BUSY, BEHIND), False),
    ],
)
def test_waiting_for_the_sink_or_for_another_spends_no_attempt(outcomes, spends):
    assert conclude(attempts(*outcomes), 0).spends is spends


def test_a_unit_is_in_doubt_where_one_of_its_operations_is():
    assert conclude(attempts(LOCKED, SLOW), 0).in_doubt
    assert not conclude(attempts(LOCKED, DONE), 0).in_doubt


def test_a_unit_is_dead_after_the_last_attempt():
    last = POLICIES[Reason.ROW_LOCKED].attempts - 1
    assert conclude(attempts(LOCKED), last - 1).state is UnitState.RESTING
    end = conclude(attempts(DONE, LOCKED, ORPHAN), last)
    assert (end.state, end.reason, end.done) == (UnitState.DEAD, Reason.ROW_LOCKED, (0,))


@pytest.mark.parametrize("beside", [LOCKED, BUSY, BAD, DONE, BEHIND])
def test_what_may_be_done_already_and_must_not_be_twice_waits_for_a_person(beside):
    end = conclude([*attempts(beside), Attempt(1, CHARGE, SLOW)], 0)
    assert (end.state, end.reason) == (UnitState.DEAD, Reason.NEEDS_PERSON)


TROUBLED = sorted(SINK_TROUBLE)


@pytest.mark.parametrize("reason", TROUBLED)
def test_a_batch_in_which_all_failed_for_the_sinks_sake_is_trouble(reason):
    found = trouble([Retry(reason=reason, detail="words")] * 3, 0)
    assert found == (reason, "words", POLICIES[reason].first)


@pytest.mark.parametrize("fine", [DONE, BAD, LOCKED, ORPHAN])
def test_one_operation_that_got_its_answer_proves_the_sink_well(fine):
    assert trouble([BUSY, fine], 9) is None
    assert trouble([fine, BUSY], 9) is None


@pytest.mark.parametrize("reason", sorted(INNOCENT))
def test_operations_that_only_wait_for_others_prove_nothing(reason):
    waiting = Retry(reason=reason)
    assert trouble([BUSY, waiting], 0)[0] is Reason.UNAVAILABLE
    assert trouble([waiting, BUSY, waiting], 0)[0] is Reason.UNAVAILABLE
    assert trouble([waiting], 0) is None


def test_an_empty_batch_is_no_trouble():
    assert trouble([], 5) is None


def test_the_pauses_grow_and_end_at_a_quarter_of_an_hour():
    pauses = [trouble([SLOW], failures)[2] for failures in range(12)]
    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (5, 10, 20, 40)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == MOST


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (timedelta(seconds=1), POLICIES[Reason.UNAVAILABLE].first),
        (timedelta(minutes=14), timedelta(minutes=14)),
        (timedelta(hours=3), MOST),
        (MOST_PATIENCE * 9, MOST),
    ],
)
def test_the_patience_that_a_sink_asks_for_is_given_up_to_a_quarter_of_an_hour(asked, given):
    assert trouble([Retry(reason=Reason.UNAVAILABLE, not_before=asked)], 0)[2] == given


def test_of_several_faults_the_longest_pause_counts_wherever_it_stands():
    patient = Retry(reason=Reason.RATE_LIMITED, detail="slow down", not_before=timedelta(minutes=10))
    for batch in ([patient, BUSY], [BUSY, patient], [BUSY, patient, BUSY]):
        assert trouble(batch, 0) == (Reason.RATE_LIMITED, "slow down", timedelta(minutes=10))
