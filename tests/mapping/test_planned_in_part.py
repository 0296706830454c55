"""Events that can only be planned in part: what is still sent if consent is concerned, and what is missing then."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.event import Verdict
from connector.model.operation import RecordWrite, ServiceCommand
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.plan import Known
from connector.model.states import EventState
from connector.pipeline.planning import plan
from connector.pipeline.replan import not_delivered

CONTACT = """
      - upsert: Contact
        key: {K__c: "{msisdn}"}
        create: {LastName: Unknown}
        set:
          Opt_Out__c: true
          Opt_Out_At__c: {from: properties.at, date: {to: datetime}}
          Birthdate: {from: properties.born, date: {}, required: true}"""
LOG = """
      - {upsert: Log__c, key: {Log_Key__c: "{properties.nothing}"}, set: {Action__c: "{action}"}}"""
TASK = """
      - {upsert: Task, key: {Task_Key__c: "{key}"}, set: {Subject: "{action}"}}"""
FILE = "on: strex.delivery_report\nrules:\n  - name: r\n    do:{do}\n    consent: {consent}\n"
NOTHING_KNOWN = Known()
BORN = "1.yaml: r: upsert Contact: Birthdate: a date was expected"
NO_KEY = "1.yaml: r: upsert Log__c: Log_Key__c has no value ({properties.nothing})"


@pytest.fixture
def planned(compiled, event):
    def make(do, *, consent="opt_out", known=NOTHING_KNOWN, **fields):
        rules = compiled(FILE.format(do=do, consent=consent))
        return plan(event(action="Leave", keyword="KATT", short_number="2002", **fields), rules, known)

    return make


def objects(done):
    return [one.object for one in done.operations]


def test_an_opt_out_with_an_unreadable_value_is_planned_with_its_consent_fields_alone(planned):
    done = planned(CONTACT + TASK, properties={"born": "13/1/2000", "at": "2026-01-02T00:00:00Z"})
    contact, task = done.operations
    assert contact.set == {"Opt_Out__c": True, "Opt_Out_At__c": "2026-01-02T00:00:00.000Z"}
    assert (contact.create, contact.consent_only) == ({"LastName": "Unknown"}, True)
    assert task.set == {"Subject": "Leave"}
    assert (done.state, done.reason, done.detail, done.overtakes) == (EventState.DELIVERING, None, BORN, True)
    assert [(one.sink, one.rule, one.reason, one.detail) for one in done.unplanned] == [
        ("sf", "1.yaml: r", Reason.BAD_VALUE, BORN)
    ]


def test_an_event_without_consent_is_planned_as_a_whole_or_not_at_all(planned):
    done = planned(TASK + LOG, consent="none")
    assert (done.state, done.reason, done.detail, done.operations) == (EventState.DEAD, Reason.MISSING_KEY, NO_KEY, ())
    assert done.unplanned == ()


def test_an_unplannable_write_does_not_stop_an_opt_out(planned):
    done = planned(LOG + CONTACT, properties={"born": "2000-01-13"})
    assert objects(done) == ["Contact"]
    assert not done.operations[0].consent_only
    assert [one.detail for one in done.unplanned] == [NO_KEY]


def test_an_unplannable_write_does_not_stop_an_opt_in(planned):
    do = LOG + CONTACT.replace("Opt_Out__c: true", "Opt_Out__c: false")
    done = planned(do, consent="opt_in", properties={"born": "2000-01-13"})
    assert [(one.object, one.clears_flag) for one in done.operations] == [("Contact", True)]


def test_an_unplannable_write_does_not_stop_an_unsubscribe_command(compiled, event):
    text = FILE.format(
        do=LOG + '\n      - {command: unsubscribe, phone: "{msisdn}", short_number: "2002", keyword: KATT}',
        consent="none",
    )
    done = plan(event(action="Leave"), compiled(text), Known())
    assert [type(one) for one in done.operations] == [ServiceCommand]
    assert [one.sink for one in done.unplanned] == ["sf"]


def test_an_unplannable_command_does_not_stop_the_write_of_an_opt_out(planned):
    bad = '\n      - {command: unsubscribe, phone: "{properties.phone}", short_number: "2002", keyword: KATT}'
    done = planned(bad + CONTACT, properties={"born": "2000-01-13"})
    assert objects(done) == ["Contact"]
    assert [(one.sink, one.reason) for one in done.unplanned] == [("strex", Reason.MISSING_KEY)]


def test_an_unplannable_opt_out_names_its_sink(planned):
    done = planned(CONTACT.replace("{msisdn}", "{properties.nothing}"))
    assert (done.state, done.reason, done.operations) == (EventState.DEAD, Reason.MISSING_KEY, ())
    assert [one.sink for one in done.unplanned] == ["sf"]
    assert [one.word for one in done.decisions] == [Verdict.OPT_OUT]


def test_a_flag_that_must_stay_is_not_sent_alone(planned):
    """An opt-out of one of two subscriptions leaves the flag, and then nothing of the write is left."""
    others = tuple(joined(number, keyword) for number, keyword in enumerate(("KATT", "HUND"), 1))
    done = planned(CONTACT, known=Known(ledger=others), properties={"born": "13/1/2000"})
    assert done.operations == ()
    assert (done.state, done.reason) == (EventState.DEAD, Reason.BAD_VALUE)


def test_a_subscription_without_a_name_does_not_stop_commands_for_others(compiled, event):
    do = '\n      - {command: unsubscribe, phone: "{msisdn}", to: active_subscriptions}'
    nameless = joined(2, None)
    known = Known(ledger=(joined(1, "KATT"), nameless))
    done = plan(event(action="Leave"), compiled(FILE.format(do=do, consent="opt_out")), known)
    assert [(one.action, one.keyword) for one in done.operations] == [("unsubscribe", "KATT")]
    (unplanned,) = done.unplanned
    assert (unplanned.sink, unplanned.reason, unplanned.owes) == ("strex", Reason.NEEDS_PERSON, True)


@pytest.mark.parametrize(
    ("do", "concerns_consent"),
    [
        (CONTACT, False),  # the consent fields go out alone
        (CONTACT.replace("{msisdn}", "{properties.nothing}"), True),
        (LOG, False),
        ('\n      - {command: stop, phone: "{properties.no}", short_number: "2002", keyword: KATT}', True),
    ],
)
def test_an_unplanned_operation_is_owed_unless_another_one_carries_the_consent(planned, do, concerns_consent):
    (unplanned,) = planned(do, properties={"born": "13/1/2000"}).unplanned
    assert unplanned.owes is concerns_consent


def joined(number, keyword):
    decision = Decision(
        phone=Phone("+4798079008"),
        word=Verdict.OPT_IN,
        scope=Scope.SUBSCRIPTION,
        subscription=Subscription(
            provider="strex", short_number="2002" if keyword else None, keyword=keyword, keyword_id=str(number)
        ),
        origin="strex",
        occurred_at=None,
    )
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return LedgerEntry(
        id=number, event_id=number, event_key=str(number), phase=Phase.DECIDED, decision=decision, recorded_at=moment
    )


def contact(key="k", *, create=None, consent=(), alone=False, **fields):
    return RecordWrite(
        sink="sf", object="Contact", key_field="K__c", key=key, set=fields, create=create or {}, consent=consent,
        consent_only=alone,
    )  # fmt: skip


UNSUBSCRIBE = ServiceCommand(
    sink="strex", action="unsubscribe", phone=Phone("+4790000001"), short_number="2002", keyword="KATT"
)


def test_delivered_operations_on_the_same_record_leave_nothing_undelivered():
    assert not_delivered([contact(A=1), UNSUBSCRIBE], [UNSUBSCRIBE, contact(A=2)]) == []
    assert not_delivered([replace(UNSUBSCRIBE, known_active=True)], [UNSUBSCRIBE]) == []
    other = replace(UNSUBSCRIBE, keyword="HUND")
    assert not_delivered([contact("other", A=1), other], [contact(A=1), UNSUBSCRIBE]) == [contact("other", A=1), other]


def test_fields_beside_delivered_consent_fields_are_undelivered():
    whole = contact(A=1, Out=True, create={"L": "x"}, consent=("Out",))
    assert not_delivered([whole], [contact(Out=True, consent=("Out",), alone=True)]) == [
        contact(A=1, create={"L": "x"})
    ]


def test_create_fields_left_out_of_a_consent_only_write_are_undelivered():
    whole = contact(A=1, Out=True, create={"L": "x", "F": "y"}, consent=("Out",))
    made = contact(Out=True, create={"L": "x", "A": 1, "F": "y"}, consent=("Out",), alone=True)
    done = made.as_done(created=True, left_out=("A", "F"))
    assert not_delivered([whole], [done]) == [contact(A=1, F="y")]
    there = made.as_done(created=False, left_out=())
    assert not_delivered([whole], [there]) == [contact(A=1, create={"L": "x", "F": "y"})]


def test_a_write_is_reduced_to_its_consent_fields_and_then_to_the_flag():
    whole = contact(A=1, Out=True, At="now", create={"L": "x"}, consent=("Out", "At"))
    first = whole.narrowed()
    assert (first.set, first.create) == ({"Out": True, "At": "now"}, {"L": "x", "A": 1})
    second = first.narrowed()
    assert (second.set, second.create, second.consent) == ({"Out": True}, {"L": "x", "A": 1}, ("Out",))
    assert second.narrowed() is None
    assert contact(A=1).narrowed() is None
    assert contact(Out=True, consent=("Out",)).narrowed() is None
    assert replace(whole, may_create=False).narrowed().create == {}
