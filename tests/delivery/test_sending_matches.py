"""Writes with a match in a batch: what the sink receives, and what is passed on."""

from collections.abc import Sequence

import pytest

from connector.delivery.http_client import FixedCredentials, Transport
from connector.delivery.send import AlsoUpdated, send
from connector.model.crm_traits import PLAIN
from connector.model.http import Http
from connector.model.operation import IfMany, IfNone, Match, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.model.remembered import Remembered
from connector.ports import Task

NUMBER = "+4790000001"
MATCH = Match(phone=Phone(NUMBER), fields=("MobilePhone",), none=IfNone.SKIP, many=IfMany.PARK)
KNOWN = Remembered(record_id="003A")


class Peer:
    """A sink in memory that has one outcome for all."""

    name = "sf"
    batch = 1000
    traits = PLAIN

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.requests: list[list[Task]] = []

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        self.requests.append(list(tasks))
        await http.call_all([])
        return [self.outcome] * len(tasks)


def task(operation):
    return Task(operation, remembered=KNOWN if operation.match else Remembered())


def write(match=MATCH, **fields):
    return RecordWrite(sink="sf", object="Contact", key_field="K__c", key=NUMBER, set=fields, match=match)


@pytest.fixture
async def deliver():
    async with Transport() as transport:
        client = transport.client(FixedCredentials("http://127.0.0.1:1"))

        async def run(outcome, *operations):
            peer = Peer(outcome)
            return peer, await send(peer, client, operations, task)

        yield run


async def test_only_a_write_with_a_match_gets_remembered_records(deliver):
    other = RecordWrite(sink="sf", object="Contact", key_field="K__c", key="b")
    peer, _ = await deliver(Delivered(), write(A__c=1), other)
    assert [task.remembered for task in peer.requests[0]] == [KNOWN, Remembered()]


async def test_a_folded_match_that_a_person_must_decide_is_not_split(deliver):
    parked = Rejected(reason=Reason.NEEDS_PERSON)
    peer, sent = await deliver(parked, write(A__c=1), write(A__c=2), write(A__c=3))
    assert len(peer.requests) == 1
    assert sent.outcomes == [parked] * 3


async def test_a_match_that_is_folded_with_a_plain_write_is_still_a_match(deliver):
    for several in ((write(A__c=1), write(None, B__c=2)), (write(None, A__c=1), write(B__c=2))):
        peer, _ = await deliver(Delivered(), *several)
        ((task,),) = peer.requests
        assert task.operation.match == MATCH


async def test_a_match_that_found_nobody_wrote_no_record(deliver):
    _, sent = await deliver(Delivered(absent=True), write(A__c=1))
    assert sent.written == []


@pytest.mark.parametrize(
    "outcome",
    [Delivered(record_id="003A", also_updated=("003B",)), Rejected(reason=Reason.NEEDS_PERSON, also_updated=("003B",))],
)
async def test_other_updated_records_are_returned(deliver, outcome):
    _, sent = await deliver(outcome, write(A__c=1), write(A__c=2))
    assert sent.also_updated == (AlsoUpdated(1, write(A__c=2), ("003B",)),)


async def test_an_operation_to_be_retried_returns_no_other_updated_records(deliver):
    _, sent = await deliver(Retry(reason=Reason.ROW_LOCKED), write(A__c=1))
    assert sent.also_updated == ()
