from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connector.mapping.language.expectations import Expect, compare, same
from connector.mapping.language.test_cases import NOW, build_case
from connector.model.consent import Decision, Scope, Subscription
from connector.model.event import Verdict
from connector.model.operation import Parent, RecordWrite, ServiceCommand
from connector.model.phone import Phone
from connector.model.plan import Plan, RuleTrace
from connector.model.states import EventState

CHANGE = """
on: sf.change
feed: {{object: Contact, fields: [MobilePhone, Opt_Out__c]}}
rules: [{{name: a, ignore: true}}]
tests: [{{name: t, {case}, expect: {{}}}}]
"""
REPORT = "on: [strex.delivery_report, strex.message]\nrules: [{{name: a, ignore: true}}]\ntests: [{{name: t, {case}, expect: {{}}}}]"


@pytest.fixture
def built(compiled):
    def make(text: str, case: str):
        file = compiled(text.format(case=case)).files[0]
        return build_case(file.cases[0], file.frame)

    return make


def test_an_event_of_a_test_case_gets_default_values(built):
    event, known = built(REPORT, 'event: {action: Subscribe, msisdn: "+4798079008", price: 200, short_number: 2002}')
    assert (event.provider, event.shape, event.action) == ("strex", "delivery_report", "Subscribe")
    assert event.msisdn == Phone("+4798079008")
    assert event.price == Decimal(200)
    assert event.short_number == "2002"
    assert event.received_at == event.occurred_at == NOW
    assert event.verdict is Verdict.NONE
    assert known.ledger == ()


def test_a_test_case_may_name_shape_and_time_of_its_event(built):
    event, _ = built(REPORT, 'event: {shape: message, occurred_at: "2026-02-03T04:05:06"}')
    assert (event.shape, event.occurred_at) == ("message", datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC))


def test_given_subscriptions_become_the_ledger(built):
    _, known = built(
        REPORT,
        "given: {subscriptions: [{short_number: 2002, keyword: KATT}, {keyword: HUND, active: false}]}, "
        'event: {msisdn: "+4798079008"}',
    )
    assert [(entry.decision.word, entry.decision.subscription) for entry in known.ledger] == [
        (Verdict.OPT_IN, Subscription(provider="strex", short_number="2002", keyword="KATT")),
        (Verdict.OPT_OUT, Subscription(provider="strex", keyword="HUND")),
    ]
    assert all(entry.decision.phone == Phone("+4798079008") for entry in known.ledger)


def test_a_change_is_read_as_the_feed_would_read_it(built):
    case = 'given: {subscriptions: [{keyword: KATT}]}, event: {record: {MobilePhone: "+4798079008", Opt_Out__c: true}}'
    event, known = built(CHANGE, case)
    assert (event.provider, event.shape, event.action, event.object) == ("sf", "change", "change", "Contact")
    assert event.changed == ("MobilePhone", "Opt_Out__c")
    assert event.verdict is Verdict.OPT_OUT
    assert event.msisdn == Phone("+4798079008")
    assert event.record["Id"]
    assert known.ledger[0].decision.subscription.provider == "strex"


def test_a_change_of_another_field_says_nothing_about_consent(built):
    event, _ = built(CHANGE, "event: {record: {Opt_Out__c: true, MobilePhone: x}, changed: [MobilePhone]}")
    assert event.verdict is Verdict.NONE


@pytest.mark.parametrize(("flag", "out"), [("true", True), ("false", False)])
def test_another_record_with_the_number_may_have_an_opt_out(built, flag, out):
    case = (
        f'given: {{records: [{{MobilePhone: "+4798079008", Opt_Out__c: {flag}}}]}}, '
        'event: {record: {MobilePhone: "+4798079008"}}'
    )
    assert built(CHANGE, case)[1].others_opted_out is out


WRITE = RecordWrite(
    sink="sf",
    object="Contact",
    key_field="Key__c",
    key="+4798079008",
    set={"Amount": 200.0, "Name": "Kari", "Flag": True, "Empty": None, "Owner__r": Parent("K__c", "1", "User")},
    create={"LastName": "Ås"},
)
COMMAND = ServiceCommand(sink="strex", action="stop", phone=Phone("+4798079008"), short_number="2002", keyword="KATT")


def plan(*operations, **fields) -> Plan:
    trace = (
        RuleTrace(file="f", line=1, rule="other", matched=False),
        RuleTrace(file="f", line=2, rule="one", matched=True),
    )
    return Plan(**{"state": EventState.DELIVERING, "operations": operations, "trace": trace, **fields})


def differences(made: Plan, **expected) -> list[str]:
    return compare(Expect.model_validate(expected), made, {})


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"rule": "one"},
        {"state": "delivering", "ignored": False},
        {"operations": [{"upsert": "Contact"}]},
        {"operations": [{"upsert": "Contact", "crm": "sf", "key": {"Key__c": "+4798079008"}}]},
        {"operations": [{"upsert": "Contact", "set": {"Amount": 200, "Name": "Kari", "Flag": True, "Empty": None}}]},
        {"operations": [{"upsert": "Contact", "set": {"Amount": "200"}, "create": {"LastName": "Ås"}}]},
        {"operations": [{"upsert": "Contact", "set": {"Owner__r": {"K__c": 1}}}]},
        {"operations": [{"upsert": "Contact", "set": {"Owner__r": {"K__c": "1", "type": "User"}}}]},
        {"operations": [{"upsert": "Contact", "absent": ["Other"]}]},
        {"consent": "none"},
    ],
)
def test_an_expected_plan_has_no_differences(expected):
    assert differences(plan(WRITE), **expected) == []


