from datetime import UTC, datetime

from msgspec.structs import replace

from connector.consent.decide import Ruling
from connector.consent.guard import allowed_at_planning, allowed_at_sending, carries_opt_out, with_flag_at_creation
from connector.consent.ledger_state import fold_ledger
from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.consent_fields import ConsentFields
from connector.model.event import Verdict
from connector.model.operation import RecordWrite, ServiceCommand
from connector.model.phone import Phone

DONOR = Phone("+4790000001")
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
KATT = Subscription(provider="strex", short_number="2002", keyword="KATT")
OUT = RecordWrite(
    sink="sf", object="Contact", key_field="K", key="+4790000001", set={"Out": True, "Name": "x"}, consent=("Out",)
)
CLEAR = replace(OUT, set={"Out": False, "Name": "x"}, clears_flag=True)
PLAIN = replace(OUT, set={"Name": "x"}, consent=())
STOP = ServiceCommand(sink="strex", action="unsubscribe", phone=DONOR, short_number="2002", keyword="katt")


def decision(word, scope=Scope.SUBSCRIPTION, subscription=KATT):
    return Decision(phone=DONOR, word=word, scope=scope, subscription=subscription, origin="x", occurred_at=None)


def entry(event_id, word, scope=Scope.SUBSCRIPTION, subscription=KATT):
    return LedgerEntry(
        id=event_id,
        event_id=event_id,
        event_key=f"e{event_id}",
        phase=Phase.DECIDED,
        decision=decision(word, scope, subscription),
        recorded_at=NOON,
    )


def now(operation, *ledger, event_id=1, overtaken=False, newer=()):
    return allowed_at_sending(operation, event_id=event_id, overtaken=overtaken, newer=newer, ledger=ledger)


def test_an_opt_out_of_a_keyword_sets_the_flag_only_without_other_subscriptions():
    out = decision(Verdict.OPT_OUT)
    assert allowed_at_planning(OUT, Ruling(decision=out, remaining=0), Verdict.OPT_OUT) == (OUT, None)
    write, note = allowed_at_planning(OUT, Ruling(decision=out, remaining=1), Verdict.OPT_OUT)
    assert write.set == {"Name": "x"}
    assert "1 other subscription" in note


def test_a_global_opt_out_sets_the_flag_despite_other_subscriptions():
    out = decision(Verdict.OPT_OUT, Scope.EVERYTHING)
    assert allowed_at_planning(OUT, Ruling(decision=out, remaining=3), Verdict.OPT_OUT) == (OUT, None)


def test_only_an_opt_in_that_counts_clears_the_flag():
    counts = Ruling(decision=decision(Verdict.OPT_IN))
    assert allowed_at_planning(CLEAR, counts, Verdict.OPT_IN) == (CLEAR, None)
    assert allowed_at_planning(CLEAR, Ruling(), Verdict.OPT_IN)[0].set == {"Name": "x"}
    assert allowed_at_planning(CLEAR, Ruling(), Verdict.NONE)[0].set == {"Name": "x"}


def test_a_write_without_consent_fields_always_passes():
    assert now(PLAIN, overtaken=True) == PLAIN


def test_only_an_operation_that_ends_a_subscription_carries_an_opt_out():
    assert carries_opt_out(OUT, Verdict.OPT_OUT)
    assert carries_opt_out(STOP, Verdict.OPT_OUT)
    assert not carries_opt_out(OUT, Verdict.OPT_IN)
    assert not carries_opt_out(PLAIN, Verdict.OPT_OUT)
    assert not carries_opt_out(CLEAR, Verdict.OPT_OUT)
    assert not carries_opt_out(replace(STOP, action="changesubscriberprice"), Verdict.OPT_OUT)


def test_an_overtaken_write_is_sent_without_consent_fields():
    assert now(OUT, overtaken=True).set == {"Name": "x"}
    assert now(replace(OUT, set={"Out": True}), overtaken=True) is None


def test_the_flag_is_cleared_only_if_the_last_decision_is_an_opt_in():
    assert now(CLEAR, entry(1, Verdict.OPT_IN)) == CLEAR
    assert now(CLEAR, entry(1, Verdict.OPT_IN), entry(2, Verdict.OPT_OUT)).set == {"Name": "x"}
    assert now(CLEAR).set == {"Name": "x"}


