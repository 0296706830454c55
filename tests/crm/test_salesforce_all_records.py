"""All records of an object, by plain queries and by a Bulk API job: each is returned once, including deleted ones."""

import pytest
from crm.conftest import an_org

from connector.consent.changes import may_differ
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.read.feed import SalesforceFeed
from connector.crm.salesforce.traits import TRAITS
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.outcome import Reason, Retry

FIELDS = ("MobilePhone", "SMS_Opt_Out__c", "SMS_Monthly_Amount__c", "SMS_Opt_Out_At__c")
SOURCE = SalesforceFeed("salesforce", "Contact", api=Api(version="62.0", client="tests"), fields=FIELDS)
FILLED = {
    "LastName": 'Ås, "Bø"',
    "MobilePhone": "+4790000001",
    "SMS_Opt_Out__c": True,
    "SMS_Monthly_Amount__c": 250.5,
    "SMS_Opt_Out_At__c": "2026-11-22T04:00:00.000+0000",
}


@pytest.fixture
async def org():
    async with an_org(session_seconds=1e6) as org:
        yield org


async def read(org):
    """All rows, the number of steps, and how many records were promised."""
    rows, steps, position = [], 0, None
    while True:
        step = await SOURCE.read_all(org, position)
        assert not isinstance(step, Retry), step
        rows += step.rows
        steps += 1
        position = step.position
        if step.last:
            return rows, steps, step.total


async def ready(org, position):
    """The first step that is ready."""
    while not (step := await SOURCE.read_all(org, position)).ready:
        pass
    return step


async def candidates(org, count):
    await org.control("POST", "seed/Contact", json={"count": count, "fields": {"LastName": "x"}})


@pytest.mark.parametrize(("count", "jobs"), [(0, 0), (3, 0), (2000, 0), (9_999, 0), (10_001, 1), (20_001, 1)])
async def test_every_record_is_read_once(org, count, jobs):
    if count:
        await candidates(org, count)
    rows, _, total = await read(org)
    assert total == len(rows) == len({row.record_id for row in rows}) == count
    requests = (await org.control("GET", "stats"))["requests"]
    assert sum(n for name, n in requests.items() if name.startswith("POST") and "jobs" in name) == jobs


@pytest.mark.parametrize("crowded", [0, 10_000])
async def test_all_records_are_read_with_the_same_fields_as_by_the_feed(org, crowded):
    if crowded:
        await candidates(org, crowded)
    filled, empty, deleted = await org.load("Contact", [FILLED, {"LastName": "x"}, {"LastName": "y"}])
    await org.control("POST", "delete", json={"object": "Contact", "ids": [deleted]})
    rows = {row.record_id: row for row in (await read(org))[0]}
    known = {row.record_id: row for row in (await SOURCE.look(org, [filled, empty, deleted])).rows}
    for record_id, one in known.items():
        shown = rows[record_id]
        assert (shown.deleted, shown.stamp, shown.merged_into) == (one.deleted, one.stamp, one.merged_into)
        assert not any(may_differ(shown.fields[name], one.fields[name], TRAITS) for name in FIELDS)
    assert rows[deleted].deleted
    assert all(may_differ(rows[filled].fields[name], known[empty].fields[name], TRAITS) for name in FIELDS)


async def test_a_merged_record_names_the_kept_record(org):
    kept, lost = await org.load("Contact", [{"LastName": "x"}, {"LastName": "y"}])
    await org.control("POST", "merge", json={"object": "Contact", "winner": kept, "loser": lost})
    await candidates(org, 10_000)
    rows = {row.record_id: row for row in (await read(org))[0]}
    assert rows[lost].merged_into == kept


async def test_an_unfinished_job_is_polled_again(org):
    await candidates(org, 10_001)
    await org.fault("job_held")
    begun = await SOURCE.read_all(org, None)
    again = await SOURCE.read_all(org, begun.position)
    assert (begun.ready, again.ready, again.last, again.rows) == (False, False, False, ())
    assert again.position == begun.position
    await org.calm()
    assert len((await ready(org, again.position)).rows) == 10_000


async def test_a_failed_job_is_reported(org):
    await candidates(org, 10_001)
    await org.fault("job_fails")
    begun = await SOURCE.read_all(org, None)
    with pytest.raises(ConnectorError, match="did not answer the query for all records"):
        await ready(org, begun.position)


async def test_an_outage_is_reported_and_the_step_can_be_repeated(org):
    await candidates(org, 10_001)
    begun = await SOURCE.read_all(org, None)
    await org.fault("unavailable")
    with pytest.raises(PeerUnavailable):
        await SOURCE.read_all(org, begun.position)
    assert len((await ready(org, begun.position)).rows) == 10_000
    await org.fault("garbage")
    answer = await SOURCE.read_all(org, None)
    assert (type(answer), answer.reason) == (Retry, Reason.UNEXPECTED_ANSWER)
