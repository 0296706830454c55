"""Unsendable writes and failing orgs: every task gets an outcome, and none is in doubt without need."""

import orjson
import pytest
from crm.salesforce_writes import contact, deliver, event, opt_in, reasons
from msgspec.structs import replace

from connector.model.operation import ServiceCommand
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.ports import Task


async def test_a_write_that_cannot_be_encoded_is_refused_and_the_others_are_written(org):
    outcomes = await deliver(
        org,
        contact("good"),
        replace(contact("k"), object="Contact/../User"),
        contact("k2", **{"Bad Name": 1}),
        contact("k3", FirstName="\ud800"),
        replace(contact("x"), key=" "),
        replace(contact("no-id"), key_field="Id"),
        replace(contact("0030000000000001AA"), key_field="Id", set={"LastName": "x"}, may_create=False),
        replace(contact("k4"), object="Lead", clears_flag=True),
        ServiceCommand(sink="crm", action="stop", phone=Phone("+4790000001"), short_number="2002", keyword="KATT"),
        contact("\ud800"),
        event("e", "x" * 3),
    )
    assert reasons(outcomes)[:6] == [
        None,
        Reason.CONFIGURATION,
        Reason.CONFIGURATION,
        Reason.BAD_VALUE,
        Reason.MISSING_KEY,
        Reason.BAD_VALUE,
    ]
    assert isinstance(outcomes[6], Rejected)
    assert reasons(outcomes)[7:] == [
        Reason.CONFIGURATION,
        Reason.BAD_COMMAND,
        Reason.BAD_VALUE,
        Reason.PARENT_MISSING,
    ]


async def test_an_empty_batch_makes_no_request(org):
    assert await deliver(org) == []
    assert org.sent == []


@pytest.mark.parametrize(
    ("fault", "reason", "in_doubt"),
    [
        ("unavailable", Reason.UNAVAILABLE, False),
        ("server_error", Reason.SERVER_ERROR, True),
        ("limit_exceeded", Reason.QUOTA_EXHAUSTED, False),
        ("concurrent_limit", Reason.RATE_LIMITED, False),
        ("html_401", Reason.CREDENTIALS, False),
        ("dropped", Reason.CONNECTION_LOST, True),
        ("dropped_before", Reason.CONNECTION_LOST, True),
        ("garbage", Reason.UNEXPECTED_ANSWER, True),
    ],
)
async def test_an_unavailable_org_gets_one_request_and_unsent_writes_are_not_in_doubt(org, fault, reason, in_doubt):
    await org.fault(fault)
    writes = [contact(f"k{n}") for n in range(1000)] + [event(f"e{n}", f"k{n}") for n in range(1000)]
    outcomes = await deliver(org, *writes)
    assert len(org.sent) == 1
    assert all(isinstance(outcome, Retry) and outcome.reason is reason for outcome in outcomes)
    assert {outcome.in_doubt for outcome in outcomes[:1000]} == {in_doubt}
    assert {outcome.in_doubt for outcome in outcomes[1000:]} == {False}
    again = await deliver(org, *writes)
    assert all(isinstance(outcome, Delivered) for outcome in again)
    assert len(await org.records("Contact")) == 1000


@pytest.mark.parametrize("fault", ["unavailable", "server_error", "limit_exceeded", "dropped_before", "garbage"])
async def test_a_failed_look_up_leaves_nothing_in_doubt_and_writes_nothing(org, fault):
    await org.fault(fault)
    outcomes = await deliver(org, Task(opt_in("a"), record_id="003000000000001AAA"), contact("b"))
    assert all(isinstance(outcome, Retry) and not outcome.in_doubt for outcome in outcomes)
    assert await org.records("Contact") == []


@pytest.mark.parametrize("fault", ["unavailable", "server_error", "limit_exceeded"])
async def test_nothing_is_written_while_the_key_fields_cannot_be_described(org, fault):
    await org.fault(fault)
    outcomes = await deliver(org, contact("a", create={"FirstName": "x"}), contact("b"))
    assert all(isinstance(outcome, Retry) and not outcome.in_doubt for outcome in outcomes)
    assert await org.records("Contact") == []


async def test_no_url_contains_a_phone_number(org):
    write = replace(contact("+4790000001", create={"FirstName": "x"}, MobilePhone="+4790000001"), may_create=True)
    await deliver(org, write, Task(opt_in("+4790000002")))
    assert org.sent
    assert not any("90000" in call.path for call in org.sent)
    assert any(b"90000" in orjson.dumps(orjson.loads(call.body)) for call in org.sent if call.body)
