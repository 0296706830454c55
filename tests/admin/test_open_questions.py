"""Which question is asked about what is parked, and which answers there are."""

import pytest
from msgspec.structs import replace
from store.conftest import NOW, make_event, write

from connector.admin.open_questions import question_and_answers
from connector.consent.change_events import CARRIED_OUT, DELETED
from connector.consent.changes import NUMBER_CHANGED, UNCLEAR_AUTHOR
from connector.consent.merges import MERGED
from connector.model.event import Verdict
from connector.model.operation import IfMany, IfNone, Match
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.store.dead_letters import DeadLetter

ANNA = Phone("+4790000001")
MATCHED = replace(write("k"), match=Match(phone=ANNA, fields=("MobilePhone",), none=IfNone.CREATE, many=IfMany.PARK))


def letter(*operations):
    return DeadLetter(
        event_id=1,
        event_key="k",
        provider="salesforce",
        received_at=NOW,
        unit_id=None,
        sink=None,
        reason=Reason.NEEDS_PERSON,
        detail=None,
        attempts=0,
        in_doubt=False,
        operations=operations,
    )


@pytest.mark.parametrize(
    ("question", "answers", "event", "operations"),
    [
        ("Which number?", {"release", "drop"}, {"action": NUMBER_CHANGED}, ()),
        ("Whose number is it?", {"drop"}, {"action": NUMBER_CHANGED, "properties": {CARRIED_OUT: "2"}}, ()),
        ("Which number?", {"release", "drop"}, {"number_is_unclear": True, "verdict": Verdict.OPT_OUT}, ()),
        ("Who changed it?", {"release", "drop"}, {"action": UNCLEAR_AUTHOR}, ()),
        ("Is the opt-out still right?", {"drop"}, {"shape": MERGED}, ()),
        ("Is the opt-out still right?", {"drop"}, {"shape": DELETED}, ()),
        ("Which amount?", {"drop"}, {"unread_price": "1.000,0,0"}, ()),
        ("Which contact?", {"release", "drop"}, {}, (MATCHED,)),
        ("Shall this be sent?", {"release", "drop"}, {}, (write("k"),)),
    ],
)
def test_each_kind_of_parked_event_has_its_own_question_and_answers(question, answers, event, operations):
    asked, words = question_and_answers(letter(*operations), replace(make_event("k"), **event))
    assert (asked, set(words)) == (question, answers)
    assert all(words.values())


def test_a_parked_operation_whose_event_was_deleted_has_the_general_question():
    assert question_and_answers(letter(), None)[0] == "Shall this be sent?"
