"""A poll that concerns too many people, whose changes come in several batches: a restart between two of them parks the rest too."""

from datetime import UTC, datetime

import pytest
from admin.scene import Scene, make_home

from connector.model.event import Event, Verdict
from connector.model.phone import Phone
from connector.pipeline.receive import entry

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


def opt_out(number, poll):
    phone = f"+47900000{number:02}"
    return Event(
        key=f"change-{number}-{poll}",
        provider="salesforce",
        shape="change",
        action="change",
        verdict=Verdict.OPT_OUT,
        received_at=NOW,
        msisdn=Phone(phone),
        object="Contact",
        record={"Id": f"003-{number}", "SMS_Opt_Out__c": True, "MobilePhone": phone},
        changed=("SMS_Opt_Out__c",),
        batch=poll,
    )


async def changes(scene, numbers, poll):
    """Changes of one poll are stored, and planned in one batch by a planner that remembers nothing."""
    await scene.store.inbox.keep([entry(opt_out(number, poll), b"") for number in numbers])
    await scene.plan(max_people=3)


async def test_the_last_changes_of_a_parked_poll_are_parked_after_a_restart(scene):
    await changes(scene, range(4), "poll-1")
    await changes(scene, range(4, 6), "poll-1")
    assert len((await scene.ask("parked_list"))["parked"]) == 6
    assert await scene.settle("strex") == []


async def test_another_poll_is_sent_while_one_is_parked(scene):
    await changes(scene, range(4), "poll-1")
    await changes(scene, range(4, 6), "poll-2")
    assert len((await scene.ask("parked_list"))["parked"]) == 4
    assert len(await scene.settle("strex")) == 2
