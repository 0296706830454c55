"""Triggers that accept fewer records than a request holds: the request is divided at once; a single record is rejected."""

import pytest
from crm.salesforce_writes import contact, deliver, event, reasons, sink
from msgspec.structs import replace

from connector.crm.salesforce.client.error_codes import classify
from connector.crm.salesforce.write.requests import Item, RecordBatch
from connector.crm.salesforce.write.trigger_limits import TransactionSizes
from connector.model.outcome import Delivered, Reason, Rejected, Retry

CODE = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
QUERIES = "npsp.TDTM_Contact: System.LimitException: npsp:Too many SOQL queries: 101"
LIMITS = [
    QUERIES,
    "npsp.TDTM_Contact: System.LimitException: npsp:Too many query rows: 50001",
    "System.LimitException: npsp:Too many DML statements: 151",
    "T: execution of AfterInsert caused by: System.LimitException: Apex heap size too large: 6291457",
    "T: execution of AfterUpdate caused by: System.LimitException: Apex CPU time limit exceeded",
    "T: System.LimitException: Délai CPU Apex dépassé",
    "hed.TDTM_Contact: System.TypeException: Cannot have more than 10 chunks in a single operation",
    "boomtownapp.AccountTrigger: System.AsyncException: Database.executeBatch: batch apex job enqueue failed.",
]


@pytest.mark.parametrize("message", LIMITS)
@pytest.mark.parametrize("code", [CODE, "CANNOT_EXECUTE_FLOW_TRIGGER", "FLOW_EXCEPTION", "APEX_ERROR"])
def test_trigger_limits_are_recognised_by_the_exception_in_every_language(code, message):
    assert classify(code, message).reason is Reason.TRIGGER_LIMIT


async def test_a_request_that_exceeds_a_trigger_limit_is_split_until_it_succeeds(org):
    await org.fault("limit", records=50, message=QUERIES)
    outcomes = await deliver(org, *(contact(f"k{n}") for n in range(300)))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert len(await org.records("Contact")) == 300
    assert len([call for call in org.sent if "composite" in call.path]) <= 6


async def test_the_learned_request_size_holds_for_the_next_batch_and_grows_again(org):
    await org.fault("limit", records=50)
    crm = sink()
    await deliver(org, *(contact(f"k{n}") for n in range(300)), by=crm)
    org.sent.clear()
    outcomes = await deliver(org, *(contact(f"k{n}", FirstName="B") for n in range(250)), by=crm)
    assert all(isinstance(one, Delivered) and not one.was_split for one in outcomes[:50])
    assert len([call for call in org.sent if "composite" in call.path]) <= 3
    await org.control("DELETE", "faults")
    for turn in range(30):
        await deliver(org, *(contact(f"k{n}", FirstName=f"C{turn}") for n in range(200)), by=crm)
    org.sent.clear()
    await deliver(org, *(contact(f"k{n}", FirstName="D") for n in range(200)), by=crm)
    (call,) = org.sent
    assert "/composite/sobjects/" in call.path


async def test_a_record_that_exceeds_a_limit_alone_is_rejected_and_names_the_trigger(org):
    await org.fault("limit", records=0, object="Contact", message=QUERIES)
    (outcome,) = await deliver(org, contact("k"))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.code) == (Reason.TRIGGER_LIMIT, CODE)
    assert outcome.detail.startswith("TDTM_Contact of the package npsp meets a limit with this record alone: ")


async def test_a_request_refused_for_a_limit_is_split_and_a_single_record_rejected(org):
    await org.fault("refuse", status=400, code=CODE, message=QUERIES, records=["bad"])
    outcomes = await deliver(org, *(contact(f"k{n}") for n in range(9)), contact("bad"))
    assert reasons(outcomes) == [None] * 9 + [Reason.TRIGGER_LIMIT]
    assert isinstance(outcomes[-1], Rejected)


