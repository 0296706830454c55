"""The number look-up in the pipeline's enrich stage: once per number, never for an opt-out, without delaying the response."""

from datetime import timedelta

import pytest
from contract.crms import EACH_CRM
from flow.world import a_world, config_of

from connector.pipeline.enrich import enrich_worker

pytestmark = EACH_CRM

DONOR, OTHER = "+4790000001", "+4790000002"


@pytest.fixture
async def asking(tmp_path, secrets, crm):
    config = config_of(crm).replace("    subscriptions:", "    look_up: {{enabled: true}}\n    subscriptions:", 1)
    async with a_world(tmp_path, crm=crm, config=config) as made, made.running():
        await made.poll()
        people = {DONOR: {"firstName": "Kari", "lastName": "Ås"}, OTHER: None}
        await made.post(f"{made.strex}/_sandbox/config", {"people": people}, method="PUT")
        yield made


async def asked(world):
    answer = await world.get(f"{world.strex}/_sandbox/lookups")
    return answer["lookups"] if isinstance(answer, dict) else answer


async def test_a_new_donor_is_looked_up_once_and_gets_the_name(asking):
    await asking.phone(DONOR, "KATT")
    await asking.phone(DONOR, "HUND")
    await asking.settled()
    contact = await asking.contact(DONOR)
    assert (contact["first_name"], contact["last_name"]) == ("Kari", "Ås")
    assert await asked(asking) == [DONOR]


async def test_a_number_that_is_not_registered_is_looked_up_once(asking):
    await asking.phone(OTHER, "KATT")
    await asking.settled()
    await asking.phone(OTHER, "HUND")
    await asking.settled()
    assert (await asking.contact(OTHER))["last_name"] == "Unknown"
    assert await asked(asking) == [OTHER]


async def test_an_opt_out_does_not_wait_for_a_look_up(asking):
    await asking.phone(DONOR, "KATT STOPP")
    await asking.settled()
    assert (await asking.contact(DONOR))["opted_out"] is True
    assert await asked(asking) == []


async def test_an_event_without_a_look_up_reply_is_planned_at_its_deadline(asking):
    await asking.fault(asking.strex, fault="server_error", times=1_000_000, path="/api/lookup")
    await asking.phone(DONOR, "KATT")
    await asking.get(f"{asking.strex}/_sandbox/forwards?wait=1")
    assert asking.counts() == {"pending": 2}
    asking.clock.ahead += timedelta(minutes=10)
    asking.app.wake(enrich_worker("strex"))
    await asking.settled()
    assert (await asking.contact(DONOR))["last_name"] == "Unknown"


async def test_numbers_are_not_looked_up_by_default(world):
    await world.phone(DONOR, "KATT")
    await world.settled()
    assert await asked(world) == []
