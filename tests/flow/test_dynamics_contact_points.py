"""Consent in the consent table of Customer Insights - Journeys: both ways, for text messages alone."""

from dataclasses import replace

import pytest
from contract.crms import DYNAMICS
from flow.world import ROOT, a_world

DONOR = "+4790000001"
TABLE = "msdynmkt_contactpointconsent4"
IN, OUT = 534120001, 534120002
TEXT, VOICE = 534120001, 534120003
# Consent is in these rows, and not on contacts.
CRM = replace(
    DYNAMICS,
    settings=DYNAMICS.settings.partition("    consent_fields")[0] + "    consent: contact_point\n",
    words={**DYNAMICS.words, "contact": TABLE},
)


@pytest.fixture
async def world(tmp_path, secrets):
    mappings = ROOT / "mappings" / "dynamics" / "contact-point"
    async with a_world(tmp_path, crm=CRM, mappings=mappings, consent_table=True) as made, made.running():
        await made.poll()
        yield made


async def rows(world):
    return (await world.get(f"{world.crm_url}/_sandbox/records/{TABLE}"))["records"]


async def row(world, channel, value, number=DONOR):
    fields = {"msdynmkt_contactpointvalue": number, "msdynmkt_contactpointtype": channel, "msdynmkt_value": value}
    return await world.person(TABLE, **fields)


async def test_a_stop_is_written_to_exactly_the_rows_of_its_channel(world):
    await row(world, TEXT, IN)
    await row(world, TEXT, IN, "900 00 001")
    await row(world, VOICE, IN)
    await row(world, TEXT, IN, "+4790000002")
    await world.poll()
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    assert [one["msdynmkt_value"] for one in await rows(world)] == [OUT, OUT, IN, IN]
    assert world.counts().keys() <= {"delivered", "ignored", "no_change"}


async def test_a_number_without_a_row_gets_one_that_a_second_stop_updates(world):
    for _ in range(2):
        await world.phone(DONOR, "KATT STOPP")
        await world.settled()
    (one,) = await rows(world)
    assert (one["msdynmkt_contactpointvalue"], one["msdynmkt_contactpointtype"], one["msdynmkt_value"]) == (
        DONOR,
        TEXT,
        OUT,
    )
    assert one["_msdynmkt_purposeid_value"] == "10000000-0000-0000-0000-000000000003"


async def test_a_row_opted_out_by_a_person_ends_the_subscription_without_an_echo(world):
    await world.phone(DONOR, "KATT")
    made = await row(world, TEXT, IN)
    voice = await row(world, VOICE, IN)
    await world.settled()
    await world.poll()
    await world.person(TABLE, **{f"{TABLE}id": voice, "msdynmkt_value": OUT})
    await world.poll()
    assert await world.orders() == []
    await world.person(TABLE, **{f"{TABLE}id": made, "msdynmkt_value": OUT})
    for _ in range(3):
        await world.poll()
    assert [(one["action"], one["keyword"]) for one in await world.orders()] == [("unsubscribe", "KATT")]
