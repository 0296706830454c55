"""Outbound Messages over HTTP with both sandboxes: opt-outs within seconds, always evaluated by the feed."""

from datetime import timedelta

import pytest
from flow.world import CONFIG, SECRETS, a_world

DONOR = "+4790000001"
ORG = "00D5f000003sANDEAM"
OUTBOUND = (
    "    outbound: {{path_secrets: [{{env: HOOK_SECRET}}], organization_id: 00D5f000003sAND}}\n    consent_fields:"
)
WITH_OUTBOUND = CONFIG.replace("    consent_fields:", OUTBOUND)
MESSAGE = """<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>
<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>{org}</OrganizationId><Notification>
<Id>{id}</Id><sObject xsi:type="sf:{about}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>{record}</sf:Id>
<sf:SMS_Opt_Out__c>{out}</sf:SMS_Opt_Out__c></sObject></Notification></notifications></soapenv:Body></soapenv:Envelope>"""


def address(world, secret=SECRETS["HOOK_SECRET"]):
    return f"{world.app.url}/hooks/salesforce/outbound/{secret}"


async def emit(world, record, *, number=1, out="true", about="Contact", org=ORG, secret=SECRETS["HOOK_SECRET"]):
    """A message by hand; returns the status and whether it was acknowledged."""
    body = MESSAGE.format(org=org, id=f"04l5f0000{number:06}AAA", record=record, about=about, out=out)
    async with world.http.post(address(world, secret), data=body.encode()) as response:
        return response.status, b"<Ack>true</Ack>" in await response.read()


async def waiting(world):
    (target,) = (await world.get(f"{world.salesforce}/_sandbox/outbound"))["outbound"]
    return target["waiting"]


async def send_from_now_on(world):
    """The org's Flow sends messages about contacts that people change."""
    wish = {"url": address(world), "object": "Contact", "fields": ["MobilePhone"], "retry_seconds": 0.01}
    await world.post(f"{world.salesforce}/_sandbox/outbound", wish)


@pytest.fixture
async def world(tmp_path, secrets):
    async with a_world(tmp_path, config=WITH_OUTBOUND) as made:
        yield made


async def joined(world):
    await world.phone(DONOR, "KATT")
    await world.settled()
    await world.poll()
    return (await world.contact(DONOR))["Id"]


async def test_an_opt_out_in_an_outbound_message_is_sent_before_the_next_poll(world):
    async with world.running():
        contact = await joined(world)
        await send_from_now_on(world)
        rounds, calls = world.rounds(), await world.api_calls()
        await world.person(Id=contact, SMS_Opt_Out__c=True)
        await world.until(world.orders)
        await world.settled()
        assert [one["action"] for one in await world.orders()] == ["unsubscribe"]
        assert world.rounds() == rounds
        # Strex's confirmation is written to Salesforce, and that is not a change of a person; the message cost one query.
        assert await world.api_calls() - calls <= 3
        await world.until(lambda: not_waiting(world))
        # The next round sees the same, and nothing new in it.
        await world.poll()
        assert len(await world.orders()) == 1
        assert world.balanced()


async def not_waiting(world):
    return await waiting(world) == 0


async def test_a_repeated_message_makes_no_call(world):
    async with world.running():
        contact = await joined(world)
        assert await emit(world, contact) == (200, True)
        await world.until(lambda: not world.app.store.change_notices.waiting("salesforce", "Contact", 9))
        calls = await world.api_calls()
        assert await emit(world, contact) == (200, True)
        assert world.app.store.change_notices.waiting("salesforce", "Contact", 9) == []
        assert await emit(world, contact, number=2) == (200, True)
        await world.until(lambda: one_more(world, calls))


async def one_more(world, calls):
    return await world.api_calls() == calls + 1


