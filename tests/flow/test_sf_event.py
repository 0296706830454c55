"""The example mapping for `SfEvent`: the calendar event or task named in a message gets its result."""

import shutil

import pytest
from flow.test_examples import envelope
from flow.world import ROOT, a_world

from connector.pipeline.rule_tests import run_rule_tests


@pytest.fixture
async def world(tmp_path, secrets):
    mappings = tmp_path / "mappings"
    shutil.copytree(ROOT / "mappings", mappings, ignore=lambda *_: ["more", "npsp", "nonprofit-cloud"])
    shutil.copy(ROOT / "mappings" / "more" / "strex-sf-event.yaml", mappings)
    async with a_world(tmp_path, mappings=mappings) as made, made.running():
        await made.poll()
        yield made


async def test_the_mapping_passes_its_tests_without_warnings(world):
    rules = world.app.pipeline.rules
    assert rules.warnings == ()
    assert [result for result in run_rule_tests(rules) if result.differences] == []


@pytest.mark.parametrize("name", ["Event", "Task"])
@pytest.mark.parametrize("length", [15, 18])
async def test_the_result_is_written_to_the_named_record(world, name, length):
    known = await world.person(LastName="Ås")
    record = await world.person(name, Subject="Call")
    properties = {"SystemAction": "SfMcSMS", "SfContactId": known, "SfEvent": record[:length]}
    assert await world.callback("dlr", envelope(properties)) == 200
    await world.settled()
    (emitted,) = await world.records(name)
    assert (emitted["Description"], emitted["Subject"]) == ("SMS Ok Delivered", "Call")
    assert [one["Contact__c"] for one in await world.records("SMS_Event__c")] == [known]


async def test_an_invalid_record_name_delays_nothing(world):
    known = await world.person(LastName="Ås")
    properties = {"SystemAction": "SfMcSMS", "SfContactId": known, "SfEvent": "Sent from journey"}
    assert await world.callback("dlr", envelope(properties)) == 200
    await world.settled()
    assert [one["Contact__c"] for one in await world.records("SMS_Event__c")] == [known]
    assert world.counts() == {"delivered": 1}
