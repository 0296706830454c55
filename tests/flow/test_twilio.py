"""Twilio end to end: signed webhooks of its sandbox, with a Salesforce sandbox."""

import shutil

import pytest
from flow.world import ROOT, SECRETS, a_world

from connector.sandbox.serve import serving
from connector.sandbox.twilio import app as twilio

CONFIG = """
store: {{path: c.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: 0}}
admin: {{port: 0}}
mappings: {mappings}
default_region: US
providers:
  twilio:
    auth_tokens: [{{env: HOOK_SECRET}}]
crm:
  salesforce:
    url: {salesforce}
    sign_in: {{client_id: sandbox, client_secret: {{env: SF_SECRET}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
"""
DONOR = "+15005550006"
EMPTY = ("<Response/>", "text/xml")


@pytest.fixture
async def world(tmp_path, secrets):
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    for path in (ROOT / "mappings" / "more").glob("*twilio.yaml"):
        shutil.copy(path, mappings)
    async with a_world(tmp_path, mappings=mappings, config=CONFIG) as made, made.running():
        await made.poll()
        yield made


class Phones:
    """Twilio's side of the world."""

    def __init__(self, world, sandbox):
        self.world, self.sandbox = world, sandbox

    async def writes(self, text, **more):
        sent = await self.world.post(f"{self.sandbox}/_sandbox/phone", {"from": DONOR, "text": text, **more})
        await self.world.settled()
        return sent

    async def gets_a_message(self):
        answers = await self.world.post(f"{self.sandbox}/_sandbox/message", {"to": DONOR})
        await self.world.settled()
        return answers


def sandbox(world, token=SECRETS["HOOK_SECRET"], **how):
    return serving(twilio.build(hooks=f"{world.app.url}/hooks/twilio", auth_token=token, **how))


@pytest.mark.parametrize("advanced", [True, False])
async def test_stop_opts_out_and_start_opts_in_again(world, advanced):
    async with sandbox(world, advanced=advanced) as there:
        phones = Phones(world, there)
        sent = await phones.writes("Hello")
        assert (sent["status"], sent["answer"], sent["content_type"]) == (200, *EMPTY)
        assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is False
        await phones.writes("STOP")
        assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
        await phones.writes("START")
        assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is False
    assert world.counts() == {"delivered": 3}
    assert world.balanced()


async def test_a_repeated_webhook_counts_once(world):
    async with sandbox(world) as there:
        await Phones(world, there).writes("Hello", times=3)
    assert len(await world.records("SMS_Event__c")) == 1
    assert world.counts() == {"delivered": 1}


async def test_error_21610_opts_out_a_donor_whose_stop_was_missed(world):
    async with sandbox(world) as there:
        phones = Phones(world, there)
        await phones.gets_a_message()
        assert await world.records() == []
    async with sandbox(world, "another token") as elsewhere:
        assert (await Phones(world, elsewhere).writes("STOP"))["status"] == 403
        assert await world.records() == []
    async with sandbox(world) as there:
        phones = Phones(world, there)
        await world.post(f"{there}/_sandbox/phone", {"from": DONOR, "text": "STOP"})
        await phones.gets_a_message()
    assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
    assert world.counts()["delivered"] == 2


async def test_start_does_not_clear_a_flag_that_a_person_set(world):
    async with sandbox(world) as there:
        phones = Phones(world, there)
        await phones.writes("Hello")
        contact = await world.contact(DONOR)
        await world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
        await world.poll()
        await phones.writes("START")
    assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