@pytest.mark.parametrize("out", ["true", "false"])
async def test_field_values_of_a_message_are_ignored(world, out):
    async with world.running():
        contact = await joined(world)
        if out == "false":
            await world.person(Id=contact, SMS_Opt_Out__c=True)
            await world.poll()
        before, decided = await world.orders(), world.app.store.consents.of(DONOR)
        assert await emit(world, contact, out=out) == (200, True)
        await world.until(lambda: not world.app.store.change_notices.waiting("salesforce", "Contact", 9))
        await world.settled()
        assert await world.orders() == before
        assert world.app.store.consents.of(DONOR) == decided


async def test_the_records_of_acknowledged_messages_are_read_after_a_restart_and_an_outage(world):
    async with world.running():
        contact = await joined(world)
        await world.person(Id=contact, SMS_Opt_Out__c=True)
        await world.fault(world.salesforce, fault="unavailable", times=1_000_000)
        assert await emit(world, contact) == (200, True)
        await world.until(lambda: world.told_paused("salesforce.Contact"))
    await world.no_faults(world.salesforce)
    world.facts.clear()
    async with world.running():
        await world.until(world.orders)
        assert [one["action"] for one in await world.orders()] == ["unsubscribe"]


async def test_many_messages_do_not_delay_the_polls(world):
    async with world.running():
        contact = await joined(world)
        rounds = world.rounds()
        for number in range(10):
            world.clock.ahead += timedelta(seconds=20)
            assert await emit(world, contact, number=number) == (200, True)
            await world.until(lambda: not world.app.store.change_notices.waiting("salesforce", "Contact", 9))
        await world.until(lambda: world.rounds() - rounds >= 3)


async def test_an_unreadable_record_does_not_delay_the_others(world):
    async with world.running():
        contact = await joined(world)
        await world.person(Id=contact, SMS_Opt_Out__c=True)
        assert await emit(world, "0035f00000zzzzzZZZ") == (200, True)
        await world.until(lambda: world.told_paused("salesforce.Contact"))
        assert world.app.store.change_notices.waiting("salesforce", "Contact", 9) == []
        world.clock.ahead += timedelta(minutes=2)
        await world.poll()
        assert [one["action"] for one in await world.orders()] == ["unsubscribe"]


async def test_an_unauthenticated_message_is_not_stored_or_acknowledged(world):
    async with world.running():
        contact = await joined(world)
        assert await emit(world, contact, secret="guess") == (401, False)
        assert await emit(world, contact, org="00D000000000001AAA") == (403, False)
        assert await emit(world, contact, about="no object") == (400, False)
        # What nobody follows is acknowledged, and nobody's news.
        assert await emit(world, contact, about="Opportunity") == (200, True)
        assert world.app.store.change_notices.waiting("salesforce", "Contact", 9) == []
        assert world.app.store.change_notices.waiting("salesforce", "Opportunity", 9) == []


async def test_a_merge_is_recognised_from_a_message_about_one_contact(world):
    async with world.running():
        contact = await joined(world)
        await world.person(Id=contact, SMS_Opt_Out__c=True)
        await world.poll()
        kept = await world.person(LastName="Kept", MobilePhone=DONOR)
        await world.poll()
        await world.merge(kept, contact)
        # The Flow tells of the contact that was kept; what was merged into it is looked at with it.
        assert await emit(world, kept) == (200, True)
        await world.until(lambda: world.app.store.dead_letters.listing(parked=True))
        await world.poll()
        assert len(world.app.store.dead_letters.listing(parked=True)) == 1
        assert len(await world.orders()) == 1


async def test_a_reported_merge_never_opts_in_the_kept_contact(world):
    async with world.running():
        kept = await joined(world)
        await world.person(Id=kept, SMS_Opt_Out__c=True)
        await world.poll()
        loser = await world.person(LastName="Lost", MobilePhone=DONOR)
        await world.poll()
        decided = world.app.store.consents.of(DONOR)
        await world.merge(kept, loser, SMS_Opt_Out__c=False)
        assert await emit(world, kept) == (200, True)
        await world.until(lambda: world.app.store.dead_letters.listing(parked=True))
        await world.poll()
        assert world.app.store.consents.of(DONOR) == decided
