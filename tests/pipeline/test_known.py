"""What was known of a person before an event, for planning it again and explaining it."""

import pytest
from admin.scene import DONOR, Scene, make_home

from connector.consent.merges import MERGED
from connector.model.event import Event, Verdict
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.model.states import EventState
from connector.pipeline.known import known_before
from connector.pipeline.receive import entry
from connector.store.units import Planned


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


def change(scene, **fields):
    common = {"provider": "salesforce", "shape": "change", "object": "Contact", "record": {"Id": "003000000000001AAA"}}
    return Event(**common | {"key": "c-1", "msisdn": Phone(DONOR), "received_at": scene.now} | fields)


async def test_an_opt_out_of_a_merged_record_counts_until_a_person_has_decided(scene):
    """`explain` shows the plan that was made: the opt-in did not count."""
    merge = change(scene, key="m-1", shape=MERGED, verdict=Verdict.OPT_OUT)
    (kept,) = await scene.store.inbox.keep([entry(merge, b"")])
    opt_in = change(scene, verdict=Verdict.OPT_IN)
    assert not known_before(scene.store, 2, opt_in, (), ()).others_opted_out
    waits = Planned(event_id=kept.id, state=EventState.DEAD, reason=Reason.NEEDS_PERSON)
    await scene.store.plans.commit([waits], now=scene.now)
    assert known_before(scene.store, 2, opt_in, (), ()).others_opted_out
