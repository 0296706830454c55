from datetime import timedelta

import pytest
from msgspec.structs import replace

from connector.delivery.outcome_policy import Attempt, conclude, not_counted, sink_outage, suspected
from connector.delivery.retry import NOT_COUNTED, OUTAGE_REASONS, POLICIES
from connector.model.operation import RecordWrite, Repeat, ServiceCommand
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.model.states import UnitState

WRITE = RecordWrite(sink="sf", object="Contact", key_field="K__c", key="a")
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
def test_a_unit_gets_the_state_of_its_worst_operation(outcomes, state, reason, done):
    end = conclude(attempts(*outcomes), 0)
    assert (end.state, end.reason, end.done) == (state, reason, done)


def test_the_detail_of_a_unit_is_that_of_its_deciding_operation():
    assert conclude(attempts(ORPHAN, BAD), 0).detail == "too young"
    assert conclude(attempts(BEHIND, LOCKED), 0).detail == "locked"
    assert conclude(attempts(HALTED), 0).detail is None


def test_indexes_of_done_operations_count_from_the_start_of_the_unit():
    later = [Attempt(2, WRITE, DONE), Attempt(5, WRITE, LOCKED), Attempt(7, WRITE, DONE)]
    assert conclude(later, 0).done == (2, 7)


def test_a_superseded_operation_counts_as_done():
    superseded = Attempt(0, None, DONE)
    assert conclude([superseded], 0).state is UnitState.DELIVERED
    assert conclude([superseded, Attempt(1, WRITE, LOCKED)], 0).done == (0,)
    assert conclude([Attempt(0, None, BAD)], 0).state is UnitState.DELIVERED


def test_the_details_of_deliveries_are_joined():
    end = conclude(attempts(Delivered(detail="was not active"), DONE, Delivered(detail="flag left")), 0)
    assert end.detail == "was not active; flag left"
    assert conclude(attempts(DONE), 0).detail is None


def test_a_unit_rests_as_long_as_the_operation_with_the_longest_delay():
    end = conclude(attempts(LOCKED, Retry(reason=Reason.RATE_LIMITED, not_before=timedelta(hours=1)), BEHIND), 0)
    assert end.delay == timedelta(hours=1)


def test_an_operation_that_waits_for_the_config_does_not_delay_a_retry_of_another():
    held = Retry(reason=Reason.CONFIGURATION, not_before=timedelta(hours=1))
    end = conclude(attempts(held, LOCKED), 0)
    assert (end.state, end.reason, end.counts_attempt) == (UnitState.RESTING, Reason.ROW_LOCKED, True)
    assert end.delay < timedelta(minutes=1)
    alone = conclude(attempts(held, BEHIND, DONE), 0)
    assert (alone.reason, alone.delay, alone.counts_attempt, alone.done) == (
        Reason.CONFIGURATION,
        timedelta(hours=1),
        False,
        (2,),
    )


def test_a_configuration_error_makes_a_write_rest_and_a_command_a_dead_letter():
    refused = Rejected(reason=Reason.CONFIGURATION, detail="No such column", field="X__c")
    assert conclude(attempts(refused), 1000).state is UnitState.RESTING
    command = ServiceCommand(sink="x", action="stop", phone=Phone("+4790000001"), short_number="2002", keyword="KATT")
    assert conclude([Attempt(0, command, refused)], 0).state is UnitState.DEAD


def test_a_dead_letter_names_its_rule_and_the_code():
    writes = [replace(WRITE, rule="a.yaml: a"), replace(WRITE, rule="b.yaml: b")]
    bad = replace(BAD, code="FIELD_CUSTOM_VALIDATION_EXCEPTION")
    end = conclude([Attempt(0, writes[0], ORPHAN), Attempt(1, writes[1], bad)], 0)
    assert (end.rule, end.code) == ("b.yaml: b", "FIELD_CUSTOM_VALIDATION_EXCEPTION")


def test_the_delays_grow_with_the_attempts():
    delays = [conclude(attempts(LOCKED), spent).delay for spent in range(5)]
    assert delays == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16)]


@pytest.mark.parametrize(
    ("outcomes", "counts_attempt"),
    [
        ((LOCKED,), True),
        ((LOCKED, BEHIND), True),
        ((BEHIND,), False),
        ((HALTED, BEHIND), False),
        ((BUSY,), False),
        ((BUSY, BEHIND), False),
    ],
)
def test_waiting_for_the_sink_or_another_operation_counts_no_attempt(outcomes, counts_attempt):
    assert conclude(attempts(*outcomes), 0).counts_attempt is counts_attempt


def test_a_unit_is_in_doubt_if_one_of_its_operations_is():
    assert conclude(attempts(LOCKED, SLOW), 0).in_doubt
    assert not conclude(attempts(LOCKED, DONE), 0).in_doubt


def test_a_unit_is_a_dead_letter_after_the_last_attempt():
    last = POLICIES[Reason.ROW_LOCKED].attempts - 1
    assert conclude(attempts(LOCKED), last - 1).state is UnitState.RESTING
    end = conclude(attempts(DONE, LOCKED, ORPHAN), last)
    assert (end.state, end.reason, end.done) == (UnitState.DEAD, Reason.ROW_LOCKED, (0,))


@pytest.mark.parametrize("beside", [LOCKED, BUSY, BAD, DONE, BEHIND])
def test_a_charge_in_doubt_waits_for_a_person(beside):
    end = conclude([*attempts(beside), Attempt(1, CHARGE, SLOW)], 0)
    assert (end.state, end.reason) == (UnitState.DEAD, Reason.NEEDS_PERSON)


