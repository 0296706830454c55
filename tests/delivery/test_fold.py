from connector.crm.salesforce.traits import TRAITS
from connector.delivery.send import fold, rounds
from connector.model.operation import Parent, RecordWrite, ServiceCommand
from connector.model.phone import Phone


def write(key, *, of="Contact", create=None, consent=(), clears=False, may_create=True, **fields):
    return RecordWrite(
        sink="sf",
        object=of,
        key_field="K__c",
        key=key,
        set=fields,
        create=create or {},
        consent=consent,
        clears_flag=clears,
        may_create=may_create,
    )


def test_later_values_win_field_by_field():
    (one,) = fold([write("a", A=1, B=1), write("a", B=2)])
    assert one.operation.set == {"A": 1, "B": 2}
    assert one.parts == (0, 1)


def test_writes_whose_keys_differ_in_letter_case_are_not_folded():
    assert [one.parts for one in fold([write("Ch_1aB"), write("ch_1Ab"), write("weiß"), write("weiss")])] == [
        (0,),
        (1,),
        (2,),
        (3,),
    ]


def test_ids_of_15_and_18_characters_of_one_record_are_folded():
    ids = ["0035f00000aBcDe", "0035f00000aBcDeAAK", "0035f00000AbCdE"]
    writes = [RecordWrite(sink="s", object="Contact", key_field="Id", key=TRAITS.full_id(one)) for one in ids]
    assert [one.parts for one in fold(writes)] == [(0, 1), (2,)]


def test_different_records_and_commands_are_not_folded():
    command = ServiceCommand(sink="s", action="stop", phone=Phone("+4790000001"), short_number="1", keyword="K")
    folds = fold([write("a"), write("a", of="Task"), write("b"), command, command])
    assert [one.parts for one in folds] == [(0,), (1,), (2,), (3,), (4,)]


def test_a_fold_never_moves_a_set_field_to_create():
    (one,) = fold([write("a", A=1), write("a", create={"A": 2, "L": "x"}, B=2)])
    assert one.operation.set == {"A": 1, "B": 2}
    assert one.operation.create == {"L": "x"}


def test_the_last_write_of_the_flag_decides_whether_the_fold_clears_it():
    first = write("a", consent=("Out",), clears=True, Out=False)
    last = write("a", consent=("Out",), clears=False, Out=True)
    assert fold([first, last])[0].operation.clears_flag is False
    assert fold([last, first])[0].operation.clears_flag is True
    assert fold([last, write("a", B=1)])[0].operation.consent == ("Out",)


def test_an_update_folded_with_an_upsert_may_create():
    assert fold([write("a", may_create=False), write("a")])[0].operation.may_create


def test_parents_are_found_under_set_and_under_create():
    child = write("c", P__r=Parent("K__c", "a"), create={"Q__r": Parent("K__c", "b")})
    assert {parent.key for parent in child.parents} == {"a", "b"}


def test_refused_folds_are_sent_part_by_part_one_part_of_a_record_at_a_time():
    folds = fold([write("a", A=1), write("b", A=1), write("a", A=2), write("b", A=2), write("a", A=3), write("c")])
    turns = [[part for _, part in turn] for turn in rounds(folds)]
    assert turns == [[0, 1], [2, 3], [4]]


def test_a_fold_is_consent_only_if_all_its_parts_are():
    alone = RecordWrite(sink="s", object="Contact", key_field="K", key="a", set={"Out": True}, consent_only=True)
    assert fold([alone, alone])[0].operation.consent_only
    assert not fold([write("a", create={"L": "x"}), alone])[0].operation.consent_only
