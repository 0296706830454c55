"""Planning: one event and the known state give the plan. The shipped mappings stand for an administrator's."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from connector.config import yaml_document
from connector.consent.changes import NUMBER_CHANGED
from connector.consent.ledger_state import fold_ledger
from connector.mapping.compile.items import KnownSubscription
from connector.mapping.compile.ruleset import compile_mappings, load_mappings
from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.event import Event, Result, Verdict
from connector.model.operation import RecordWrite, ServiceCommand
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.plan import Known
from connector.model.states import EventState
from connector.pipeline.plan import people_by_poll
from connector.pipeline.planning import MAY_BE_A_STOP, command_candidates, lane_of, plan, plan_in_order, units_of
from connector.providers.strex.callback import Reader
from connector.registry import load_config, mapping_context
from connector.store.documents import event_from_json, event_to_json

ROOT = Path(__file__).parents[2]
DONOR = Phone("+4790000001")
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
KATT = Subscription(provider="strex", short_number="2002", keyword="KATT", subscription_id="k1")
HUND = Subscription(provider="strex", short_number="2002", keyword="HUND")


@pytest.fixture(scope="module")
def context():
    return mapping_context(load_config(ROOT / "config.example.yaml"))


@pytest.fixture(scope="module")
def rules(context):
    return load_mappings(ROOT / "mappings", context)


def report(action, **more):
    more = {"verdict": Verdict.NONE, "keyword": "KATT", "short_number": "2002", **more}
    return Event(
        key="e1", provider="strex", shape="delivery_report", action=action, msisdn=DONOR, received_at=NOON, **more
    )


def ticked(**more):
    record = {"Id": "003000000000001AAA", "MobilePhone": DONOR.e164, "SMS_Opt_Out__c": True, **more.pop("record", {})}
    return Event(
        **{
            "key": "c1",
            "provider": "salesforce",
            "shape": "change",
            "action": "change",
            "verdict": Verdict.OPT_OUT,
            "object": "Contact",
            "changed": ("SMS_Opt_Out__c",),
            "msisdn": DONOR,
            "received_at": NOON,
            "record": record,
            **more,
        }
    )


def ledger(*words, start=1):
    return tuple(
        LedgerEntry(
            id=number,
            event_id=number,
            event_key=f"old{number}",
            phase=Phase.DECIDED,
            recorded_at=NOON,
            decision=Decision(
                phone=DONOR, word=word, scope=Scope.SUBSCRIPTION, subscription=one, origin="strex", occurred_at=None
            ),
        )
        for number, (word, one) in enumerate(words, start=start)
    )


JOINED = ledger((Verdict.OPT_IN, KATT))
BOTH = ledger((Verdict.OPT_IN, KATT), (Verdict.OPT_IN, HUND))
LEFT = ledger((Verdict.OPT_IN, KATT), (Verdict.OPT_OUT, KATT))


def writes(done, name):
    return [one for one in done.operations if isinstance(one, RecordWrite) and one.object == name]


def flags(done):
    return [one.set["SMS_Opt_Out__c"] for one in writes(done, "Contact") if "SMS_Opt_Out__c" in one.set]


def test_the_last_opt_out_sets_the_flag_and_overtakes(rules):
    done = plan(report("Unsubscribe", verdict=Verdict.OPT_OUT), rules, Known(ledger=JOINED))
    assert (done.state, done.overtakes, flags(done)) == (EventState.DELIVERING, True, [True])
    assert [one.word for one in done.decisions] == [Verdict.OPT_OUT]


def test_an_opt_out_beside_another_subscription_leaves_the_flag_and_overtakes_nothing(rules):
    done = plan(report("Unsubscribe", verdict=Verdict.OPT_OUT), rules, Known(ledger=BOTH))
    assert (done.overtakes, flags(done)) == (False, [])
    assert "1 other subscription" in done.notes[0]
    assert len(done.decisions) == 1


def test_a_late_opt_in_is_superseded_and_does_nothing(rules):
    late = report("Subscribe", verdict=Verdict.OPT_IN, subscription_id="k1")
    done = plan(late, rules, Known(ledger=LEFT))
    assert (done.state, done.detail, done.operations, done.decisions) == (EventState.SUPERSEDED, "old2", (), ())


def test_the_confirmation_of_our_own_command_is_no_change(rules):
    confirmation = report("Unsubscribe", verdict=Verdict.OPT_OUT, service_command=True)
    assert plan(confirmation, rules, Known(ledger=LEFT)).state is EventState.NO_CHANGE
    # Somebody else's command is news.
    assert plan(confirmation, rules, Known(ledger=JOINED)).state is EventState.DELIVERING


def test_an_opt_in_that_names_no_subscription_does_not_clear_the_flag(rules):
    done = plan(report("Subscribe", verdict=Verdict.OPT_IN, keyword=None), rules, Known())
    assert flags(done) == []
    assert not done.decisions


def test_a_mapping_may_add_an_opt_out_and_never_remove_one(context):
    text = """
