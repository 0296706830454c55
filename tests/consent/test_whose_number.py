"""Events of a change: one per number that an opted-out record has or had, and the question about them."""

from datetime import UTC, datetime

import pytest

from connector.consent.change_events import change_events, deletion_events, number_question, numbers_in_keys
from connector.consent.changes import NUMBER_CHANGED, Change, ComparedRow
from connector.model.consent_fields import ConsentFields
from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.event import Verdict
from connector.model.phone import Phone
from connector.model.record_number import NO_NUMBER, RecordNumber
from connector.ports import Row

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONSENT = ConsentFields(object="Contact", flag="Out", phone="Mobile")
ANNA, BERIT, CARL = Phone("+4790000001"), Phone("+4790000002"), Phone("+4790000003")


def one(phone):
    return RecordNumber(phone, (phone,))


def events(
    number, *others, verdict=Verdict.OPT_OUT, changed=("Out",), number_changed=False, unique="u", consent=CONSENT
):
    row = Row(record_id="003A", stamp=NOON, fields={"Mobile": "written", "Out": True})
    change = Change(fields=changed, verdict=verdict, number_changed=number_changed)
    return change_events(
        ComparedRow(row, change, True),
        crm="crm",
        object_name="Contact",
        consent=consent,
        number=number,
        earlier_numbers=others,
        poll="poll",
        unique=unique,
        received_at=NOON,
    )


def people(made):
    return [event.msisdn for event in made if event.action != NUMBER_CHANGED]


def questions(made):
    return [event for event in made if event.action == NUMBER_CHANGED]


def test_an_opt_out_of_a_record_with_one_number_is_one_event():
    (event,) = events(one(ANNA), ANNA, ANNA)
    assert (event.msisdn, event.verdict, event.changed, event.record["Mobile"]) == (
        ANNA,
        Verdict.OPT_OUT,
        ("Out",),
        "written",
    )


def test_an_opt_out_makes_one_event_for_each_known_number_of_the_record():
    made = events(one(BERIT), ANNA, CARL, ANNA, changed=("Mobile", "Out"), number_changed=True)
    assert people(made) == [BERIT, ANNA, CARL]
    assert [event.record["Mobile"] for event in made[1:3]] == [ANNA.e164, CARL.e164]
    assert [event.changed for event in made[:3]] == [("Mobile", "Out"), ("Out",), ("Out",)]
    assert {event.verdict for event in made[:3]} == {Verdict.OPT_OUT}
    assert {event.batch for event in made} == {"poll"}
    assert len({event.key for event in made}) == len(made)
    (question,) = questions(made)
    assert (question.verdict, "for 3 of them" in number_question(question)) == (Verdict.NONE, True)


def test_an_opt_out_with_an_emptied_number_is_for_the_previous_number():
    (event,) = events(NO_NUMBER, ANNA, changed=("Mobile", "Out"))
    assert (event.msisdn, event.record["Mobile"], event.changed) == (ANNA, ANNA.e164, ("Mobile", "Out"))


def test_an_opt_out_of_a_record_without_a_number_is_one_event_without_a_person():
    (event,) = events(NO_NUMBER)
    assert (event.msisdn, event.record["Mobile"]) == (None, "written")


def test_an_unclear_number_is_read_as_the_known_number_that_it_may_mean():
    unclear = RecordNumber(None, (ANNA, Phone("+4590000001")))
    (event,) = events(unclear, ANNA)
    assert (event.msisdn, event.number_is_unclear) == (ANNA, False)
    made = events(unclear, BERIT)
    assert (made[0].msisdn, made[0].number_is_unclear, made[1].msisdn) == (None, True, BERIT)


@pytest.mark.parametrize("verdict", [Verdict.OPT_IN, Verdict.NONE])
def test_only_an_opt_out_makes_events_for_other_numbers(verdict):
    assert people(events(one(BERIT), ANNA, verdict=verdict)) == [BERIT]


def test_an_older_change_of_number_raises_one_question():
    first, again = questions(events(one(BERIT), ANNA, unique="1")) + questions(events(one(BERIT), ANNA, unique="2"))
    assert first.key == again.key
    other = questions(events(one(CARL), ANNA, unique="3"))[0]
    assert other.key != first.key
    now, later = (
        questions(events(one(BERIT), ANNA, number_changed=True, unique=unique))[0].key for unique in ("1", "2")
    )
    assert now != later


def test_an_object_without_consent_fields_makes_no_events_for_other_numbers():
    assert len(events(one(BERIT), ANNA, consent=None)) == 1


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["+4790000001"], [ANNA]),
        (["0047 90000001", None], [ANNA]),
        (["strex:+4790000001"], [ANNA]),
        # Other digits may be anything: a member's number is nobody's phone.
        (["90000001"], []),
        (["4790000001"], []),
        ([4790000001, "", "ACC-0047123"], []),
    ],
)
def test_a_key_names_a_number_only_with_its_country_code(keys, found):
    assert list(numbers_in_keys(keys, PLAIN)) == found


def test_digits_of_a_key_that_may_hold_no_plus_sign_are_an_international_number():
    traits = CrmTraits(refused_in_keys=frozenset("+/"))
    assert list(numbers_in_keys(["4790000001", "+4790000001", "90000001", "K-4790000001"], traits)) == [ANNA, ANNA]


def test_a_deleted_record_makes_one_event_for_each_of_its_numbers():
    row = Row(record_id="003A", stamp=NOON, fields={}, deleted=True)
    made = deletion_events(row, [ANNA, BERIT, ANNA], crm="crm", object_name="Contact", received_at=NOON, unique="u")
    assert [event.msisdn for event in made] == [ANNA, BERIT]
    assert len({event.key for event in made}) == 2
