"""Two CRMs at once: one callback lands in both, an opt-out in one reaches the other, and neither holds up the other."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from contract.crms import DYNAMICS, SALESFORCE
from flow.world import ROOT, a_world, config_of

from connector.sandbox.dynamics import app as dynamics
from connector.sandbox.serve import serving
from connector.telemetry.log_events import FeedPolled

DONOR, KEY = "+4790000001", "4790000001"


class Both:
    """A world of Salesforce, with Dynamics 365 beside it."""

    def __init__(self, world, url):
        self.world, self.url = world, url

    async def in_dynamics(self):
        return (await self.world.get(f"{self.url}/_sandbox/records/contact"))["records"]

    async def edit_dynamics(self, **fields):
        body = {"records": [fields], "by": "person"}
        return (await self.world.post(f"{self.url}/_sandbox/records/contact", body))["ids"][0]

    async def written(self):
        """How often each CRM has been written to, and Strex been told."""
        ours = (await self.world.get(f"{self.url}/_sandbox/history"))["history"]
        ours = [one for one in ours if one["by"] == DYNAMICS.user and one["table"] == "contact"]
        return len(await self.world.writes()), len(ours), len(await self.world.orders())

    async def poll(self):
        """Both feeds look once more, and what they found is settled."""
        for name in ("salesforce.Contact", "dynamics.contact"):
            enough = self.rounds(name) + (1 if self.world.app.workers[name].resting else 2)

            def over(name=name, enough=enough):
                if self.rounds(name) < enough:
                    self.world.app.wake(name)
                return self.rounds(name) >= enough

            await self.world.until(over)
        await self.world.settled()

    def rounds(self, name):
        return sum(fact.last for fact in self.world.emitted(FeedPolled) if fact.feed == name)


@asynccontextmanager
async def a_world_of_both(base):
    async with serving(dynamics.build()) as url:
        config = config_of(SALESFORCE, DYNAMICS).replace("{dynamics}", url)
        mappings = ROOT / "mappings" / "dynamics" / "both"
        async with a_world(base, config=config, mappings=mappings) as world, world.running():
            both = Both(world, url)
            await both.poll()
            yield both


@pytest.fixture
async def both(tmp_path, secrets):
    async with a_world_of_both(tmp_path) as made:
        yield made


async def joined(both):
    await both.world.phone(DONOR, "KATT")
    await both.world.settled()
    await both.poll()


async def test_one_callback_is_written_to_both_crms(both):
    await joined(both)
    (person,) = await both.in_dynamics()
    assert (person["crmc_smskey"], person["mobilephone"], person["crmc_smsoptout"]) == (KEY, DONOR, False)
    assert (await both.world.contact(DONOR))["opted_out"] is False
    await both.world.phone(DONOR, "KATT STOPP")
    await both.world.settled()
    assert (await both.in_dynamics())[0]["crmc_smsoptout"] is True
    assert (await both.world.contact(DONOR))["opted_out"] is True


@pytest.mark.parametrize("made_in", ["salesforce", "dynamics"])
async def test_an_opt_out_in_one_crm_reaches_the_other_and_the_provider_without_an_echo(both, made_in):
    await joined(both)
    before = await both.written()
    if made_in == "dynamics":
        await both.edit_dynamics(contactid=(await both.in_dynamics())[0]["contactid"], crmc_smsoptout=True)
    else:
        await both.world.person(id=(await both.world.contact(DONOR))["id"], opted_out=True)
    await both.poll()
    assert (await both.in_dynamics())[0]["crmc_smsoptout"] is True
    assert (await both.world.contact(DONOR))["opted_out"] is True
    assert [one["action"] for one in await both.world.orders()] == ["unsubscribe"]
    settled = await both.written()
    for _ in range(3):
        await both.poll()
    assert await both.written() == settled
    # Nothing goes back to the CRM in which the person made it, beyond what the provider's confirmation says.
    assert settled[2] == before[2] + 1


async def test_an_outage_of_one_crm_does_not_delay_the_other(both):
    await joined(both)
    await both.world.fault(both.url, fault="unavailable", times=1_000_000)
    await both.world.phone(DONOR, "KATT STOPP")

    async def out():
        return (await both.world.contact(DONOR))["opted_out"]

    await both.world.until(out)
    assert (await both.in_dynamics())[0]["crmc_smsoptout"] is False
    await both.world.no_faults(both.url)

    async def out_there():
        both.world.clock.ahead += timedelta(minutes=1)
        return (await both.in_dynamics())[0]["crmc_smsoptout"]

    await both.world.until(out_there)


async def test_an_opt_out_in_one_crm_is_set_on_all_contacts_of_the_other_with_the_number(both):
    await joined(both)
    other = await both.edit_dynamics(lastname="Spouse", mobilephone="900 00 001")
    await both.poll()
    await both.world.person(id=(await both.world.contact(DONOR))["id"], opted_out=True)
    await both.poll()
    flags = {row["contactid"]: row["crmc_smsoptout"] for row in await both.in_dynamics()}
    assert flags[other] is True
    assert len(flags) == 2
    assert all(flags.values())
