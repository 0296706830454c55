"""A request that is too long (413, 414, 431) is divided; an indivisible one gives a clear error and is not retried forever."""

import orjson
import pytest
from msgspec.structs import replace
from scripted_http import AnsweringHttp

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read.feed import SalesforceFeed
from connector.crm.salesforce.write.lookups import LookUp, Wanted
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.crm.salesforce.write.writes import Write
from connector.model.http import HttpReply
from connector.model.operation import IfMany, IfNone, Match, RecordWrite
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.ports import Page, Task

API = Api(version="62.0", client="tests")
DONOR = "+4790000001"
STATUSES = (413, 414, 431)
IDS = [f"0035f00000{place:05d}AAA" for place in range(8)]


def write(key):
    return RecordWrite(sink="crm", object="Contact", key_field="SMS_Key__c", key=key, set={"LastName": "Ås"})


def refused(status):
    return HttpReply(status=status, headers={}, body=b"<h1>Bad Message</h1><pre>reason: URI Too Long</pre>")


def found(call, most):
    """At most so many of the Ids in one question."""
    asked = [one for one in IDS if one in call.path]
    if len(asked) > most:
        return refused(414)
    rows = [{"Id": one, "SystemModstamp": "2026-11-22T04:00:00.000+0000", "IsDeleted": False} for one in asked]
    return HttpReply(status=200, headers={}, body=orjson.dumps({"records": rows, "done": True}))


async def test_a_query_by_ids_that_is_too_long_is_split():
    feed = SalesforceFeed("salesforce", "SMS_Event__c", api=API, fields=("Name",))
    http = AnsweringHttp(lambda call: found(call, 3))
    page = await feed.look(http, IDS)
    assert isinstance(page, Page)
    assert [row.record_id for row in page.rows] == IDS
    assert len(http.calls) == 7
    http = AnsweringHttp(lambda call: found(call, 0))
    assert isinstance(await feed.look(http, IDS[:1]), Retry)
    assert len(http.calls) == 1


@pytest.mark.parametrize("status", STATUSES)
async def test_a_query_for_changes_that_is_too_long_asks_for_fewer_fields(status):
    feed = SalesforceFeed("salesforce", "Contact", api=API, fields=("Name",))
    http = AnsweringHttp(lambda call: refused(status))
    trouble = await feed.ask(http, None)
    assert (trouble.reason, len(http.calls)) == (Reason.CONFIGURATION, 1)
    assert "fewer fields" in trouble.cure


@pytest.mark.parametrize("status", STATUSES)
async def test_a_look_up_that_is_too_long_is_split_down_to_single_keys(status):
    http = AnsweringHttp(lambda call: refused(status))
    look_up = LookUp(RestClient(API, http))
    writes = [Write(task=Task(one), original=one, index=place) for place in range(4) for one in [write(f"k{place}")]]
    await look_up.run([Wanted(write=write, record_write=write.record_write) for write in writes])
    assert len(http.calls) == 10
    # A question for one key is short: no record is to blame, and a person is called.
    assert ({one.outcome for one in writes}, look_up.stopped.reason) == ({None}, Reason.SINK_REFUSES)
    assert "proxy" in look_up.stopped.cure


async def test_a_search_for_people_that_is_too_long_is_split():
    match = Match(phone=Phone(DONOR), fields=("MobilePhone",), none=IfNone.CREATE, many=IfMany.PARK)
    writes = [replace(write(f"k{place}"), match=match) for place in range(4)]
    http = AnsweringHttp(lambda call: refused(414))
    outcomes = await SalesforceSink("crm", api=API).write(http, [Task(one) for one in writes])
    assert {type(one) for one in outcomes} == {Retry}
    assert {one.reason for one in outcomes} == {Reason.SINK_REFUSES}


@pytest.mark.parametrize("status", STATUSES)
async def test_a_record_that_is_too_long_is_refused_and_the_others_are_written(org, status):
    await org.fault("refuse", status=status, message="too long", only="writes", records=["k7"])
    writes = [write(f"k{place}x") for place in range(20)]
    writes[7] = replace(writes[7], set={"LastName": "Ås", "Description": "x" * 20_000})
    outcomes = await SalesforceSink("crm", api=API).write(org, [Task(one) for one in writes])
    assert isinstance(outcomes[7], Rejected)
    assert (outcomes[7].reason, f"HTTP {status}" in outcomes[7].detail) == (Reason.TOO_LONG, True)
    assert all(isinstance(one, Delivered) for place, one in enumerate(outcomes) if place != 7)


async def test_short_records_are_not_rejected_as_too_long(org):
    await org.fault("refuse", status=413, message="too long", only="writes")
    outcomes = await SalesforceSink("crm", api=API).write(org, [Task(write(f"k{place}")) for place in range(300)])
    assert {(type(one), one.reason) for one in outcomes} == {(Retry, Reason.SINK_REFUSES)}
    assert "proxy" in outcomes[0].cure
    assert await org.records("Contact") == []
