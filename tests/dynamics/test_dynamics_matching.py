"""Matching by phone number: which record is meant, and everybody with the number."""

from dynamics.dynamics_writes import deliver, event, matched, reasons, sink
from msgspec.structs import replace

from connector.model.operation import IfMany, IfNone
from connector.model.outcome import Delivered, Reason
from connector.model.remembered import Remembered
from connector.ports import Task

NUMBER = "+4790000001"


async def test_a_number_is_found_however_people_write_it(org):
    written = ["+47 900 00 001", "900 00 001", "0047 90000001", "90 00 00 01 (work)", "tel:+4790000001"]
    for text in written:
        await org.control("POST", "reset")
        (known,) = await org.load("contact", {"lastname": "A", "mobilephone": text})
        (outcome,) = await deliver(org, matched(NUMBER, firstname="Kari"))
        assert outcome.record_id == known, text


async def test_a_number_with_the_same_last_digits_is_another_person(org):
    await org.load("contact", {"lastname": "A", "mobilephone": "+46 790 000 001"})
    (outcome,) = await deliver(org, matched(NUMBER, key="4790000001", create={"lastname": "New"}))
    assert outcome.created


async def test_the_found_record_gets_the_key_and_children_find_it(org):
    (known,) = await org.load("contact", {"lastname": "A", "mobilephone": NUMBER})
    outcomes = await deliver(org, matched(NUMBER, key="4790000001", firstname="Kari"), event("e", "4790000001"))
    assert outcomes[0].record_id == known
    (row,) = await org.records("contact")
    assert (row["crmc_smskey"], row["firstname"]) == ("4790000001", "Kari")
    assert (await org.records("crmc_smsevent"))[0]["_crmc_contactid_value"] == known


async def test_no_record_or_several_with_the_number_are_handled_as_the_mapping_says(org):
    await org.load("contact", {"lastname": "A", "mobilephone": NUMBER}, {"lastname": "B", "mobilephone": NUMBER})
    first, second = [row["contactid"] for row in await org.records("contact")]
    oldest, newest, parked = (
        await deliver(
            org,
            matched(NUMBER, many=IfMany.OLDEST, firstname="O"),
        ),
        await deliver(org, matched(NUMBER, many=IfMany.NEWEST, firstname="N")),
        await deliver(org, matched(NUMBER)),
    )
    assert {oldest[0].record_id, newest[0].record_id} == {first, second}
    assert (parked[0].reason, first in parked[0].detail) == (Reason.NEEDS_PERSON, True)
    other = "+4790000009"
    skipped, asked = (
        await deliver(org, matched(other, none=IfNone.SKIP)),
        await deliver(org, matched(other, none=IfNone.PARK)),
    )
    assert skipped[0].absent
    assert asked[0].reason is Reason.NEEDS_PERSON


async def test_the_first_column_that_has_the_number_decides_which_record_is_meant(org):
    mobile, home = await org.load(
        "contact", {"lastname": "A", "mobilephone": NUMBER}, {"lastname": "B", "telephone1": NUMBER}
    )
    (outcome,) = await deliver(org, matched(NUMBER, fields=("mobilephone", "telephone1")))
    assert outcome.record_id == mobile
    assert home


def opt_out(number=NUMBER, **more):
    write = matched(number, many=IfMany.OLDEST, crmc_smsoptout=True, **more)
    return replace(write, consent=("crmc_smsoptout",))


async def test_an_opt_out_is_for_everybody_with_the_number(org):
    ids = await org.load(
        "contact",
        {"lastname": "A", "mobilephone": NUMBER},
        {"lastname": "B", "mobilephone": "900 00 001"},
        {"lastname": "C", "mobilephone": "+4790000002"},
    )
    (outcome,) = await deliver(org, opt_out())
    assert isinstance(outcome, Delivered)
    assert {outcome.record_id, *outcome.also_updated} == set(ids[:2])
    assert {row["lastname"]: row["crmc_smsoptout"] for row in await org.records("contact")} == {
        "A": True,
        "B": True,
        "C": False,
    }


async def test_an_opt_out_that_one_record_with_the_number_refuses_is_not_delivered(org):
    await org.load("contact", {"lastname": "A", "mobilephone": NUMBER}, {"lastname": "B", "mobilephone": NUMBER})
    await org.fault("plugin", message="no", records=["B"])
    (outcome,) = await deliver(org, opt_out())
    assert (outcome.reason, len(outcome.also_updated)) == (Reason.VALIDATION, 1)


