"""Calls of Bulk API 2.0: the errors raised for each response, and one job over HTTP."""

import orjson
import pytest
from scripted_http import ScriptedHttp

from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.bulk import Bulk, Gone, State
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Failure, HttpError, HttpReply

BULK = Bulk(Api(version="62.0", client="test"))
JOB = {"id": "750A", "state": "InProgress", "createdDate": "2026-11-22T04:00:00.000+0000"}


def reply(status, body, **headers):
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpReply(status=status, headers=headers, body=raw)


async def test_the_state_of_a_job_is_read():
    job = await BULK.look(
        ScriptedHttp(reply(200, JOB | {"numberRecordsProcessed": 7, "numberRecordsFailed": 2})), "750A"
    )
    assert (job.state, job.processed, job.failed, job.state.ended) == (State.IN_PROGRESS, 7, 2, False)
    assert job.created.isoformat() == "2026-11-22T04:00:00+00:00"


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (HttpError(Failure.LOST), PeerUnavailable),
        (HttpError(Failure.CREDENTIALS, "check the sign-in"), PeerUnavailable),
        (reply(503, b"<html>"), PeerUnavailable),
        (
            reply(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]),
            PeerUnavailable,
        ),
        (reply(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]), Gone),
        (reply(400, [{"errorCode": "INVALID_FIELD", "message": "No such column 'X'"}]), ConnectorError),
        (reply(400, [{"errorCode": "INVALIDJOB", "message": "InvalidJob : Field name provided"}]), ConnectorError),
        (reply(400, [{"errorCode": "INVALIDJOBSTATE", "message": "Closing is not allowed"}]), ConnectorError),
        (reply(400, [{"errorCode": "API_ERROR", "message": "x"}]), ConnectorError),
        (reply(400, [{"errorCode": "EXCEEDED_QUOTA", "message": "x"}]), ConnectorError),
        (reply(400, [{"errorCode": "BRAND_NEW", "message": "x"}]), ConnectorError),
        (reply(400, [{"errorCode": "TXN_SECURITY_METERING_ERROR", "message": "x"}]), PeerUnavailable),
        (reply(500, [{"errorCode": "BRAND_NEW", "message": "x"}]), PeerUnavailable),
        (reply(200, {"id": "1"}), PeerUnavailable),
        (reply(200, JOB | {"state": "Odd"}), PeerUnavailable),
        (reply(200, b"<html>"), PeerUnavailable),
    ],
)
async def test_an_invalid_job_reply_is_a_temporary_or_permanent_error(answer, raised):
    with pytest.raises(ConnectorError) as found:
        await BULK.look(ScriptedHttp(answer), "750A")
    assert found.type is raised


async def test_a_refused_job_is_reported_with_the_cure():
    body = [{"errorCode": "EXCEEDED_QUOTA", "message": "ExceededQuota : ApiBatchItems Limit exceeded."}]
    with pytest.raises(ConnectorError, match="bulk jobs of 24 hours are used up"):
        await BULK.update(ScriptedHttp(reply(400, body)), "Contact")


async def test_an_api_without_bulk_jobs_is_distinguished_from_a_missing_job():
    with pytest.raises(ConnectorError, match=r"api_version 47\.0") as found:
        await BULK.query(
            ScriptedHttp(reply(404, [{"errorCode": "NOT_FOUND", "message": "none such"}])), "SELECT Id FROM Contact"
        )
    assert found.type is ConnectorError


async def test_an_upload_sends_the_rows_as_csv_and_closes_the_job():
    http = ScriptedHttp(reply(201, b""), reply(200, JOB | {"state": "UploadComplete"}))
    await BULK.upload(http, "750A", ("Id", "SMS_Key__c"), iter([("003A", "+4790000001"), ("003B", 'a,"b"')]))
    put, close = http.calls
    assert (put.method, put.path) == ("PUT", "/services/data/v62.0/jobs/ingest/750A/batches")
    assert put.body == b'Id,SMS_Key__c\n003A,+4790000001\n003B,"a,""b"""\n'
    assert (close.method, close.body) == ("PATCH", b'{"state":"UploadComplete"}')


@pytest.mark.parametrize(
    ("header", "locator"), [({"sforce-locator": "null"}, None), ({}, None), ({"sforce-locator": "x"}, "x")]
)
async def test_a_page_names_the_position_of_the_next_one(header, locator):
    body = b'"Id","Name"\n"003A","two\nlines, and a comma"\n'
    table = await BULK.page(
        ScriptedHttp(reply(200, body, **{"sforce-numberofrecords": "1"}, **header)), "750A", None, 5
    )
    assert table.locator == locator
    assert list(table.rows("Id")) == [{"Id": "003A", "Name": "two\nlines, and a comma"}]


async def test_a_page_without_its_number_of_rows_may_be_incomplete():
    with pytest.raises(PeerUnavailable, match="how many"):
        await BULK.page(ScriptedHttp(reply(200, b'"Id"\n"003A"\n')), "750A", None, 5)


async def test_a_page_that_names_itself_as_the_next_is_an_error():
    same = reply(200, b'"Id"\n"003A"\n', **{"sforce-numberofrecords": "1", "sforce-locator": "x"})
    with pytest.raises(PeerUnavailable, match="leads to itself"):
        await BULK.page(ScriptedHttp(same), "750A", "x", 5)


@pytest.mark.parametrize("body", [b"<html>", b'"Id"\n"003A"\n', b'"Id","Na'])
async def test_incomplete_or_unexpected_results_are_an_error(body):
    table = await BULK.page(ScriptedHttp(reply(200, body, **{"sforce-numberofrecords": "2"})), "750A", None, 5)
    with pytest.raises(PeerUnavailable, match="Salesforce sent"):
        list(table.rows("Id"))


async def test_a_job_changes_records_and_reports_the_refused_ones(org):
    first, second = await org.load("Contact", [{"LastName": "a"}, {"LastName": "b"}])
    job = await BULK.update(org, "Contact")
    assert job.state is State.OPEN
    rows = iter([(first, "k1"), (second, "k1"), ("003000000000000AAA", "k2")])
    await BULK.upload(org, job.id, ("Id", "SMS_Key__c"), rows)
    while not (job := await BULK.look(org, job.id)).state.ended:
        pass
    assert (job.processed, job.failed) == (3, 2)
    failed = await BULK.failed(org, job)
    assert [row["sf__Error"].partition(":")[0] for row in failed.rows()] == [
        "DUPLICATE_VALUE",
        "INVALID_CROSS_REFERENCE_KEY",
    ]
    succeeded = await BULK.succeeded(org, job)
    assert [row["sf__Id"] for row in succeeded.rows("sf__Id")] == [first]
    assert [one["SMS_Key__c"] for one in await org.records("Contact")] == ["k1", None]


async def test_a_query_is_read_by_pages_and_its_job_is_deleted(org):
    await org.load("Contact", [{"LastName": f"n{number}"} for number in range(5)])
    job = await BULK.query(org, "SELECT LastName FROM Contact ORDER BY LastName")
    while not (job := await BULK.look(org, job.id, query=True)).state.ended:
        pass
    pages, locator = [], None
    while not pages or locator is not None:
        table = await BULK.page(org, job.id, locator, 2)
        pages.append([row["LastName"] for row in table.rows()])
        locator = table.locator
    assert pages == [["n0", "n1"], ["n2", "n3"], ["n4"]]
    await BULK.forget(org, job.id)
    with pytest.raises(Gone):
        await BULK.look(org, job.id, query=True)
