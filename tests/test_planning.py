"""One event and what is known → the plan. The shipped mappings stand for an administrator's."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from connector.adapters import load_config, mapping_context
from connector.config import document
from connector.consent.changes import NUMBER_CHANGED
from connector.consent.standing import stand
from connector.mapping.compile import compile_mappings, load_mappings
from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.event import Event, Verdict
from connector.model.lifecycle import EventState
from connector.model.operation import RecordWrite, ServiceCommand
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.plan import Known
from connector.planning import commands_of, lane_of, plan, plan_in_order, to_whom, units_of

ROOT = Path(__file__).parents[1]
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


def test_our_own_command_s_confirmation_is_no_change(rules):
    confirmation = report("Unsubscribe", verdict=Verdict.OPT_OUT, service_command=True)
    assert plan(confirmation, rules, Known(ledger=LEFT)).state is EventState.NO_CHANGE
    # Somebody else's command is news.
    assert plan(confirmation, rules, Known(ledger=JOINED)).state is EventState.DELIVERING


def test_an_opt_in_that_names_no_subscription_does_not_clear_the_flag(rules):
    done = plan(report("Subscribe", verdict=Verdict.OPT_IN, keyword=None), rules, Known())
    assert flags(done) == []
    assert not done.decisions


def test_a_mapping_may_widen_and_never_cancel(context):
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
    own = compile_mappings([document.parse(one, name) for name, one in texts.items()], context)
    widened = plan(report("Complaint"), own, Known(ledger=JOINED))
    assert [one.word for one in widened.decisions] == [Verdict.OPT_OUT]
    assert widened.decisions[0].rule == "own.yaml: complaint"
    kept = plan(report("Unsubscribe", verdict=Verdict.OPT_OUT), own, Known(ledger=JOINED))
    assert [one.word for one in kept.decisions] == [Verdict.OPT_OUT]


def test_a_tick_in_the_crm_goes_to_every_running_subscription(rules):
    done = plan(ticked(), rules, Known(ledger=BOTH))
    sent = [(one.action, one.keyword, one.known_active) for one in done.operations if isinstance(one, ServiceCommand)]
    assert sent == [("unsubscribe", "KATT", True), ("unsubscribe", "HUND", True)]
    assert done.decisions[0].scope is Scope.EVERYTHING


def test_where_nothing_runs_every_subscription_that_was_or_is_configured_is_asked():
    configured = (replace(KATT, subscription_id=None), HUND)
    assert to_whom("strex", stand(LEFT), configured) == [(KATT, False), (HUND, False)]
    assert to_whom("strex", stand(()), configured) == [(one, False) for one in configured]
    assert to_whom("strex", stand(JOINED), configured) == [(KATT, True)]
    assert to_whom("other", stand(JOINED), configured) == []


def test_a_keyword_that_only_the_config_knows_is_filled_in():
    nameless = replace(KATT, keyword=None, keyword_id="1")
    known = replace(KATT, keyword_id="1", subscription_id=None)
    ((one, active),) = to_whom("strex", stand(ledger((Verdict.OPT_IN, nameless))), (known,))
    assert (one.keyword, active) == ("KATT", True)


def test_a_changed_number_is_for_a_person(rules):
    done = plan(ticked(action=NUMBER_CHANGED, verdict=Verdict.NONE, changed=("MobilePhone",)), rules, Known())
    assert (done.state, done.reason) == (EventState.DEAD, Reason.NEEDS_PERSON)


def test_events_of_one_person_see_each_other_within_a_batch(rules):
    first = replace(report("Subscribe", verdict=Verdict.OPT_IN, subscription_id="k1"), key="a")
    second = replace(report("Unsubscribe", verdict=Verdict.OPT_OUT), key="b")
    third = replace(first, key="c", status="Rebilled")
    batch = [(1, first), (2, second), (3, third)]
    states = [
        done.state for _, _, done in plan_in_order(batch, rules, ledgers={}, configured=(), others_out=lambda _: False)
    ]
    assert states == [EventState.DELIVERING, EventState.DELIVERING, EventState.SUPERSEDED]


def test_an_event_that_cannot_be_planned_is_a_dead_letter_alone(rules):
    broken = replace(ticked(verdict=Verdict.OPT_IN), key="x")

    def others_out(_):
        raise RuntimeError(DONOR.e164)

    fine = report("Unsubscribe", verdict=Verdict.OPT_OUT)
    with pytest.raises(RuntimeError):
        others_out(broken)
    planned = plan_in_order([(1, broken), (2, fine)], rules, ledgers={}, configured=(), others_out=others_out)
    assert [done.state for _, _, done in planned] == [EventState.DEAD, EventState.DELIVERING]
    assert planned[0][2].reason is Reason.BUG
    assert DONOR.e164 not in planned[0][2].detail


def test_a_poll_floods_only_with_more_commands_than_agreed(rules):
    planned = plan_in_order(
        [(number, ticked(key=f"c{number}", batch="poll")) for number in range(3)],
        rules,
        ledgers={DONOR.e164: JOINED},
        configured=(),
        others_out=lambda _: False,
    )
    commands = sum(len(done.operations) for _, _, done in planned)
    assert commands_of(planned) == {"poll": commands}


def test_lanes_go_by_person_then_record_then_event():
    assert lane_of(report("x")) == DONOR.e164
    assert lane_of(ticked(msisdn=None)) == "record:003000000000001AAA"
    assert lane_of(replace(report("x"), msisdn=None)) == "event:e1"


def test_units_keep_the_order_of_each_sink():
    one = RecordWrite(sink="a", object="A", key_field="K", key="1")
    two = replace(one, sink="b")
    three = replace(one, key="2")
    assert units_of([one, two, three]) == {"a": (one, three), "b": (two,)}


def test_an_opt_out_of_a_number_that_may_mean_several_people_waits_for_a_person_whatever_the_rules_do(context):
    text = """
on: salesforce.change
feed: {object: Contact, fields: [MobilePhone, SMS_Opt_Out__c]}
rules:
  - name: noted
    when: {record.SMS_Opt_Out__c: true}
    do: [{upsert: Task, key: {SMS_Key__c: "{key}"}, set: {Subject: Opted out}}]
    consent: opt_out
"""
    shipped = [document.read(path, path.name) for path in (ROOT / "mappings").glob("strex-*.yaml")]
    rules = compile_mappings([*shipped, document.parse(text, "noted.yaml")], context)
    unclear = ticked(msisdn=None, number_is_unclear=True)
    made = plan(unclear, rules, Known())
    assert (made.state, made.reason, made.decisions) == (EventState.DEAD, Reason.NEEDS_PERSON, ())
    assert plan(ticked(), rules, Known()).state is EventState.DELIVERING