on: strex.delivery_report
rules:
  - name: complaint
    when: {action: Complaint}
    ignore: true
    consent: opt_out
  - name: opposite
    when: {action: Unsubscribe}
    ignore: true
    consent: opt_in
  - name: other opt-outs
    when: {verdict: opt_out}
    do: [{upsert: Contact, key: {SMS_Key__c: "{msisdn}"}, set: {SMS_Opt_Out__c: true}}]
    consent: opt_out
  - name: rest
    ignore: true
"""
    messages = (ROOT / "mappings" / "strex-messages.yaml").read_text()
    back = (ROOT / "mappings" / "salesforce-to-strex.yaml").read_text()
    texts = {"own.yaml": text, "strex-messages.yaml": messages, "salesforce-to-strex.yaml": back}
    own = compile_mappings([yaml_document.parse(one, name) for name, one in texts.items()], context)
    widened = plan(report("Complaint"), own, Known(ledger=JOINED))
    assert [one.word for one in widened.decisions] == [Verdict.OPT_OUT]
    assert widened.decisions[0].rule == "own.yaml: complaint"
    kept = plan(report("Unsubscribe", verdict=Verdict.OPT_OUT), own, Known(ledger=JOINED))
    assert [one.word for one in kept.decisions] == [Verdict.OPT_OUT]


REFERENCES = """
on: strex.delivery_report
rules:
  - name: complaint
    when: {verdict: opt_out}
    do: [{upsert: Contact, key: {SMS_Key__c: "{msisdn}"}, set: {SMS_Opt_Out__c: true}}]
    consent: opt_out
  - name: reference
    do: [{upsert: Contact, key: {SMS_Key__c: "{msisdn}"}, set: {Reference__c: "{properties.KID}", Note__c: "KID {properties.KID}"}}]