async def test_a_remembered_record_is_used_without_a_search_and_replaced_by_the_kept_record_after_a_merge(org):
    winner, loser = await org.load("contact", {"lastname": "A"}, {"lastname": "B", "mobilephone": NUMBER})
    task = Task(matched(NUMBER, firstname="Kari"), remembered=Remembered(record_id=loser))
    assert (await deliver(org, task))[0].record_id == loser
    await org.control("POST", "merge", {"table": "contact", "winner": winner, "loser": loser})
    assert (await deliver(org, task))[0].record_id == winner


async def test_an_opt_in_for_a_record_that_is_merged_before_the_write_leaves_the_opt_out_of_the_kept_record(org):
    found, opted_out = await org.load(
        "contact", {"lastname": "A", "mobilephone": NUMBER}, {"lastname": "B", "crmc_smsoptout": True}
    )
    writer = sink()
    await writer.prepare(org, ["contact"])

    async def merge():
        await org.control("POST", "merge", {"table": "contact", "winner": opted_out, "loser": found})

    org.between = merge()  # after the search, before the write
    opt_in = replace(matched(NUMBER, crmc_smsoptout=False), consent=("crmc_smsoptout",), clears_flag=True)
    (outcome,) = await writer.write(org, [Task(opt_in, shadow={"crmc_smsoptout": False})])
    assert (outcome.record_id, outcome.left_out) == (opted_out, ("crmc_smsoptout",))
    flags = {row["contactid"]: row["crmc_smsoptout"] for row in await org.records("contact")}
    assert flags[opted_out]


async def test_a_record_whose_number_is_in_other_digits_is_found_if_a_feed_has_shown_it(org):
    written = "".join(chr(0x660 + int(digit)) for digit in NUMBER[3:])
    shown, changed = await org.load(
        "contact", {"lastname": "A", "mobilephone": written}, {"lastname": "B", "mobilephone": "+4790000009"}
    )
    remembered = Remembered(oddly_written=(shown, changed))
    outcomes = await deliver(org, Task(matched(NUMBER, none=IfNone.SKIP, firstname="Kari"), remembered=remembered))
    assert outcomes[0].record_id == shown


async def test_two_numbers_of_one_record_are_written_one_after_the_other(org):
    await org.load("contact", {"lastname": "A", "mobilephone": NUMBER, "telephone1": "+4790000002"})
    fields = ("mobilephone", "telephone1")
    outcomes = await deliver(
        org, matched(NUMBER, fields=fields, firstname="X"), matched("+4790000002", fields=fields, firstname="Y")
    )
    assert reasons(outcomes) == [None, Reason.HALTED]


async def test_children_of_a_person_without_a_record_are_left_out(org):
    person = matched(NUMBER, none=IfNone.SKIP, key="4790000001")
    outcomes = await deliver(org, person, event("e", "4790000001"))
    assert all(one.absent for one in outcomes)
    assert await org.records("crmc_smsevent") == []


async def test_a_hundred_people_share_a_search(org):
    await org.control(
        "POST", "seed/contact", {"count": 100, "fields": {"lastname": "D", "mobilephone": "+47 900 00 ###"}}
    )
    before = await org.api_calls()
    outcomes = await deliver(org, *(matched(f"+4790000{n:03}", firstname="Kari") for n in range(100)))
    assert all(isinstance(one, Delivered) and not one.created for one in outcomes)
    assert await org.api_calls() - before == 3  # the definition, the search, the batch


class Refusing:
    """An `Http` that refuses searches for one number with a code nobody knows."""

    def __init__(self, http, ending):
        self.http, self.ending = http, ending

    async def call(self, call):
        reply = await self.http.call(call)
        if call.method == "GET" and self.ending in call.path:
            body = b'{"error": {"code": "0x8000beef", "message": "odd"}}'
            return replace(reply, status=400, body=body)
        return reply


async def test_a_search_that_is_refused_with_an_unknown_code_stops_no_other_person(org):
    people = [f"+479000000{n}" for n in range(4)]
    tasks = [Task(matched(one, key=one[1:], create={"lastname": "New"})) for one in people]
    outcomes = await sink().write(Refusing(org, "%25".join("90000002")), tasks)
    assert reasons(outcomes) == [None, None, Reason.UNKNOWN_CODE, None]