TROUBLED = sorted(OUTAGE_REASONS)
UNKNOWN = Retry(reason=Reason.UNKNOWN_CODE, code="NEW_CODE", cure="do this")


def writes(*keys):
    return [replace(WRITE, key=key) for key in keys]


def fault_of(*outcomes, **more):
    return sink_outage(writes(*map(str, range(len(outcomes)))), outcomes, **more)


@pytest.mark.parametrize("reason", TROUBLED)
def test_a_batch_in_which_all_failed_because_of_the_sink_is_an_outage(reason):
    one = Retry(reason=reason, detail="words")
    assert fault_of(one, one, one) == one


@pytest.mark.parametrize("fine", [DONE, BAD, LOCKED, ORPHAN])
def test_one_answered_operation_shows_that_the_sink_works(fine):
    assert fault_of(BUSY, fine) is None
    assert fault_of(fine, BUSY) is None


@pytest.mark.parametrize("reason", sorted(NOT_COUNTED))
def test_operations_that_wait_for_others_do_not_show_whether_the_sink_works(reason):
    waiting = Retry(reason=reason)
    assert fault_of(BUSY, waiting) == BUSY
    assert fault_of(waiting, BUSY, waiting) == BUSY
    assert fault_of(waiting) is None


def test_an_empty_batch_is_not_an_outage():
    assert fault_of() is None


def test_an_outage_has_the_longest_pause_of_the_batch():
    patient = Retry(reason=Reason.RATE_LIMITED, detail="slow down", not_before=timedelta(minutes=10))
    for batch in ([patient, BUSY], [BUSY, patient], [BUSY, patient, BUSY]):
        assert fault_of(*batch) == patient


def test_an_unknown_code_of_two_records_is_an_outage_of_the_sink():
    fault = fault_of(UNKNOWN, BEHIND, UNKNOWN)
    assert (fault.reason, fault.code, fault.cure) == (Reason.SINK_REFUSES, "NEW_CODE", "do this")


def test_an_unknown_code_of_one_record_is_not_an_outage():
    assert fault_of(UNKNOWN) is None
    assert fault_of(UNKNOWN, BEHIND) is None
    assert sink_outage(writes("a", "a"), [UNKNOWN, UNKNOWN]) is None
    assert fault_of(UNKNOWN, DONE) is None
    assert fault_of(UNKNOWN, UNKNOWN, BAD) is None


def test_a_second_batch_in_which_all_is_locked_is_an_outage():
    assert fault_of(LOCKED, BEHIND, LOCKED, locked_again=True) == LOCKED
    assert fault_of(LOCKED, LOCKED) is None
    assert fault_of(LOCKED, DONE, locked_again=True) is None
    assert fault_of(BEHIND, locked_again=True) is None
    assert fault_of(LOCKED, cause=LOCKED) == LOCKED
    assert fault_of(LOCKED, cause=BUSY) is None
    end = conclude(attempts(LOCKED), 10_000, not_counted=not_counted(LOCKED, None))
    assert (end.state, end.counts_attempt) == (UnitState.RESTING, False)


def test_different_unknown_codes_are_not_an_outage():
    assert fault_of(UNKNOWN, replace(UNKNOWN, code="ANOTHER_CODE")) is None


def test_the_same_unknown_code_in_two_batches_in_a_row_is_an_outage():
    (suspect,) = suspected(writes("a"), [UNKNOWN])
    assert sink_outage(writes("b"), [UNKNOWN], suspect=suspect).reason is Reason.SINK_REFUSES
    assert sink_outage(writes("a"), [UNKNOWN], suspect=suspect) is None
    assert sink_outage(writes("b"), [replace(UNKNOWN, code="ANOTHER_CODE")], suspect=suspect) is None


def test_a_probe_refused_with_the_code_of_the_outage_continues_the_outage():
    cause = fault_of(UNKNOWN, UNKNOWN)
    assert fault_of(UNKNOWN, cause=cause).reason is Reason.SINK_REFUSES
    assert fault_of(replace(UNKNOWN, code="ANOTHER_CODE"), cause=cause) is None


def test_an_outage_of_the_sink_counts_no_attempt_and_is_retried_for_ever():
    for fault, cause in ((UNKNOWN, None), (BUSY, None), (SLOW, BUSY), (Retry(reason=Reason.SERVER_ERROR), SLOW)):
        end = conclude(attempts(fault), 10_000, not_counted=not_counted(fault, cause))
        assert (end.state, end.counts_attempt) == (UnitState.RESTING, False), fault
        assert end.delay <= timedelta(minutes=1)


def test_the_first_failure_of_a_whole_batch_counts_an_attempt():
    assert conclude(attempts(SLOW), 0, not_counted=not_counted(SLOW, None)).counts_attempt
    assert conclude(attempts(SLOW), 0, not_counted=not_counted(None, BUSY)).counts_attempt


def test_an_opt_out_waits_at_most_a_minute_if_the_sink_asks_for_a_longer_pause():
    asked = Retry(reason=Reason.RATE_LIMITED, not_before=timedelta(minutes=15))
    assert conclude(attempts(asked), 0, urgent=True).delay == timedelta(minutes=1)
    assert conclude(attempts(asked), 0).delay == timedelta(minutes=15)
