"""Bulk API 2.0 of the Salesforce sandbox: with a third-party client, and with errors."""

import asyncio
import csv
import io

import pytest
from sandbox.test_salesforce_clients import PlainSession
from sandbox.test_salesforce_signin import V, signed_in
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceOperationError

LOGIN = {"consumer_key": "sandbox", "consumer_secret": "sandbox", "domain": "acme.my"}
UPDATE = {"object": "Contact", "operation": "update", "contentType": "CSV", "lineEnding": "LF"}


async def raw(org, method, path, body=None):
    """Status, headers and text of a call whose body is CSV."""
    headers = {"Authorization": f"Bearer {org.token}", "Content-Type": "text/csv"}
    async with org.http.request(method, org.url + V + path, data=body, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()


async def ended(org, path):
    for _ in range(2000):
        _, job = await org.call("GET", path)
        if job["state"] in {"JobComplete", "Failed", "Aborted"}:
            return job
    raise AssertionError(job)


async def ingest(org, data, **wish):
    status, job = await org.call("POST", "/jobs/ingest", UPDATE | wish)
    assert (status, job["state"]) == (200, "Open"), job
    path = f"/jobs/ingest/{job['id']}"
    assert (await raw(org, "PUT", f"{path}/batches", data))[0] == 201
    status, job = await org.call("PATCH", path, {"state": "UploadComplete"})
    assert (status, job["state"]) == (200, "UploadComplete")
    return path


async def rows(org, path):
    _, headers, text = await raw(org, "GET", path)
    return headers, list(csv.DictReader(io.StringIO(text)))


def use(base):
    with PlainSession(base) as session:
        client = Salesforce(session=session, **LOGIN)
        contacts = client.bulk2.Contact
        (made,) = contacts.insert(records=[{"LastName": f"n{number}"} for number in range(2500)], wait=0.01)
        assert (made["numberRecordsProcessed"], made["numberRecordsFailed"]) == (2500, 0)
        pages = list(
            contacts.query("SELECT Id, LastName, DoNotCall, CreatedDate FROM Contact", max_records=1000, wait=0.01)
        )
        found = [row for page in pages for row in csv.DictReader(io.StringIO(page))]
        assert [len(pages), len(found)] == [3, 2500]
        assert found[0]["DoNotCall"] == "false"
        assert found[0]["CreatedDate"].endswith(".000Z")
        ids = [row["Id"] for row in found]
        changes = [
            {"Id": ids[0], "SMS_Key__c": "k0"},
            {"Id": ids[1], "SMS_Key__c": "K0"},
            {"Id": "003", "LastName": "x"},
        ]
        (changed,) = contacts.update(records=changes, wait=0.01)
        assert (changed["numberRecordsProcessed"], changed["numberRecordsFailed"]) == (3, 2)
        results = contacts.get_all_ingest_records(changed["job_id"])
        assert [row["sf__Id"] for row in results["successfulRecords"]] == [ids[0]]
        assert [row["sf__Error"].partition(":")[0] for row in results["failedRecords"]] == [
            "DUPLICATE_VALUE",
            "MALFORMED_ID",
        ]
        assert list(results["unprocessedRecords"]) == []
        upserts = [{"SMS_Key__c": "K0", "LastName": "again"}, {"SMS_Key__c": "k9", "LastName": "new"}]
        (upserted,) = contacts.upsert(records=upserts, external_id_field="SMS_Key__c", wait=0.01)
        assert upserted["numberRecordsFailed"] == 0
        (deleted,) = contacts.delete(records=[{"Id": ids[2]}], wait=0.01)
        assert deleted["numberRecordsFailed"] == 0
        with pytest.raises(SalesforceOperationError, match="Field name not found : Odd"):
            contacts.update(records=[{"Id": ids[0], "Odd": "1"}], wait=0.01)
        return ids


async def test_simple_salesforce_s_bulk2_works():
    async with signed_in() as org:
        ids = await asyncio.to_thread(use, org.url)
        by_id = {row["Id"]: row for row in await org.rows("Contact")}
        assert (by_id[ids[0]]["LastName"], by_id[ids[2]]["IsDeleted"]) == ("again", True)
        assert len(by_id) == 2501
        _, stats = await org.control("GET", "stats")
        assert stats["requests"]["PUT /jobs/ingest/{job}/batches"] == 5


async def test_a_held_job_waits_and_goes_on_when_the_fault_is_cleared():
    async with signed_in() as org:
        ids = await org.load("Contact", *({"LastName": "x"} for _ in range(3000)))
        await org.control("POST", "faults", {"fault": "job_held", "after": 1})
        path = await ingest(org, "Id,LastName\n" + "".join(f"{one},y\n" for one in ids))
        job = {}
        while job.get("numberRecordsProcessed") != 1000:
            _, job = await org.call("GET", path)
        assert job["state"] == "InProgress"
        assert (await org.call("DELETE", path))[0] == 400
        await org.control("DELETE", "faults")
        assert (await ended(org, path))["numberRecordsProcessed"] == 3000
        assert {row["LastName"] for row in await org.rows("Contact")} == {"y"}
        assert (await org.call("DELETE", path))[0] == 204
        assert (await org.call("GET", path))[0] == 404


@pytest.mark.parametrize("how", ["fails", "aborted"])
async def test_a_job_that_ends_early_leaves_its_rest_unprocessed(how):
    async with signed_in() as org:
        ids = await org.load("Contact", *({"LastName": "x"} for _ in range(2500)))
        await org.control("POST", "faults", {"fault": "job_fails" if how == "fails" else "job_held", "after": 2})
        path = await ingest(org, "Id,LastName\n" + "".join(f"{one},y\n" for one in ids))
        if how == "aborted":
            job = {}
            while job.get("numberRecordsProcessed") != 2000:
                _, job = await org.call("GET", path)
            assert (await org.call("PATCH", path, {"state": "Aborted"}))[0] == 200
        job = await ended(org, path)
        assert (job["state"], job["numberRecordsProcessed"]) == ("Failed" if how == "fails" else "Aborted", 2000)
        assert ("errorMessage" in job) == (how == "fails")
        _, left = await rows(org, f"{path}/unprocessedrecords")
        assert left == [{"Id": one, "LastName": "y"} for one in ids[2000:]]


async def test_rows_of_a_bulk_job_fail_one_by_one():
    async with signed_in() as org:
        ids = await org.load("Contact", *({"LastName": "x"} for _ in range(4)))
        await org.control("POST", "faults", {"fault": "job_row_lock", "records": [ids[1]]})
        data = f"Id,DoNotCall,LastName\n{ids[0]},perhaps,\n{ids[1]},true,\n{ids[2]},true,\n{ids[3]},,#N/A\n"
        path = await ingest(org, data)
        assert (await ended(org, path))["numberRecordsFailed"] == 3
        _, failed = await rows(org, f"{path}/failedResults")
        codes = [(row["sf__Id"], row["sf__Error"].partition(":")[0]) for row in failed]
        assert codes == [
            (ids[0], "JSON_PARSER_ERROR"),
            (ids[1], "UNABLE_TO_LOCK_ROW"),
            (ids[3], "REQUIRED_FIELD_MISSING"),
        ]
        assert [row["DoNotCall"] for row in await org.rows("Contact")] == [False, False, True, False]


async def test_parents_are_named_by_their_keys():
    async with signed_in() as org:
        (contact,) = await org.load("Contact", {"LastName": "x", "SMS_Key__c": "k1"})
        path = await ingest(
            org,
            "Event_Key__c|Contact__r.SMS_Key__c\r\ne1|K1\r\n",
            object="SMS_Event__c",
            operation="insert",
            columnDelimiter="PIPE",
            lineEnding="CRLF",
        )
        assert (await ended(org, path))["numberRecordsFailed"] == 0
        assert (await org.rows("SMS_Event__c"))[0]["Contact__c"] == contact


async def test_data_is_uploaded_once_and_only_while_the_job_is_open():
    async with signed_in() as org:
        _, job = await org.call("POST", "/jobs/ingest", UPDATE)
        path = f"/jobs/ingest/{job['id']}"
        assert (await raw(org, "PUT", f"{path}/batches", "Id\n"))[0] == 201
        assert (await raw(org, "PUT", f"{path}/batches", "Id\n"))[0] == 400
        assert (await org.call("PATCH", path, {"state": "JobComplete"}))[0] == 400
        assert (await org.call("PATCH", path, {"state": "Aborted"}))[0] == 200
        assert (await org.call("PATCH", path, {"state": "UploadComplete"}))[0] == 400
        _, listed = await org.call("GET", "/jobs/ingest")
        assert [one["id"] for one in listed["records"]] == [job["id"]]


@pytest.mark.parametrize(
    ("data", "words"),
    [("Id,Odd\n", "Field name not found : Odd"), ("", "no header"), ("Id,LastName\n003\n", "more or fewer columns")],
)
async def test_data_that_cannot_be_read_fails_the_job(data, words):
    async with signed_in() as org:
        job = await ended(org, await ingest(org, data))
        assert (job["state"], words in job["errorMessage"]) == ("Failed", True)


async def test_wishes_for_jobs_that_cannot_be_are_refused():
    async with signed_in() as org:
        for wish in ({"operation": "merge"}, {"object": "Odd"}, {"columnDelimiter": "X"}, {"operation": "upsert"}):
            assert (await org.call("POST", "/jobs/ingest", UPDATE | wish))[0] in {400, 404}
        for query in ("SELECT COUNT() FROM Contact", "SELECT Odd FROM Contact", 5):
            assert (await org.call("POST", "/jobs/query", {"operation": "query", "query": query}))[0] == 400
        assert (await org.call("GET", "/jobs/query/750000000000000"))[0] == 404


async def test_a_query_job_sees_the_recycle_bin_on_demand_and_parents():
    async with signed_in() as org:
        (account,) = await org.load("Account", {"Name": 'Å "and" co'})
        first, _ = await org.load("Contact", {"LastName": "x", "AccountId": account}, {"LastName": "y"})
        await org.call("DELETE", f"/sobjects/Contact/{first}")
        wish = {"operation": "queryAll", "query": "SELECT LastName, Account.Name FROM Contact ORDER BY LastName"}
        _, job = await org.call("POST", "/jobs/query", wish)
        path = f"/jobs/query/{job['id']}"
        await ended(org, path)
        headers, found = await rows(org, f"{path}/results?maxRecords=1")
        assert found == [{"LastName": "x", "Account.Name": 'Å "and" co'}]
        headers, found = await rows(org, f"{path}/results?maxRecords=1&locator={headers['Sforce-Locator']}")
        assert (found, headers["Sforce-Locator"]) == ([{"LastName": "y", "Account.Name": ""}], "null")
        assert (await raw(org, "GET", f"{path}/results?locator=odd"))[0] == 400
