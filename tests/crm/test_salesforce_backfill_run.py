"""A backfill against the sandbox: changes between reading and writing, and errors."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from crm.conftest import an_org

from connector.crm.backfill.backfill_file import BackfillFile
from connector.crm.backfill.decide import Many, settle_open
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.bulk import Bulk, Gone, State
from connector.crm.salesforce.setup.backfill import Contacts
from connector.crm.salesforce.setup.backfill_run import Backfilling
from connector.delivery.http_client import FixedCredentials, Transport
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.record_number import NumberReader

pytestmark = pytest.mark.slow

CONTACTS = Contacts(
    key_field="SMS_Key__c",
    phone_fields=("MobilePhone", "HomePhone"),
    numbers=NumberReader(default="NO"),
    key=lambda phone: phone.e164,
)
BULK = Bulk(Api(version="62.0", client="test"))


class Killed(BaseException):
    """The process ends where it stands."""


class Scene:
    """One org, and one backfill after another on one file."""

    def __init__(self, org, client, path):
        self.org = org
        self.client = client
        self.path = path
        self.emitted = []
        self.kill_at = None

    def emit(self, words):
        self.emitted.append(words)
        if self.kill_at is not None and words.startswith(self.kill_at):
            self.kill_at = None
            raise Killed

    @asynccontextmanager
    async def working(self, **how):
        async def at_once(_):
            await asyncio.sleep(0)

        file = BackfillFile.open(self.path)
        try:
            yield (
                Backfilling(
                    self.client,
                    BULK,
                    CONTACTS,
                    file,
                    report=self.emit,
                    sleep=at_once,
                    **how,
                ),
                file,
            )
        finally:
            file.close()

    async def keys(self):
        return {row["LastName"]: row["SMS_Key__c"] for row in await self.org.records("Contact") if not row["IsDeleted"]}

    async def requests(self):
        return (await self.org.control("GET", "stats"))["requests"]

    async def updates(self):
        """How often each contact was written by the integration."""
        history = (await self.org.control("GET", "history?object=Contact"))["history"]
        return [entry["id"] for entry in history if entry["action"] == "updated"]


@pytest.fixture
async def scene(tmp_path):
    async with an_org() as org, Transport() as transport:
        credentials = FixedCredentials(org.base, {"Authorization": f"Bearer {org._token}"})
        yield Scene(org, transport.client(credentials), tmp_path / "c.backfill")


def people(*numbers):
    return [{"LastName": f"n{place}", "MobilePhone": number} for place, number in enumerate(numbers)]


async def test_numbers_in_any_spelling_become_external_ids(scene):
    await scene.org.load("Contact", people("+47 900 00 001", "90000002", None, "unknown"))
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        assert file.counts() == {"fill": 2, "no_phone": 1, "unreadable": 1}
        await work.write()
        assert file.counts() == {"written": 2, "no_phone": 1, "unreadable": 1}
    assert await scene.keys() == {"n0": "+4790000001", "n1": "+4790000002", "n2": None, "n3": None}
    assert (await scene.requests())["DELETE /jobs/query/{job}"] == 1


async def test_without_contacts_to_fill_no_job_is_made(scene):
    await scene.org.load("Contact", people(None))
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await work.write()
    assert "POST /jobs/ingest" not in await scene.requests()


async def test_contacts_that_were_changed_deleted_or_filled_meanwhile_are_skipped(scene):
    ids = await scene.org.load("Contact", people(*(f"9000000{number}" for number in range(1, 7))))
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await scene.org.load("Contact", [{"Id": ids[0], "SMS_Key__c": "by hand"}])
        await scene.org.load("Contact", [{"Id": ids[1], "MobilePhone": "90000099"}])
        await scene.org.load("Contact", [{"Id": ids[2], "FirstName": "changed, and not in what matters"}])
        await scene.org.load("Contact", [{"Id": ids[5], "SMS_Key__c": "+4790000006"}])
        await scene.org.control("POST", "merge", json={"object": "Contact", "winner": ids[0], "loser": ids[3]})
        await work.write()
        assert file.counts() == {"changed": 2, "filled": 1, "gone": 1, "written": 2}
    assert await scene.keys() == {
        "n0": "by hand",
        "n1": None,
        "n2": "+4790000003",
        "n4": "+4790000005",
        "n5": "+4790000006",
    }


async def test_a_key_that_another_contact_got_meanwhile_counts_as_taken(scene):
    await scene.org.load("Contact", people("90000001", "90000002"))
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await scene.org.load("Contact", [{"LastName": "new", "SMS_Key__c": "+4790000001"}])
        await work.write()
        assert file.counts() == {"taken": 1, "written": 1}
        assert [found.detail for found in file.findings(["taken"])] == ["DUPLICATE_VALUE"]


async def test_many_contacts_are_written_in_several_jobs(scene):
    await scene.org.load("Contact", people(*(f"9{number:07}" for number in range(250))))
    async with scene.working(job_rows=100) as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await work.write()
        assert file.counts() == {"written": 250}
    assert (await scene.requests())["POST /jobs/ingest"] == 3
    updates = await scene.updates()
    assert len(updates) == len(set(updates)) == 250


@pytest.mark.parametrize("point", ["looking for contacts", "uploading", "writing"])
async def test_the_next_run_after_a_kill_continues_and_writes_each_contact_once(scene, point):
    await scene.org.load("Contact", people(*(f"9{number:07}" for number in range(3000))))
    scene.kill_at = point
    if point == "writing":
        await scene.org.fault("job_held", after=2)
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        with pytest.raises(Killed):
            await work.write()
    await scene.org.calm()
    async with scene.working() as (work, file):
        await work.write()
        assert file.counts() == {"written": 3000}
    updates = await scene.updates()
    assert len(updates) == len(set(updates)) == 3000
    requests = await scene.requests()
    # A job that was opened and never filled is replaced by a new one; one that works is found again.
    assert requests["POST /jobs/ingest"] == (2 if point == "uploading" else 1)
    assert requests["PUT /jobs/ingest/{job}/batches"] == 1
    assert requests["POST /jobs/query"] == 1


@pytest.mark.parametrize("fault", ["dropped", "dropped_before", "unavailable", "server_error"])
@pytest.mark.parametrize("after", range(6))
async def test_a_call_that_fails_once_is_repeated(scene, fault, after):
    await scene.org.load("Contact", people("90000001", "90000002"))
    await scene.org.fault(fault, only="writes", after=after)
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await work.write()
        assert file.counts() == {"written": 2}
    assert len(await scene.updates()) == 2


async def test_locked_contacts_are_tried_three_times(scene):
    ids = await scene.org.load("Contact", people("90000001", "90000002", "90000003"))
    await scene.org.fault("job_row_lock", records=[ids[0]], times=1)
    await scene.org.fault("job_row_lock", records=[ids[1]], after=1)
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await work.write()
        assert file.counts() == {"written": 3}
    await scene.org.calm()
    await scene.org.load("Contact", [{"Id": ids[1], "SMS_Key__c": None}])
    await scene.org.fault("job_row_lock", records=[ids[1]])
    async with scene.working() as (work, file):
        file.clear()
        await work.read()
        settle_open(file, Many.SKIP)
        await work.write()
        assert file.counts() == {"filled": 2, "refused": 1}
        assert [found.detail for found in file.findings(["refused"])] == ["UNABLE_TO_LOCK_ROW"]


async def test_too_many_contacts_for_the_triggers_are_written_in_small_requests(scene):
    await scene.org.load("Contact", people(*(f"900000{n:02}" for n in range(80))))
    await scene.org.fault("limit", records=30)
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await work.write()
        assert file.counts() == {"written": 80}
    assert None not in (await scene.keys()).values()
    requests = await scene.requests()
    assert requests["POST /jobs/ingest"] == 1
    assert requests["PATCH /composite/sobjects"] + requests.get("POST /composite", 0) <= 4


async def test_a_contact_that_exceeds_the_trigger_limit_alone_is_refused_with_the_code(scene):
    await scene.org.load("Contact", people("90000001", "90000002"))
    await scene.org.fault("limit", records=0)
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await work.write()
        assert file.counts() == {"refused": 2}
        assert [found.detail for found in file.findings(["refused"])] == ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"] * 2
    assert (await scene.requests())["POST /jobs/ingest"] == 1


async def test_a_failed_job_keeps_its_written_rows_and_the_next_run_writes_the_others(scene):
    await scene.org.load("Contact", people(*(f"9{number:07}" for number in range(2500))))
    # The query job is looked at once, too.
    await scene.org.fault("job_fails", after=2)
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        with pytest.raises(ConnectorError, match=r"InternalServerError.*run the command again to continue"):
            await work.write()
        assert file.counts() == {"written": 1000, "fill": 1500}
        await work.write()
        assert file.counts() == {"written": 2500}
    assert len(await scene.updates()) == 2500


@pytest.mark.parametrize("part", ["failedresults", "successfulresults"])
async def test_incomplete_results_are_read_again_by_the_next_run(scene, part):
    ids = await scene.org.load("Contact", people("90000001", "90000002", "90000003", "90000004"))
    await scene.org.fault("job_row_lock", records=ids[:2], times=1)
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await scene.org.fault("garbage", records=[part], only="reads")
        with pytest.raises(PeerUnavailable, match="Salesforce sent"):
            await work.write()
        assert file.counts() == {"fill": 4}
        await work.write()
        assert file.counts() == {"written": 4}
    assert len(await scene.updates()) == 4


async def test_an_incomplete_page_of_contacts_is_read_again(scene):
    await scene.org.load("Contact", people("90000001", "90000002", "90000003"))
    await scene.org.fault("garbage", records=["results"], only="reads")
    async with scene.working() as (work, file):
        await work.read()
        assert file.counts() == {"open": 3}
    assert (await scene.requests())["GET /jobs/query/{job}/results"] == 2


async def test_a_failed_query_is_reported(scene):
    await scene.org.fault("job_fails")
    async with scene.working() as (work, _):
        with pytest.raises(ConnectorError, match="did not answer the query"):
            await work.read()


async def test_an_unreachable_org_is_reported_and_nothing_is_lost(scene):
    await scene.org.load("Contact", people("90000001"))
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await scene.org.fault("unavailable", every=1)
        with pytest.raises(PeerUnavailable):
            await work.write()
        await scene.org.calm()
        await work.write()
        assert file.counts() == {"written": 1}


@pytest.mark.parametrize("code", ["INVALIDJOB", "INVALIDJOBSTATE", "API_ERROR", "EXCEEDED_QUOTA", "BRAND_NEW_CODE"])
async def test_a_permanent_refusal_is_reported_at_once(scene, code):
    await scene.org.load("Contact", people("90000001"))
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        await scene.org.fault("refuse", status=400, code=code, message="not this", only="writes")
        with pytest.raises(ConnectorError, match=code) as emitted:
            await work.write()
        assert not isinstance(emitted.value, PeerUnavailable)
        assert (await scene.requests())["POST /jobs/ingest"] == 1
        assert not any(words.startswith("waiting") for words in scene.emitted)
        await scene.org.calm()
        await work.write()
        assert file.counts() == {"written": 1}


async def test_waiting_after_a_temporary_refusal_is_reported(scene):
    await scene.org.load("Contact", people("90000001"))
    await scene.org.fault("refuse", status=503, code="SERVER_UNAVAILABLE", message="later", times=2, only="writes")
    async with scene.working() as (work, _):
        await work.read()
    waits = [words for words in scene.emitted if words.startswith("waiting")]
    assert [words.partition(":")[0] for words in waits] == [
        "waiting 1 s, then try 2 of 6",
        "waiting 2 s, then try 3 of 6",
    ]
    assert "SERVER_UNAVAILABLE" in waits[0]


async def test_cancelling_stops_the_job_and_keeps_its_written_rows(scene):
    await scene.org.load("Contact", people(*(f"9{number:07}" for number in range(3000))))
    scene.kill_at = "writing"
    await scene.org.fault("job_held", after=2)
    async with scene.working() as (work, file):
        await work.read()
        settle_open(file, Many.SKIP)
        with pytest.raises(Killed):
            await work.write()
        await work.stop()
    await scene.org.calm()
    async with scene.working() as (work, file):
        assert (await BULK.look(scene.client, file.current_job())).state is State.ABORTED
        assert len(await scene.updates()) == 1000
        await scene.org.control("POST", "reset")
        with pytest.raises(Gone, match="--restart"):
            await work.write()
        await work.stop()
        assert file.counts() == {"fill": 3000}