"""


@pytest.fixture(scope="module")
def references(context):
    names = ("strex-messages.yaml", "salesforce-to-strex.yaml")
    texts = {"own.yaml": REFERENCES} | {name: (ROOT / "mappings" / name).read_text() for name in names}
    return compile_mappings([yaml_document.parse(text, name) for name, text in texts.items()], context)


@given(st.integers(10**17, 10**40) | st.integers() | st.integers(-(10**30), -(10**17)))
def test_a_number_of_a_callback_keeps_its_digits_in_the_plan(references, number):
    body = f'{{"transactionId":{abs(number)},"recipient":"{DONOR.e164}","properties":{{"KID":{number}}}}}'
    stored = event_from_json(event_to_json(Reader(provider="strex").delivery_report(body.encode(), NOON)))
    (write,) = plan(stored, references, Known()).operations
    assert (stored.transaction_id, str(write.set["Reference__c"])) == (str(abs(number)), str(number))
    assert write.set["Note__c"] == f"KID {number}"


def test_an_unreadable_price_waits_for_a_person_and_delays_no_consent(rules):
    done = plan(report("Recurring", unread_price="1,234"), rules, Known(ledger=JOINED))
    assert (done.state, done.reason, done.operations) == (EventState.DEAD, Reason.NEEDS_PERSON, ())
    under_way = plan(report("Recurring", unread_price="1,234", result=Result.PENDING), rules, Known(ledger=JOINED))
    assert under_way.state is EventState.IGNORED
    left = plan(report("Unsubscribe", verdict=Verdict.OPT_OUT, unread_price="1,234"), rules, Known(ledger=JOINED))
    assert [one.word for one in left.decisions] == [Verdict.OPT_OUT]
    joined = plan(report("Subscribe", verdict=Verdict.OPT_IN, unread_price="1,234"), rules, Known())
    assert [one.word for one in joined.decisions] == [Verdict.OPT_IN]


def test_an_opt_out_in_the_crm_ends_every_active_subscription(rules):
    done = plan(ticked(), rules, Known(ledger=BOTH))
    sent = [(one.action, one.keyword, one.known_active) for one in done.operations if isinstance(one, ServiceCommand)]
    assert sent == [("unsubscribe", "KATT", True), ("unsubscribe", "HUND", True)]
    assert done.decisions[0].scope is Scope.EVERYTHING


def test_without_active_subscriptions_all_ended_and_configured_ones_are_candidates():
    configured = (replace(KATT, subscription_id=None), HUND)
    assert command_candidates("strex", fold_ledger(LEFT), configured) == [
        KnownSubscription(KATT, ended=True),
        KnownSubscription(HUND),
    ]
    assert command_candidates("strex", fold_ledger(()), configured) == [KnownSubscription(one) for one in configured]
    assert command_candidates("strex", fold_ledger(JOINED), configured) == [KnownSubscription(KATT, active=True)]
    assert command_candidates("other", fold_ledger(JOINED), configured) == []


def repriced(amount=275):
    record = {"SMS_Opt_Out__c": False, "SMS_Monthly_Amount__c": amount}
    return ticked(verdict=Verdict.NONE, changed=("SMS_Monthly_Amount__c",), record=record)


@pytest.mark.parametrize(
    ("entries", "configured"),
    [(JOINED, ()), (JOINED, (KATT, HUND)), ((), (HUND,))],
    ids=["runs", "listed too", "listed"],
)
def test_a_price_goes_to_the_only_active_or_possible_subscription(rules, entries, configured):
    done = plan(repriced(), rules, Known(ledger=entries, configured=configured))
    ((keyword, price),) = [(one.keyword, one.price) for one in done.operations]
    assert (keyword, price) == ("KATT" if entries else "HUND", 275)


@pytest.mark.parametrize(
    ("entries", "configured", "why"),
    [
        (BOTH, (), "2 subscriptions run (KATT on 2002, HUND on 2002)"),
        (LEFT, (), "the person has left"),
        (LEFT, (KATT,), "the person has left"),
        (LEFT, (HUND,), "the person has left"),
        ((), (KATT, HUND), "it is not known which subscription runs (KATT on 2002, HUND on 2002)"),
        ((), (), "no subscription is known"),
    ],
)
def test_a_price_without_exactly_one_subscription_waits_for_a_person(rules, entries, configured, why):
    done = plan(repriced(), rules, Known(ledger=entries, configured=configured))
    assert (done.state, done.reason, done.operations) == (EventState.DEAD, Reason.NEEDS_PERSON, ())
    assert why in done.detail
    assert done.detail.endswith("do what is right at strex yourself, then `connector parked discard EVENT`")


def test_a_missing_keyword_is_filled_in_from_the_config():
    nameless = replace(KATT, keyword=None, keyword_id="1")
    known = replace(KATT, keyword_id="1", subscription_id=None)
    ((one, active, _),) = command_candidates("strex", fold_ledger(ledger((Verdict.OPT_IN, nameless))), (known,))
    assert (one.keyword, active) == ("KATT", True)


def test_a_changed_phone_number_waits_for_a_person(rules):
    done = plan(ticked(action=NUMBER_CHANGED, verdict=Verdict.NONE, changed=("MobilePhone",)), rules, Known())
    assert (done.state, done.reason) == (EventState.DEAD, Reason.NEEDS_PERSON)


def test_events_of_one_batch_see_earlier_events_of_the_same_person(rules):
    first = replace(report("Subscribe", verdict=Verdict.OPT_IN, subscription_id="k1"), key="a")
    second = replace(report("Unsubscribe", verdict=Verdict.OPT_OUT), key="b")
    third = replace(first, key="c", status="Rebilled")
    batch = [(1, first), (2, second), (3, third)]
    states = [
        done.state
        for _, _, done in plan_in_order(batch, rules, ledgers={}, configured=(), others_opted_out=lambda _: False)
    ]
    assert states == [EventState.DELIVERING, EventState.DELIVERING, EventState.SUPERSEDED]


def test_an_event_that_cannot_be_planned_does_not_stop_the_others(rules):
    broken = replace(ticked(verdict=Verdict.OPT_IN), key="x")

    def others_out(_):
        raise RuntimeError(DONOR.e164)

    fine = report("Unsubscribe", verdict=Verdict.OPT_OUT)
    planned = plan_in_order([(1, broken), (2, fine)], rules, ledgers={}, configured=(), others_opted_out=others_out)
    assert [done.state for _, _, done in planned] == [EventState.DEAD, EventState.DELIVERING]
    assert planned[0][2].reason is Reason.BUG
    assert DONOR.e164 not in planned[0][2].detail


def of_a_poll(rules, *events, **known):
    batch = [(number, replace(event, key=f"c{number}", batch="poll")) for number, event in enumerate(events, 100)]
    return people_by_poll(
        plan_in_order(batch, rules, **{"ledgers": {}, "configured": (), "others_opted_out": lambda _: False, **known})
    )


def test_the_size_of_a_poll_counts_people_and_not_commands(rules):
    other = Phone("+4790000002")
    # One person's opt-out needs several commands, and is one person's all the same.
    known = {"ledgers": {DONOR.e164: JOINED, other.e164: JOINED}}
    assert of_a_poll(rules, ticked(), ticked(), **known) == {"poll": {DONOR.e164}}
    assert of_a_poll(rules, ticked(), ticked(msisdn=other), **known) == {"poll": {DONOR.e164, other.e164}}


def test_a_removed_opt_out_counts_its_person_although_it_sends_nothing(rules):
    unticked = ticked(verdict=Verdict.OPT_IN, record={"SMS_Opt_Out__c": False})
    assert of_a_poll(rules, unticked) == {"poll": {DONOR.e164}}
    # One that takes nothing back concerns nobody.
    assert of_a_poll(rules, unticked, others_opted_out=lambda _: True) == {}
    assert of_a_poll(rules, ticked(verdict=Verdict.NONE, changed=("FirstName",))) == {}


def test_a_lane_is_named_after_the_person_or_the_record_or_the_event():
    assert lane_of(report("x")) == DONOR.e164
    assert lane_of(ticked(msisdn=None)) == "record:003000000000001AAA"
    assert lane_of(replace(report("x"), msisdn=None)) == "event:e1"


def test_operations_keep_their_order_in_the_unit_of_each_sink():
    one = RecordWrite(sink="a", object="A", key_field="K", key="1")
    two = replace(one, sink="b")
    three = replace(one, key="2")
    assert units_of([one, two, three]) == {"a": (one, three), "b": (two,)}


def unclear(**more):
    made = {"key": "m1", "text": "stopp ulven", "short_number": "2002", "opt_out_scope": Scope.SHORT_NUMBER, **more}
    return Event(provider="strex", shape="message", msisdn=DONOR, received_at=NOON, verdict=Verdict.MAYBE_STOP, **made)


def test_a_text_that_may_be_a_stop_waits_for_a_person(rules):
    done = plan(unclear(), rules, Known(ledger=JOINED), tracing=True)
    assert (done.state, done.reason, done.detail) == (EventState.DEAD, Reason.NEEDS_PERSON, MAY_BE_A_STOP)
    assert (done.operations, done.decisions) == ((), ())
    assert done.trace


def test_a_text_answered_as_opt_out_ends_what_the_text_names(rules):
    out = plan(unclear(), rules, Known(ledger=BOTH, answer=Verdict.OPT_OUT))
    assert (out.decisions[0].word, out.decisions[0].scope, flags(out)) == (Verdict.OPT_OUT, Scope.SHORT_NUMBER, [True])
    assert out.overtakes
    assert "it was an opt-out" in out.notes[0]
    named = unclear(text="katt stopp dette tullet", keyword="KATT", opt_out_scope=Scope.SUBSCRIPTION)
    one = plan(named, rules, Known(ledger=BOTH, answer=Verdict.OPT_OUT))
    assert (one.decisions[0].scope, flags(one)) == (Scope.SUBSCRIPTION, [])


def test_a_text_answered_as_no_opt_out_is_an_ordinary_message(rules):
    done = plan(unclear(), rules, Known(ledger=JOINED, answer=Verdict.NONE))
    ordinary = plan(unclear(text="hei"), rules, Known(ledger=JOINED, answer=Verdict.NONE))
    assert (done.state, done.decisions, flags(done)) == (EventState.DELIVERING, (), [])
    assert len(done.operations) == len(ordinary.operations)
    assert "it was not an opt-out" in done.notes[0]


def test_a_text_that_a_mapping_takes_as_an_opt_out_asks_no_person(context):
    text = """