def test_names_of_a_crm_are_compared_without_letter_case():
    expected = {"upsert": "contact", "set": {"amount": 200}, "absent": ["FLAG"]}
    (found,) = differences(plan(WRITE), operations=[expected])
    assert found == "operation 1: `FLAG` is written"


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ({"rule": "two"}, "rule: expected `two`, but matched was `one`"),
        ({"state": "ignored"}, "state: expected ignored, got delivering"),
        ({"ignored": True}, "ignored: expected true, but the event is delivering"),
        ({"consent": "opt_out"}, "consent: expected opt_out, got none"),
        ({"operations": []}, "operations: expected 0, got 1 (upsert Contact)"),
        ({"operations": [{"update": "Contact"}]}, "operation 1: expected update Contact, got upsert Contact"),
        ({"operations": [{"upsert": "Lead"}]}, "operation 1: expected upsert Lead, got upsert Contact"),
        ({"operations": [{}]}, "operation 1: expected nothing (name an operation), got upsert Contact"),
        (
            {"operations": [{"upsert": "Contact", "set": {"Amount": 201}}]},
            "operation 1: set: `Amount` expected 201, got 200.0",
        ),
        (
            {"operations": [{"upsert": "Contact", "set": {"Name": "kari"}}]},
            "operation 1: set: `Name` expected 'kari', got 'Kari'",
        ),
        ({"operations": [{"upsert": "Contact", "set": {"Other": 1}}]}, "operation 1: set: `Other` is not written"),
        (
            {"operations": [{"upsert": "Contact", "set": {"Flag": "true"}}]},
            "operation 1: set: `Flag` expected 'true', got true",
        ),
        (
            {"operations": [{"upsert": "Contact", "set": {"Owner__r": {"K__c": "2"}}}]},
            "operation 1: set: `Owner__r` expected {'K__c': '2'}, got {K__c: '1'}",
        ),
        ({"operations": [{"upsert": "Contact", "absent": ["Name"]}]}, "operation 1: `Name` is written"),
        ({"operations": [{"upsert": "Contact", "crm": "x"}]}, "operation 1: crm: expected 'x', got 'sf'"),
        ({"operations": [{"upsert": "Contact", "key": {"K": "1"}}]}, "operation 1: key: `K` is not written"),
    ],
)
def test_each_difference_is_reported_in_plain_words(expected, difference):
    assert differences(plan(WRITE), **expected) == [difference]


def test_commands_are_compared_by_their_fields():
    good = {"command": "stop", "provider": "strex", "phone": "+4798079008", "short_number": "2002", "keyword": "KATT"}
    assert differences(plan(COMMAND), operations=[good]) == []
    assert differences(plan(COMMAND), operations=[{**good, "keyword": "HUND", "price": 5}]) == [
        "operation 1: keyword: expected 'HUND', got 'KATT'",
        "operation 1: price: expected 5, got null",
    ]
    assert differences(plan(COMMAND), operations=[{"command": "unsubscribe"}]) == [
        "operation 1: expected command unsubscribe, got command stop"
    ]


def test_the_reason_of_a_dead_letter_is_compared():
    dead = plan(state=EventState.DEAD, detail="Key__c has no value", trace=())
    assert differences(dead, rule="one", state="delivering", operations=[{"upsert": "Contact"}]) == [
        "rule: expected `one`, but no rule matched",
        "state: expected delivering, got dead (Key__c has no value)",
        "operations: expected 1, got 0 (none; dead: Key__c has no value)",
    ]


def test_the_consent_decision_is_compared():
    decision = Decision(
        phone=Phone("+4798079008"),
        word=Verdict.OPT_OUT,
        scope=Scope.SUBSCRIPTION,
        subscription=Subscription(provider="strex"),
        origin="strex",
        occurred_at=None,
    )
    assert differences(plan(decisions=(decision,)), consent="opt_out") == []
    assert differences(plan(decisions=(decision,)), consent="none") == ["consent: expected none, got opt_out"]


def test_a_write_by_id_may_be_expected_as_upsert_or_update():
    write = RecordWrite(sink="sf", object="Contact", key_field="Id", key="003", may_create=False)
    for word in ("upsert", "update"):
        assert differences(plan(write), operations=[{word: "Contact", "id": "003"}]) == []


@pytest.mark.parametrize(
    ("expected", "got", "alike"),
    [(1, 1.0, True), (1.5, "1.50", True), ("1.5", 1.5, True), (1, True, False), (None, "", False), (0, None, False)],
)
def test_numbers_are_compared_as_numbers(expected, got, alike):
    assert same(expected, got) is alike
