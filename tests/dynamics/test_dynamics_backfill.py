"""A backfill of a Dynamics 365 org, call by call: what changes meanwhile is left, and nothing is written twice."""

import asyncio

import pytest
from dynamics.looping import Looping

from connector.crm.backfill.backfill_file import BackfillFile
from connector.crm.backfill.decide import Many, settle_open
from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.crm.dynamics.setup.backfill import Backfilling, Contacts
from connector.model.errors import PeerUnavailable
from connector.model.record_number import NumberReader

KARI, OLA = "+4790000001", "+4790000002"
CONTACTS = Contacts(
    key_field="crmc_smskey",
    phone_fields=("mobilephone",),
    numbers=NumberReader(default="NO"),
    key=lambda phone: phone.e164.removeprefix("+"),
)


class Run:
    """A backfill that has read and planned."""

    def __init__(self, org, file):
        self.file = file
        self.waits = []
        self.clock = 0.0
        gate = Gate(clock=lambda: self.clock)
        self.work = Backfilling(WebApi(org, gate), CONTACTS, file, report=lambda _: None, sleep=self.sleep)

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.clock += seconds

    async def look(self):
        await self.work.read()
        settle_open(self.file, Many.SKIP)


@pytest.fixture
def run(org, tmp_path):
    file = BackfillFile.open(tmp_path / "connector.backfill")
    yield Run(org, file)
    file.discard()


async def keys(org):
    return sorted(str(one["crmc_smskey"]) for one in await org.records("contact"))


async def test_a_contact_that_changed_after_it_was_read_is_not_written(org, run):
    kari, _ = await org.load("contact", *({"lastname": "Unknown", "mobilephone": number} for number in (KARI, OLA)))
    await run.look()
    await org.load("contact", {"contactid": kari, "mobilephone": "+4790000009"}, by="person")
    await run.work.write()
    assert run.file.counts() == {"changed": 1, "written": 1}
    assert await keys(org) == [OLA[1:], "None"]


async def test_a_contact_that_changes_in_the_moment_of_writing_is_read_again(org, run):
    (kari,) = await org.load("contact", {"lastname": "Unknown", "mobilephone": KARI})
    await run.look()
    org.between = org.load("contact", {"contactid": kari, "mobilephone": OLA}, by="person")
    await run.work.write()
    assert run.file.counts() == {"changed": 1}
    assert await keys(org) == ["None"]


async def test_a_contact_that_somebody_filled_meanwhile_counts_as_filled(org, run):
    (kari,) = await org.load("contact", {"lastname": "Unknown", "mobilephone": KARI})
    await run.look()
    await org.load("contact", {"contactid": kari, "crmc_smskey": KARI[1:]}, by="person")
    await run.work.write()
    assert run.file.counts() == {"filled": 1}


async def test_a_lost_answer_writes_nothing_twice(org, run):
    await org.load("contact", {"lastname": "Unknown", "mobilephone": KARI})
    await run.look()
    await org.fault("dropped", times=1)
    await run.work.write()
    assert await keys(org) == [KARI[1:]]
    assert sum(run.file.counts().values()) == 1
    assert set(run.file.counts()) <= {"written", "filled"}
    assert len(run.waits) == 1


async def test_a_limit_is_waited_for_and_an_outage_ends_the_command_for_now(org, run):
    await org.load("contact", {"lastname": "Unknown", "mobilephone": KARI})
    await org.fault("unavailable", times=100)
    with pytest.raises(PeerUnavailable, match="Dataverse does not answer"):
        await run.look()
    assert run.waits == [1.0, 2.0, 4.0, 8.0, 16.0]


async def test_an_inactive_contact_is_not_read(org, run):
    (kari,) = await org.load("contact", {"lastname": "Unknown", "mobilephone": KARI})
    await org.load("contact", {"contactid": kari, "statecode": 1})
    await run.look()
    assert run.file.counts() == {}


async def test_a_page_that_leads_to_itself_ends_the_reading(org, run):
    looping = Run(Looping(org), run.file)
    with pytest.raises(PeerUnavailable, match="leads to itself"):
        await asyncio.wait_for(looping.look(), 20)
