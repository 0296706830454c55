"""Suspended rules as a table: which writes are held back, which are not, and what starts and ends a suspension."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from connector.crm.salesforce.traits import TRAITS
from connector.delivery.retry import PROBE_EVERY
from connector.delivery.send import AlsoUpdated, Sent, Written
from connector.delivery.suspended_rules import Filtered, Suspension, filter_suspended, learn
from connector.model.operation import Parent, RecordWrite, ServiceCommand
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SUSPENSION = Suspension(
    sink="crm",
    rule="log.yaml: all",
    object="SMS_Event__c",
    field="Missing__c",
    detail="No such column",
    since=NOW,
    probe_at=NOW + PROBE_EVERY,
)
DUE = replace(SUSPENSION, probe_at=NOW)
COMMAND = ServiceCommand(sink="crm", action="stop", phone=Phone("+4790000001"), short_number="2002", keyword="KATT")


def event(key="e", *, parent=None, rule="log.yaml: all", **fields):
    link = {"Contact__r": Parent("SMS_Key__c", parent)} if parent else {}
    return RecordWrite(
        sink="crm", object="SMS_Event__c", key_field="Event_Key__c", key=key, set={**fields, **link}, rule=rule
    )


def contact(key="k", **more):
    return RecordWrite(
        sink="crm", object="Contact", key_field="SMS_Key__c", key=key, set={"LastName": "x"}, rule="c.yaml: c", **more
    )


BAD = event(missing__C="x")


@pytest.mark.parametrize(
    ("operation", "held"),
    [
        (BAD, True),
        (event(Other__c="x"), False),
        (event(Missing__c="x", rule="log.yaml: another"), False),
        (replace(event(Missing__c="x"), object="Task"), False),
        (replace(event(), create={"Missing__c": "x"}), True),
        (replace(event(Missing__c="x"), key_field="Missing__c", set={}), True),
        (replace(BAD, consent=("missing__C",)), False),
        (replace(BAD, consent=("missing__C",), clears_flag=True), True),
        (COMMAND, False),
    ],
)
def test_only_writes_with_the_suspended_field_are_held_back_and_no_opt_out(operation, held):
    batch = filter_suspended([operation], [SUSPENSION], NOW, TRAITS)
    assert bool(batch.held_back) is held
    assert list(batch.to_send) == ([] if held else [operation])


def test_a_missing_object_suspends_the_whole_rule():
    batch = filter_suspended([event(), contact()], [replace(SUSPENSION, field="")], NOW, TRAITS)
    assert set(batch.held_back) == {0}


def test_a_suspended_field_of_the_parent_does_not_hold_back_the_same_field_of_the_record():
    suspension = replace(SUSPENSION, field="Contact__r.SMS_Key__c")
    batch = filter_suspended([event("a", parent="k"), event("b", SMS_Key__c="x")], [suspension], NOW, TRAITS)
    assert set(batch.held_back) == {0}


def test_one_operation_is_sent_as_a_probe_when_a_suspension_is_due():
    batch = filter_suspended([event(str(n), Missing__c="x") for n in range(5)], [DUE], NOW, TRAITS)
    assert set(batch.held_back) == {1, 2, 3, 4}


def test_a_suspension_is_probed_at_once_after_the_clock_is_set_back():
    assert not filter_suspended([BAD], [replace(SUSPENSION, probe_at=NOW + timedelta(days=1))], NOW, TRAITS).held_back


def test_a_child_of_a_held_back_record_is_held_back_too():
    parent = replace(contact("K"), rule=SUSPENSION.rule, set={"Missing__c": 1})
    suspension = replace(SUSPENSION, object="Contact")
    child, other = event(parent="k"), event("other", parent="z")
    batch = filter_suspended([parent, child, other], [suspension], NOW, TRAITS)
    assert {place: one.reason for place, one in batch.held_back.items()} == {
        0: Reason.CONFIGURATION,
        1: Reason.PARENT_WAITING,
    }


def test_outcomes_of_sent_and_held_back_operations_are_returned_in_order():
    batch = filter_suspended([BAD, contact("a"), event(Missing__c="y"), contact("b")], [SUSPENSION], NOW, TRAITS)
    done = Delivered(record_id="003")
    sent = batch.with_suspended(
        Sent(
            [done, Retry(reason=Reason.ROW_LOCKED)],
            [Written(0, contact("a"), done)],
            [AlsoUpdated(1, contact("b"), ())],
        )
    )
    assert [getattr(one, "reason", None) for one in sent.outcomes] == [
        Reason.CONFIGURATION,
        None,
        Reason.CONFIGURATION,
        Reason.ROW_LOCKED,
    ]
    assert [one.index for one in sent.written] == [1]
    assert [one.index for one in sent.also_updated] == [3]


def refused(field="Missing__c"):
    return Rejected(reason=Reason.CONFIGURATION, detail="No such column", code="INVALID_FIELD", field=field)


def learned(operations, outcomes, suspensions=()):
    return learn("crm", Filtered(operations, operations, suspensions=suspensions), outcomes, NOW, TRAITS)


def test_a_thousand_refusals_begin_one_suspension():
    (suspension,) = learned([BAD] * 1000, [refused()] * 1000).began
    assert suspension == SUSPENSION


@pytest.mark.parametrize(
    ("operation", "field", "named"),
    [
        (BAD, "Missing__c", "Missing__c"),
        (BAD, "Foreign__c", ""),
        (BAD, "", ""),
        (event(parent="k"), "Contact__c", "Contact__c"),
        (event(parent="k"), "SMS_Key__c", "Contact__r.SMS_Key__c"),
    ],
)
def test_a_suspension_names_its_field_as_the_rule_writes_it(operation, field, named):
    (suspension,) = learned([operation], [refused(field)]).began
    assert suspension.field == named
    assert suspension.concerns(operation, TRAITS)


def test_a_suspension_lasts_while_probes_fail_and_ends_with_a_success():
    again = learned([BAD], [refused()], [DUE])
    assert (again.began, again.again, again.ended) == ((), (SUSPENSION,), ())
    assert learned([BAD], [Delivered()], [SUSPENSION]).ended == (SUSPENSION,)
    assert not learned([event(Other__c=1)], [Delivered()], [SUSPENSION])
    assert not learned([BAD], [Retry(reason=Reason.UNAVAILABLE)], [SUSPENSION])
    assert not learned([BAD, BAD], [Delivered(), refused()], [SUSPENSION]).ended


def test_a_refused_command_suspends_no_rule():
    assert not learned([COMMAND], [refused()])


def test_an_alarm_names_rule_field_and_cure_and_does_not_quote_the_crm():
    alarm = SUSPENSION.alarm()
    assert "log.yaml: all" in alarm.message
    assert "SMS_Event__c.Missing__c" in alarm.message
    assert SUSPENSION.detail not in alarm.message
    assert "connector reload" in alarm.cure
    assert (alarm.kind, alarm.about) == (SUSPENSION.cleared().kind, SUSPENSION.cleared().about)


def opt_out(rule=SUSPENSION.rule, **fields):
    return RecordWrite(
        sink="crm",
        object="SMS_Event__c",
        key_field="Event_Key__c",
        key="e",
        set={"Out__c": True, "Out_At__c": "now", **fields},
        consent=("Out__c", "Out_At__c"),
        rule=rule,
    )


@pytest.mark.parametrize("clears", [False, True])
def test_consent_fields_of_a_held_back_write_are_sent_alone(clears):
    write = replace(opt_out(Missing__c="x"), clears_flag=clears)
    batch = filter_suspended([BAD, write], [SUSPENSION], NOW, TRAITS)
    (alone,) = batch.to_send
    assert (alone.set, alone.consent_only, alone.clears_flag) == ({"Out__c": True, "Out_At__c": "now"}, True, clears)
    done = Delivered(record_id="a0S")
    sent = batch.with_suspended(Sent([done], [Written(0, alone, done)]))
    assert [one.reason for one in sent.outcomes] == [Reason.CONFIGURATION, Reason.CONFIGURATION]
    assert [(one.index, one.write) for one in sent.consent_sent_alone] == [(1, alone)]
    assert [one.index for one in sent.written] == [1]


def test_a_flag_is_sent_alone_if_another_consent_field_is_suspended():
    (alone,) = filter_suspended([opt_out(Other__c="x")], [replace(SUSPENSION, field="Out_At__c")], NOW, TRAITS).to_send
    assert alone.set == {"Out__c": True}


def test_the_outcome_says_that_the_consent_fields_alone_were_refused_too():
    batch = filter_suspended([opt_out(Missing__c="x")], [SUSPENSION], NOW, TRAITS)
    (outcome,) = batch.with_suspended(Sent([Rejected(reason=Reason.VALIDATION, detail="never")], [])).outcomes
    assert outcome.detail == "No such column; the consent fields alone were refused too: never"
    assert batch.with_suspended(Sent([Retry(reason=Reason.ROW_LOCKED)], [])).outcomes == [
        Retry(reason=Reason.ROW_LOCKED)
    ]


def test_a_child_with_consent_fields_does_not_wait_for_its_held_back_parent():
    parent = replace(contact("K"), rule=SUSPENSION.rule, set={"Missing__c": 1})
    child = replace(opt_out(rule="c.yaml: c"), set={"Out__c": True, "Contact__r": Parent("SMS_Key__c", "K")})
    batch = filter_suspended([parent, child], [replace(SUSPENSION, object="Contact")], NOW, TRAITS)
    assert [one.set for one in batch.to_send] == [{"Out__c": True}]


def test_a_consent_only_write_is_not_held_back_for_a_create_field():
    alone = replace(opt_out(), create={"Missing__c": "x"}, consent_only=True)
    batch = filter_suspended([alone], [SUSPENSION], NOW, TRAITS)
    assert list(batch.to_send) == [alone]
    # It names the field all the same where the CRM refuses it.
    (suspension,) = learned([alone], [refused()]).began
    assert suspension.field == "Missing__c"
