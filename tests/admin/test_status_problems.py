"""`connector status` says what is wrong now, each with its cure, whether the daemon runs or not."""

from datetime import timedelta

import pytest
from admin.scene import NOW, Scene, make_home, report

from connector.admin import AdminContext, commands_for
from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.store.inbox import Entry
from connector.telemetry.current_alarms import CurrentAlarms
from connector.telemetry.log_events import Alarm, Cleared

UNREADABLE = Entry(
    key="u-1", provider="strex", shape="dlr", msisdn=None, received_at=NOW, event=None, raw=b"{", unreadable="not JSON"
)


@pytest.fixture
async def scene(tmp_path):
    made = Scene.open(make_home(tmp_path))
    yield made
    await made.store.close()


async def problems(scene, **running):
    context = AdminContext.of(
        scene.store, rules=lambda: scene.rules, loaded=scene.loaded, now=lambda: scene.now, **running
    )
    return (await commands_for(context)["status"]({}))["problems"]


def alarm(about="writer", *, lasts=True):
    return Alarm(kind="loop_failing", about=about, message=f"{about} makes no progress", cure="report it", lasts=lasts)


async def test_a_daemon_that_does_not_run_is_the_first_problem(scene):
    (one,) = await problems(scene)
    assert "does not run" in one["message"]
    assert "systemctl start connector" in one["cure"]


async def test_a_daemon_that_runs_well_has_no_problem(scene):
    assert await problems(scene, started=NOW) == []


async def test_an_alarm_stays_until_it_is_cleared(scene):
    alarms = CurrentAlarms(lambda: scene.now)
    alarms(alarm())
    alarms(alarm("passing", lasts=False))
    scene.later(hours=1)
    alarms(alarm())  # repeated
    (one,) = await problems(scene, started=NOW, alarms=alarms.listing)
    assert (one["message"], one["cure"], one["since"]) == (
        "writer makes no progress",
        "report it",
        "2026-11-22T12:00:00Z",
    )
    alarms(Cleared(kind="loop_failing", about="writer"))
    assert await problems(scene, started=NOW, alarms=alarms.listing) == []


async def test_a_late_opt_out_names_the_event_and_the_command(scene):
    event_id = await scene.receive(report("Unsubscribe"))
    await scene.plan()
    scene.later(minutes=6)
    (one,) = await problems(scene, started=NOW)
    assert one["message"] == f"the opt-out of event {event_id} is not confirmed by salesforce"
    assert f"`connector explain {event_id}`" in one["cure"]


async def test_refused_mapping_files_are_reported_with_each_problem(scene):
    await scene.store.mappings.refuse(["strex-log.yaml:3:5: unknown key `whne` (did you mean `when`?)"], scene.now)
    (one,) = await problems(scene, started=NOW)
    assert "strex-log.yaml:3:5: unknown key `whne`" in one["message"]
    assert "`connector reload`" in one["cure"]


async def test_events_that_wait_for_a_person_are_reported_with_the_command_that_lists_them(scene):
    for number, reason in enumerate([Reason.TOO_LONG, Reason.NEEDS_PERSON]):
        await scene.receive(report("AlterPrice", transaction=f"t-{number}", phone=f"+479000000{number}"))
        await scene.plan()
        await scene.settle("salesforce", UnitState.DEAD, reason=reason)
    await scene.store.inbox.keep([UNREADABLE])
    said = {one["message"]: one["cure"] for one in await problems(scene, started=NOW)}
    assert "`connector dead list`" in said["1 dead letter waits for a person"]
    assert "`connector parked list`" in said["1 event waits for a decision"]
    assert "`connector events --state unreadable`" in said["1 event is unreadable"]


async def test_status_says_how_long_the_daemon_has_run(scene):
    scene.later(hours=2)
    context = AdminContext.of(
        scene.store, rules=lambda: scene.rules, loaded=scene.loaded, now=lambda: scene.now, started=NOW
    )
    daemon = (await commands_for(context)["status"]({}))["daemon"]
    assert daemon.pop("console").endswith("/console/")
    assert daemon == {"running": True, "since": "2026-11-22T12:00:00Z", "since_seconds": timedelta(hours=2).seconds}