async def test_records_that_exceed_a_trigger_limit_do_not_stop_the_others(org):
    heavy = [f"heavy{n}" for n in range(5)]
    await org.fault("refuse", code=CODE, message=QUERIES, records=heavy)
    opt_out = contact("out", SMS_Opt_Out__c=True)
    outcomes = await deliver(org, *(contact(f"k{n}") for n in range(190)), *map(contact, heavy), opt_out)
    assert reasons(outcomes) == [None] * 190 + [Reason.TRIGGER_LIMIT] * 5 + [None]
    assert all(isinstance(one, Rejected) for one in outcomes[190:195])


async def test_outcomes_say_whether_their_request_was_split(org):
    await org.fault("limit", records=50, object="Contact")
    outcomes = await deliver(org, *(contact(f"k{n}") for n in range(60)), event("e"))
    assert [one.was_split for one in outcomes] == [True] * 60 + [False]


async def test_children_are_sent_after_parents_in_smaller_requests(org):
    await org.fault("limit", records=20, object="Contact")
    writes = [contact(f"k{n}") for n in range(100)] + [event(f"e{n}", f"k{n}") for n in range(100)]
    assert reasons(await deliver(org, *writes)) == [None] * 200
    assert all(one["Contact__c"] for one in await org.records("SMS_Event__c"))


async def test_if_every_record_exceeds_the_limit_the_rest_waits_without_an_attempt(org):
    await org.fault("limit", records=0, object="Contact")
    outcomes = await deliver(org, *(contact(f"k{n}") for n in range(1000)))
    emitted = set(reasons(outcomes))
    assert emitted == {Reason.TRIGGER_LIMIT}
    assert any(isinstance(one, Retry) for one in outcomes)
    assert any(isinstance(one, Rejected) for one in outcomes)
    assert len(org.sent) < 90


async def test_a_record_whose_flow_meets_a_lock_is_isolated_and_retried(org):
    await org.fault("limit", records=1, code="CANNOT_EXECUTE_FLOW_TRIGGER", message="UNABLE_TO_LOCK_ROW: verrouillé")
    assert reasons(await deliver(org, *(contact(f"k{n}") for n in range(4)))) == [None] * 4
    await org.control("DELETE", "faults")
    await org.fault("limit", records=0, code="CANNOT_EXECUTE_FLOW_TRIGGER", message="UNABLE_TO_LOCK_ROW: verrouillé")
    outcomes = await deliver(org, contact("k0"), contact("k1"))
    assert [(type(one), one.reason) for one in outcomes] == [(Retry, Reason.ROW_LOCKED)] * 2


async def test_if_every_record_is_locked_the_rest_waits_after_few_calls(org):
    await org.fault("limit", records=0, code="CANNOT_EXECUTE_FLOW_TRIGGER", message="UNABLE_TO_LOCK_ROW")
    outcomes = await deliver(org, *(contact(f"k{n}") for n in range(1000)))
    assert set(reasons(outcomes)) == {Reason.ROW_LOCKED}
    assert len(org.sent) < 20


def items(count, name="Contact"):
    one = Item(index=0, stage=0, object=name, key_field=None, fields={}, body=b"{}")
    return [replace(one, index=number) for number in range(count)]


def test_a_single_refused_record_does_not_shrink_all_requests():
    sizes = TransactionSizes()
    for count in (200, 100, 50, 25):
        sizes.note_refused("Contact", count)
        sizes.note_delivered(items(count // 2))
    sizes.note_delivered(items(100))
    assert sizes.max_records("Contact") == 100
    assert sizes.max_records("Task") == 200


def test_a_request_of_several_objects_is_split_by_the_limit_of_each():
    sizes = TransactionSizes()
    sizes.note_refused("Contact", 4)
    (one, two, three) = sizes.fit([RecordBatch([*items(5), *items(9, "Task")])])
    assert [len(each.items) for each in (one, two, three)] == [2, 2, 10]