def test_fields_that_a_newer_event_wrote_are_left_out():
    newer = [("Contact", "K", "+4790000001", "Name")]
    assert now(PLAIN, newer=newer) is None
    assert now(OUT, newer=newer).set == {"Out": True}
    assert now(OUT, newer=[("Contact", "K", "+4790000002", "Name")]) == OUT


def test_a_command_is_dropped_if_the_person_has_subscribed_again():
    asked = entry(1, Verdict.OPT_OUT, Scope.EVERYTHING, Subscription(provider="sf"))
    assert now(STOP, asked) == STOP
    assert now(STOP, asked, entry(2, Verdict.OPT_IN)) is None
    assert now(STOP, asked, entry(2, Verdict.OPT_IN, subscription=replace(KATT, keyword="HUND"))) == STOP
    assert now(STOP, asked, entry(2, Verdict.OPT_IN), entry(3, Verdict.OPT_OUT)) == STOP
    assert now(STOP, entry(0, Verdict.OPT_IN), asked) == STOP


def test_a_command_is_dropped_if_the_crm_has_reverted_its_opt_out():
    asked, back = entry(1, Verdict.OPT_OUT, Scope.EVERYTHING), entry(2, Verdict.OPT_IN, Scope.EVERYTHING)
    assert now(STOP, asked, back) is None
    assert now(STOP, asked, back, entry(3, Verdict.OPT_OUT, Scope.EVERYTHING)) == STOP
    # Another CRM has not taken back what this one said, and no CRM what the donor said.
    other = replace(back, decision=replace(back.decision, origin="y"))
    assert now(STOP, asked, other) == STOP


def test_a_late_write_does_not_set_a_flag_that_the_crm_cleared_since():
    taken_back = entry(2, Verdict.OPT_IN, Scope.EVERYTHING)
    assert now(OUT, entry(1, Verdict.OPT_OUT), taken_back).set == {"Name": "x"}
    assert now(replace(OUT, set={"Out": True}), entry(1, Verdict.OPT_OUT), taken_back) is None
    # A newer opt-out stands, and so does one that is newer than what was taken back.
    assert now(OUT, taken_back, entry(3, Verdict.OPT_OUT, Scope.EVERYTHING)) == OUT
    assert now(OUT, taken_back, entry(3, Verdict.OPT_OUT), event_id=3) == OUT


def test_an_overtaken_consent_only_write_is_dropped():
    alone = replace(OUT, set={"Out": True}, create={"Name": "x"}, consent_only=True)
    assert now(alone, entry(1, Verdict.OPT_OUT)) == alone
    assert now(alone, entry(1, Verdict.OPT_OUT), overtaken=True) is None


def test_a_person_is_opted_out_until_a_subscription_is_active_or_the_crm_reverts_it():
    joined, left = entry(1, Verdict.OPT_IN), entry(2, Verdict.OPT_OUT)
    other = replace(KATT, keyword="HUND")
    back = entry(3, Verdict.OPT_IN, Scope.EVERYTHING)
    said = {
        "nothing": ((), False),
        "joined": ((joined,), False),
        "left": ((joined, left), True),
        "left one of two": ((joined, entry(2, Verdict.OPT_IN, subscription=other), entry(3, Verdict.OPT_OUT)), False),
        "taken back in the CRM": ((joined, left, back), False),
    }
    assert {name: fold_ledger(ledger).out for name, (ledger, _) in said.items()} == {
        name: out for name, (_, out) in said.items()
    }


def test_only_a_new_record_gets_the_flag_and_a_flag_of_the_rule_is_kept():
    consent = ConsentFields(object="Contact", flag="Out", opted_out="yes")
    made = with_flag_at_creation(PLAIN, consent)
    assert (made.set, made.create, made.consent) == ({"Name": "x"}, {"Out": "yes"}, ())
    for kept in (replace(PLAIN, may_create=False), OUT, CLEAR, replace(PLAIN, create={"OUT": False})):
        assert with_flag_at_creation(kept, consent) == kept
