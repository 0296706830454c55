"""Failed searches: too slow, too many rows, rejected. These tests need no org."""

import orjson
import pytest
from scripted_http import AnsweringHttp

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.match import FEWEST_PEOPLE, PEOPLE, Matching
from connector.crm.salesforce.write.writes import Assumption, Write
from connector.model.http import Failure, HttpError, HttpReply
from connector.model.operation import IfMany, IfNone, Match, RecordWrite
from connector.model.outcome import Reason, Retry
from connector.model.phone import Phone
from connector.model.record_number import NumberReader
from connector.ports import Task

TIMEOUT = HttpError(Failure.TIMEOUT)


def person(n):
    record = RecordWrite(
        sink="crm",
        object="Contact",
        key_field="SMS_Key__c",
        key=f"+4790000{n:03}",
        set={"A__c": 1},
        match=Match(phone=Phone(f"+4790000{n:03}"), fields=("MobilePhone",), none=IfNone.CREATE, many=IfMany.OLDEST),
    )
    return Write(task=Task(record), original=record, index=n)


def people(count):
    return [person(n) for n in range(count)]


def answer(body, status=200):
    part = {"referenceId": "r0", "httpStatusCode": status, "body": body}
    return HttpReply(status=200, headers={}, body=orjson.dumps({"compositeResponse": [part]}))


NOBODY = answer({"done": True, "records": []})


async def ask(writes, reply, **how):
    """Match the writes; `reply` is given the number of people in each question. Returns the matching and these numbers."""
    http = AnsweringHttp(lambda call: reply(call.body.count(b"LIKE")))
    rest = RestClient(Api(version="62.0", client="tests"), http)
    matching = Matching(rest, numbers=NumberReader(default="NO"), consent={}, **how)
    await matching.run(writes)
    return matching, [call.body.count(b"LIKE") for call in http.calls]


@pytest.mark.parametrize(
    "too_much",
    [
        TIMEOUT,
        HttpReply(status=414, headers={}, body=b"<h1>URI Too Long</h1>"),
        answer([{"errorCode": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}], 400),
        answer([{"errorCode": "QUERY_TOO_COMPLICATED", "message": "Query is either selecting too many fields"}], 400),
        answer([{"errorCode": "MALFORMED_QUERY", "message": "SOQL statements cannot be longer than 100000"}], 400),
    ],
)
async def test_a_search_that_is_too_large_is_halved_and_the_size_is_remembered(too_much):
    writes = people(200)
    one, asked = await ask(writes, lambda count: too_much if count > 60 else NOBODY)
    assert asked == [200, 100, 50, 50, 100, 50, 50]
    assert one.people == 50
    assert {(each.assumption, each.found) for each in writes} == {(Assumption.FOUND, None)}
    _, asked = await ask(people(200), lambda _: NOBODY, people=one.people)
    assert asked == [50, 50, 50, 50]


async def test_an_org_that_is_too_slow_for_a_small_search_is_not_asked_further():
    one, asked = await ask(people(PEOPLE), lambda _: TIMEOUT)
    assert asked[-1] <= FEWEST_PEOPLE
    assert len(asked) < 10
    assert (one.stopped.reason, one.stopped.in_doubt) == (Reason.TIMEOUT, False)


async def test_an_unavailable_org_is_asked_once():
    one, asked = await ask(people(1000), lambda _: HttpReply(status=503, headers={}, body=b""))
    assert asked == [200]
    assert isinstance(one.stopped, Retry)


async def test_a_number_that_thousands_have_parks_only_its_own_write():
    full = answer({"done": False, "records": []})
    _, asked = await ask(people(4), lambda count: full if count > 1 else NOBODY)
    assert asked == [4, 2, 1, 1, 2, 1, 1]
    (alone,) = writes = people(1)
    await ask(writes, lambda _: full)
    assert alone.outcome.reason is Reason.NEEDS_PERSON
