"""Which providers and records an opt-out must reach, and which operations reach them."""

import pytest

from connector.consent.decide import Ruling
from connector.consent.reach import crms_not_notified, providers_not_notified, sets_flag
from connector.model.consent import Decision, Scope, Subscription
from connector.model.consent_fields import ConsentFields
from connector.model.event import Verdict
from connector.model.operation import RecordWrite, ServiceCommand
from connector.model.phone import Phone

PERSON = Phone("+4790000001")
FLAGS = {
    "Contact": ConsentFields(object="Contact", flag="Opt_Out__c"),
    "Lead": ConsentFields(object="Lead", flag="Consent__c", opted_out="No"),
}


def consent_of(crm, name):
    return FLAGS.get(name) if crm == "sf" else None


def write(object_name="Contact", group="set", *, consent=True, **fields):
    return RecordWrite(
        sink="sf",
        object=object_name,
        key_field="K__c",
        key="1",
        consent=tuple(fields) if consent else (),
        **{group: fields},
    )


def command(action="unsubscribe", sink="strex"):
    return ServiceCommand(sink=sink, action=action, phone=PERSON, short_number="2002", keyword="KATT")


def ruling(word=Verdict.OPT_OUT, scope=Scope.SUBSCRIPTION, remaining=0):
    decision = Decision(
        phone=PERSON,
        word=word,
        scope=scope,
        subscription=Subscription(provider="strex"),
        origin="strex",
        occurred_at=None,
    )
    return Ruling(decision=decision, remaining=remaining)


def missed(*operations, ruled=None, crm=False, crms=("sf",), providers=(("strex", True),)):
    ruled = ruled or ruling()
    if crm:
        return tuple(providers_not_notified(ruled, operations, providers=providers))
    return tuple(crms_not_notified(ruled, operations, crms=crms, consent_of=consent_of))


@pytest.mark.parametrize(
    ("operation", "sets"),
    [
        (write(Opt_Out__c=True), True),
        (write(opt_out__c="true"), True),
        (write(Opt_Out__c=False), False),
        (write(Other__c=True), False),
        (write(group="create", Opt_Out__c=True), False),
        (write(consent=False, Opt_Out__c=True), False),
        (write("Lead", Consent__c="no"), True),
        (write("Lead", Consent__c=True), False),
        (write("Task", Opt_Out__c=True), False),
        (command(), False),
    ],
)
def test_a_write_sets_the_flag_only_if_it_also_does_so_on_an_existing_record(operation, sets):
    assert sets_flag(operation, consent_of) is sets


def test_a_providers_opt_out_must_set_the_flag_of_one_crm():
    assert missed() == ("sf",)
    assert missed(write(Other__c=True), command()) == ("sf",)
    assert missed(write(Other__c=True), write(Opt_Out__c=True)) == ()
    assert missed(crms=("sf", "dynamics")) == ("sf",)


def test_no_flag_is_required_beside_an_active_subscription_or_without_a_named_flag():
    assert missed(ruled=ruling(remaining=1)) == ()
    assert missed(ruled=ruling(scope=Scope.PROVIDER, remaining=1)) == ("sf",)
    assert missed(crms=()) == ()


def test_an_opt_in_or_an_event_without_a_decision_requires_nothing():
    assert missed(ruled=ruling(Verdict.OPT_IN)) == ()
    assert missed(ruled=Ruling()) == ()
    assert missed(ruled=ruling(Verdict.OPT_IN), crm=True) == ()


def test_an_opt_out_in_the_crm_must_end_the_subscriptions_of_every_provider():
    assert missed(crm=True) == ("strex",)
    assert missed(command(), crm=True) == ()
    assert missed(command("stop"), crm=True, providers=(("strex", True), ("messagecloud", True))) == ("messagecloud",)
    assert missed(command("stop"), crm=True, providers=(("strex", True), ("messagecloud", False))) == ()
    assert missed(crm=True, providers=(("strex", False), ("messagecloud", False))) == ("strex", "messagecloud")
    assert missed(command("changesubscriberprice"), crm=True) == ("strex",)
    assert missed(crm=True, providers=()) == ()