on: strex.message
rules:
  - name: enough
    when: {text: {like: "stopp*"}}
    do: [{upsert: Contact, key: {SMS_Key__c: "{msisdn}"}, set: {SMS_Opt_Out__c: true}}]
    consent: opt_out
  - name: rest
    ignore: true
"""
    others = {
        name: (ROOT / "mappings" / name).read_text() for name in ("strex-subscription.yaml", "salesforce-to-strex.yaml")
    }
    own = compile_mappings(
        [yaml_document.parse(one, name) for name, one in {"own.yaml": text, **others}.items()], context
    )
    done = plan(unclear(), own, Known(ledger=JOINED))
    assert (done.state, done.decisions[0].rule, done.decisions[0].scope) == (
        EventState.DELIVERING,
        "own.yaml: enough",
        Scope.SHORT_NUMBER,
    )


def test_a_late_answer_does_not_end_a_subscription_that_began_since(rules):
    since = ledger((Verdict.OPT_IN, HUND), start=7)
    late = plan(unclear(), rules, Known(ledger=since, answer=Verdict.OPT_OUT, event_id=3))
    assert (late.state, late.detail) == (EventState.SUPERSEDED, "old7")
    ((_, _, again),) = plan_in_order(
        [(3, unclear())],
        rules,
        ledgers={DONOR.e164: since},
        configured=(),
        others_opted_out=lambda _: False,
        answer=lambda _: Verdict.OPT_OUT,
    )
    assert again.state is EventState.SUPERSEDED


def test_only_a_text_that_may_be_a_stop_is_looked_up_for_an_answer(rules):
    asked = []

    def answer(event):
        asked.append(event.key)

    batch = [(1, report("Unsubscribe", verdict=Verdict.OPT_OUT)), (2, unclear()), (3, report("Recurring"))]
    plan_in_order(batch, rules, ledgers={}, configured=(), others_opted_out=lambda _: False, answer=answer)
    assert asked == ["m1"]


def test_an_opt_out_of_an_ambiguous_phone_number_waits_for_a_person(context):
    text = """
on: salesforce.change
feed: {object: Contact, fields: [MobilePhone, SMS_Opt_Out__c]}
rules:
  - name: noted
    when: {record.SMS_Opt_Out__c: true}
    do: [{upsert: Task, key: {SMS_Key__c: "{key}"}, set: {Subject: Opted out}}]
    consent: opt_out
"""
    shipped = [yaml_document.read(path, path.name) for path in (ROOT / "mappings").glob("strex-*.yaml")]
    rules = compile_mappings([*shipped, yaml_document.parse(text, "noted.yaml")], context)
    unclear = ticked(msisdn=None, number_is_unclear=True)
    made = plan(unclear, rules, Known())
    assert (made.state, made.reason, made.decisions) == (EventState.DEAD, Reason.NEEDS_PERSON, ())
    assert plan(ticked(), rules, Known()).state is EventState.DELIVERING
