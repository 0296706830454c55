"""Which event decides about consent. Each test is a donor's sequence in events; `tell` updates the ledger as the planner would."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.consent.decide import Ruling, decide
from connector.consent.ledger_state import decisions, fold_ledger
from connector.model.consent import LedgerEntry, Phase, Scope
from connector.model.event import Event, Verdict
from connector.model.phone import Phone

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(days=1)  # when events arrive whose arrival does not matter
DONOR = Phone("+4790000001")
IN, OUT = Verdict.OPT_IN, Verdict.OPT_OUT


@dataclass
class Story:
    ledger: list[LedgerEntry] = field(default_factory=list)
    emitted: int = 0

    def emit(
        self,
        word: Verdict,
        at: int | None = None,
        *,
        arrives: int | None = None,
        others_out: bool = False,
        event_id: int | None = None,
        **fields,
    ) -> Ruling:
        """One event, `at` so many minutes past noon by the sender's clock; it `arrives` so many minutes past noon by ours.

        With `event_id` it came earlier than it is decided.
        """
        self.emitted += event_id is None
        event = Event(
            key=f"e{self.emitted}",
            shape=fields.pop("shape", "delivery_report"),
            provider=fields.pop("provider", "strex"),
            received_at=LATER if arrives is None else NOON + timedelta(minutes=arrives),
            verdict=word,
            msisdn=DONOR,
            occurred_at=None if at is None else NOON + timedelta(minutes=at),
            **{"short_number": "2002", **fields},
        )
        ledger = decisions(self.ledger)
        ruling = decide(
            event, word, ledger_state=fold_ledger(ledger), ledger=ledger, others_out=others_out, event_id=event_id
        )
        if ruling.decision is not None:
            self.ledger.append(
                LedgerEntry(
                    id=len(self.ledger) + 1,
                    event_id=event_id or self.emitted,
                    event_key=event.key,
                    phase=Phase.DECIDED,
                    decision=ruling.decision,
                    recorded_at=NOON,
                )
            )
            self.ledger.sort(key=lambda entry: (entry.event_id, entry.id))
        return ruling

    def by_person(self, word: Verdict, at: int | None = None, **more) -> Ruling:
        return self.emit(word, at, provider="salesforce", shape="change", object="Contact", short_number=None, **more)

    @property
    def active(self) -> list[str | None]:
        return [one.keyword for one in fold_ledger(self.ledger).active]


def test_an_opt_out_of_one_keyword_leaves_the_other_and_the_flag():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", subscription_id="k1")
    sequence.emit(IN, 1, keyword="HUND", subscription_id="h1")
    ruling = sequence.emit(OUT, 2, keyword="katt")
    assert (sequence.active, ruling.remaining, ruling.may_set_flag) == (["HUND"], 1, False)
    last = sequence.emit(OUT, 3, keyword="HUND")
    assert (sequence.active, last.may_set_flag) == ([], True)


def test_a_late_opt_in_of_an_ended_subscription_is_superseded():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", subscription_id="k1")
    sequence.emit(OUT, 5, keyword="KATT", subscription_id="k1")
    late = sequence.emit(IN, 9, keyword="KATT", subscription_id="k1")
    assert late.superseded_by == "e2"
    assert sequence.active == []


def test_a_late_opt_in_is_superseded_by_a_stop_without_an_id():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", subscription_id="k1")
    sequence.emit(OUT, 5, shape="message", text="STOPP")
    assert sequence.emit(IN, 9, keyword="KATT", subscription_id="k1").superseded_by == "e2"


def test_an_opt_in_that_comes_after_its_own_opt_out_is_superseded():
    sequence = Story()
    sequence.emit(OUT, 5, keyword="KATT", subscription_id="k1")
    assert sequence.emit(IN, 0, keyword="KATT", subscription_id="k1").superseded_by == "e1"


def test_an_opt_in_with_a_new_subscription_id_counts():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", subscription_id="k1")
    sequence.emit(OUT, 5, keyword="KATT", subscription_id="k1")
    again = sequence.emit(IN, 9, keyword="KATT", subscription_id="k2")
    assert again.decision is not None
    assert sequence.active == ["KATT"]


def test_an_opt_in_from_before_the_stop_is_superseded_despite_an_unknown_id():
    sequence = Story()
    sequence.emit(OUT, 10, shape="message", text="STOPP")
    assert sequence.emit(IN, 2, keyword="KATT", subscription_id="k1").superseded_by == "e1"


def test_an_opt_out_of_an_old_subscription_does_not_end_the_new_one():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", subscription_id="k1")
    sequence.emit(OUT, 5, keyword="KATT", subscription_id="k1")
    sequence.emit(IN, 9, keyword="KATT", subscription_id="k2")
    assert sequence.emit(OUT, 5, keyword="KATT", subscription_id="k1").superseded_by == "e3"
    assert sequence.active == ["KATT"]


def test_an_opt_in_without_an_id_counts_if_it_is_later_by_more_than_the_clock_tolerance():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT")
    sequence.emit(OUT, 5, keyword="KATT")
    assert sequence.emit(IN, 5, keyword="KATT").superseded_by == "e2"
    assert sequence.emit(IN, None, keyword="KATT").superseded_by == "e2"
    assert sequence.emit(IN, 15, keyword="KATT").superseded_by == "e2"
    assert sequence.emit(IN, 16, keyword="KATT").superseded_by is None


def test_an_opt_out_without_an_id_that_arrives_last_holds_whatever_its_time():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT")
    assert sequence.emit(OUT, -14 * 60, keyword="KATT").superseded_by is None
    assert sequence.active == []
    assert sequence.emit(OUT, None, keyword="KATT").superseded_by is None


def test_a_stop_does_not_end_a_later_subscription_with_an_id():
    sequence = Story()
    sequence.emit(OUT, 0, shape="message", text="STOPP")
    sequence.emit(IN, 60, keyword="KATT", subscription_id="k2")
    assert sequence.emit(OUT, 40, shape="message", keyword="KATT", text="KATT STOPP").superseded_by == "e2"
    assert sequence.emit(OUT, 51, shape="message", keyword="KATT", text="KATT STOPP").superseded_by is None


def test_an_opt_in_by_a_fast_clock_does_not_defeat_a_later_stop():
    sequence = Story()
    sequence.emit(IN, 120, arrives=0, keyword="KATT", subscription_id="k1")
    assert sequence.emit(OUT, 1, arrives=1, shape="message", keyword="KATT", text="KATT STOPP").superseded_by is None
    assert sequence.active == []


def test_a_stop_by_a_fast_clock_does_not_defeat_a_later_opt_in():
    sequence = Story()
    sequence.emit(OUT, 100 * 365 * 24 * 60, arrives=0, keyword="KATT")
    assert sequence.emit(IN, 2, arrives=2, keyword="KATT", subscription_id="k1").superseded_by is None


def test_two_events_timed_by_our_own_clock_need_no_tolerance():
    sequence = Story()
    sequence.emit(OUT, 0, keyword="KATT", time_from_arrival=True)
    assert sequence.emit(IN, 1, keyword="KATT", time_from_arrival=True).superseded_by is None


@given(
    skews=st.tuples(*[st.integers(-14 * 60, 14 * 60)] * 2),
    delays=st.tuples(*[st.integers(0, 48 * 60)] * 2),
    known_id=st.booleans(),
    stop=st.sampled_from(
        [
            {"keyword": "KATT"},
            {"keyword": "KATT", "subscription_id": "k1"},
            {"shape": "message", "text": "STOPP"},
            {"shape": "message", "text": "KATT STOPP"},
        ]
    ),
)
def test_an_opt_out_that_arrives_after_an_opt_in_is_in_force_whatever_the_clocks_say(skews, delays, known_id, stop):
    # The id of the joining is that which the opt-out names, or there is none: no new joining has come in between.
    joined = {"keyword": "KATT"} | ({"subscription_id": "k1"} if known_id and "subscription_id" in stop else {})
    sequence = Story()
    sequence.emit(IN, delays[0] * -1 + skews[0], arrives=0, **joined)
    ruling = sequence.emit(OUT, 1 - delays[1] + skews[1], arrives=1, **stop)
    assert ruling.superseded_by is None
    assert sequence.active == []


def test_a_missing_keyword_is_found_by_the_ids():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", keyword_id="1", service_id="s1", subscription_id="k1")
    sequence.emit(IN, 0, keyword="HUND", keyword_id="2", service_id="s2", subscription_id="h1")
    sequence.emit(OUT, 5, keyword=None, service_id="s2")
    assert sequence.active == ["KATT"]


def test_an_alias_of_a_keyword_is_found_by_the_keyword_id():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", keyword_id="1")
    sequence.emit(OUT, 5, keyword="CAT", keyword_id="1")
    assert sequence.active == []


def test_an_opt_out_of_an_unknown_keyword_ends_all_of_the_short_number():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", keyword_id="1")
    sequence.emit(IN, 0, keyword="HUND", keyword_id="2")
    sequence.emit(IN, 0, keyword="FUGL", keyword_id="3", short_number="2003")
    ruling = sequence.emit(OUT, 5, keyword="SOMETHING")
    assert ruling.scope is Scope.SHORT_NUMBER
    assert sequence.active == ["FUGL"]


def test_an_opt_out_of_another_keyword_id_ends_no_known_subscription():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", keyword_id="1")
    assert sequence.emit(OUT, 5, keyword="FUGL", keyword_id="3").scope is Scope.SUBSCRIPTION
    assert sequence.active == ["KATT"]


def test_stop_all_reaches_every_short_number_of_the_provider():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT")
    sequence.emit(IN, 0, keyword="FUGL", short_number="2003")
    assert sequence.emit(OUT, 5, shape="message", text="STOPP ALLE").may_set_flag
    assert sequence.active == []


def test_the_keyword_in_the_text_counts_where_the_event_names_none():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT")
    sequence.emit(IN, 0, keyword="HUND")
    sequence.emit(OUT, 5, shape="message", text="Hund stopp")
    assert sequence.active == ["KATT"]


def test_an_opt_in_that_names_no_subscription_decides_nothing():
    sequence = Story()
    ruling = sequence.emit(IN, 0)
    assert ruling.decision is None
    assert sequence.active == []


def test_an_opt_out_in_the_crm_ends_everything_and_a_later_opt_in_counts():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", subscription_id="k1")
    out = sequence.by_person(OUT, 10)
    assert (out.scope, out.may_set_flag, sequence.active) == (Scope.EVERYTHING, True, [])
    assert sequence.emit(IN, 5, keyword="KATT", subscription_id="k1").superseded_by == "e2"
    assert sequence.emit(IN, 20, keyword="KATT", subscription_id="k2").decision is not None


def test_clearing_the_flag_of_one_of_two_records_with_a_number_changes_nothing():
    sequence = Story()
    sequence.by_person(OUT, 0)
    ruling = sequence.by_person(IN, 5, others_out=True)
    assert ruling.decision is None
    assert ruling.note


@pytest.mark.parametrize(("at", "counts"), [(9, False), (10, False), (11, True)])
def test_an_opt_out_on_one_of_two_records_holds_if_it_may_be_the_later_one(at, counts):
    """A person cleared the flag of one of them, and gave the other another number and the flag."""
    sequence = Story()
    sequence.by_person(OUT, 10, record={"Id": "r1"})
    assert (sequence.by_person(IN, at, record={"Id": "r2"}).decision is not None) is counts
    # The changes of one record come in their order, also within a second.
    assert sequence.by_person(IN, at, record={"Id": "r1"}).decision is not None


def test_a_second_opt_out_changes_nothing():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", keyword_id="1")
    assert sequence.emit(OUT, 5, keyword="KATT", keyword_id="1").changes_consent
    assert not sequence.emit(OUT, 6, keyword="KATT", keyword_id="1").changes_consent
    assert not sequence.emit(OUT, 6, keyword="KATT").changes_consent


def test_the_providers_confirmation_of_an_opt_out_in_the_crm_changes_nothing():
    sequence = Story()
    sequence.by_person(OUT, 0)
    assert not sequence.emit(OUT, 1, keyword="KATT", subscription_id="k1").changes_consent


def test_a_flag_cleared_before_a_stop_is_no_opt_in_when_it_is_seen_after_it():
    sequence = Story()
    sequence.by_person(OUT, 0)
    stop = sequence.emit(OUT, 10, shape="message", text="STOPP")
    assert sequence.by_person(IN, 9).superseded_by == "e2"
    assert sequence.ledger[-1].decision is stop.decision
    # At the same moment or later, and where the opt-out was the CRM's own, the CRM's order counts.
    assert sequence.by_person(IN, 10).decision is not None
    sequence.by_person(OUT, 12)
    assert sequence.by_person(IN, 11).decision is not None


def test_a_late_opt_out_ends_only_subscriptions_from_before_it():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT", subscription_id="a")
    sequence.emitted += 1  # event 2 waits for a person
    sequence.emit(IN, 10, keyword="HUND", subscription_id="b")
    late = sequence.emit(
        OUT, 5, shape="message", text="stopp dette tullet", opt_out_scope=Scope.SHORT_NUMBER, event_id=2
    )
    assert (sequence.active, late.remaining, late.may_set_flag) == (["HUND"], 1, False)


def test_a_late_opt_out_is_superseded_by_a_newer_opt_in_of_the_same_subscription():
    sequence = Story()
    sequence.emitted += 1  # event 1 waits for a person
    joined = sequence.emit(IN, 10, keyword="KATT")
    assert joined.changes_consent
    for fields in ({"keyword": "KATT"}, {"opt_out_scope": Scope.SHORT_NUMBER}, {"opt_out_scope": Scope.PROVIDER}):
        late = sequence.emit(OUT, 5, shape="message", text="KATT stopp dette", event_id=1, **fields)
        assert (late.decision, late.superseded_by) == (None, "e2")
    assert sequence.active == ["KATT"]


def test_the_scope_of_the_reader_goes_before_the_keyword_of_the_event():
    for scope in (Scope.SHORT_NUMBER, Scope.PROVIDER):
        sequence = Story()
        sequence.emit(IN, 0, keyword="KATT")
        sequence.emit(IN, 0, keyword="HUND")
        sequence.emit(OUT, 5, shape="poll_reply", text="STOP", keyword="KATT", opt_out_scope=scope)
        assert sequence.active == []


def test_composed_and_decomposed_letters_are_the_same_keyword():
    sequence = Story()
    sequence.emit(IN, 0, keyword="BL\u00c5")
    sequence.emit(IN, 0, keyword="HUND")
    sequence.emit(OUT, 5, keyword="bla\u030a")
    assert sequence.active == ["HUND"]


def test_a_text_that_is_not_wholly_a_stop_does_not_widen_the_opt_out():
    sequence = Story()
    sequence.emit(IN, 0, keyword="KATT")
    sequence.emit(IN, 0, keyword="HUND")
    sequence.emit(OUT, 5, shape="message", text="stopp alle disse krigene", keyword="KATT")
    assert sequence.active == ["HUND"]
