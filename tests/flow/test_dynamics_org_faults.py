"""Faults of a whole Dynamics 365 org: no dead letters, no attempts counted, one alarm with advice, and delivery afterwards."""

from datetime import timedelta

import pytest
from contract.crms import DYNAMICS
from flow.test_org_faults import AN_OPT_OUT, DONOR, MINUTE, OTHERS, alarms, attempts, pauses
from flow.world import a_world

from connector.model.outcome import Reason
from connector.telemetry.log_events import BatchSent, Cleared

RECORDS = {"records": 1.0, "only": "writes"}
USER = "application user"
FAULTS = {
    "an IP firewall": ({"status": 403, "code": "0x80095ffe"}, Reason.SINK_REFUSES, "IP firewall"),
    "a page that forbids": ({"status": 403, "code": "0x"}, Reason.SINK_REFUSES, "IP firewall"),
    "a disabled user": ({"status": 403, "code": "0x80040225"}, Reason.CREDENTIALS, f"enable the {USER}"),
    "a disabled environment": ({"status": 400, "code": "0x8004a104"}, Reason.SINK_REFUSES, "enable the environment"),
    "a full database": ({"status": 400, "code": "0x80072325", **RECORDS}, Reason.STORAGE_FULL, "storage"),
    "a code nobody knows": ({"status": 400, "code": "0x8000beef", "only": "writes"}, Reason.SINK_REFUSES, USER),
    "a code nobody knows, for each call": ({"status": 400, "code": "0x8000beef"}, Reason.SINK_REFUSES, USER),
    "a code nobody knows, told of each record": (
        {"status": 400, "code": "0x8000beef", **RECORDS},
        Reason.SINK_REFUSES,
        USER,
    ),
    "locks on every record": (
        {"fault": "row_lock", "records": 1.0},
        Reason.ROW_LOCKED,
        "a job of the CRM",
    ),
    "a refusal nobody knows, told of each record": (
        {"status": 403, "code": "0x8000beef", **RECORDS},
        Reason.SINK_REFUSES,
        USER,
    ),
}


@pytest.fixture
async def world(tmp_path, secrets):
    async with a_world(tmp_path, crm=DYNAMICS) as made, made.running():
        await made.poll()
        await made.phone(DONOR, "KATT")
        await made.settled()
        yield made


async def pass_time(world):
    world.clock.ahead += MINUTE
    world.app.wake("dynamics")
    world.app.wake(world.feed)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_the_whole_org_makes_no_dead_letter(world, name):
    fault, reason, cure = FAULTS[name]
    await world.fault(world.crm_url, **{"fault": "refuse", "message": "nei", **fault})
    for number in OTHERS:
        await world.phone(number, "KATT")
    await world.until(lambda: pauses(world, "dynamics"))
    await world.phone(DONOR, "STOP KATT")
    await world.until(lambda: not world.app.store.inbox.pending(10))
    before = len(world.emitted(BatchSent))
    for _ in range(12):
        paused = pauses(world, "dynamics")
        await pass_time(world)
        await world.until(lambda paused=paused: pauses(world, "dynamics") > paused)
    assert "dead" not in world.counts()
    # Once a minute the opt-out goes by itself.
    probes = [one.operations for one in world.emitted(BatchSent)[before:] if one.sink == "dynamics"]
    assert sum(operations == AN_OPT_OUT for operations in probes) >= 11
    assert max(attempts(world)) <= 1
    (alarm,) = alarms(world)
    assert (alarm.kind, alarm.about) == (reason, "dynamics")
    assert cure in alarm.cure
    await world.no_faults(world.crm_url)
    await pass_time(world)
    await world.settled()
    assert world.counts().keys() <= {"delivered", "no_change", "ignored"}
    assert (await world.contact(DONOR))["opted_out"] is True
    assert {number: bool(await world.contact(number)) for number in OTHERS} == dict.fromkeys(OTHERS, True)
    await pass_time(world)
    await world.until(lambda: alarms(world, Cleared))
    assert world.balanced()


async def test_a_missing_privilege_suspends_the_rules_that_need_it_and_loses_no_event(world):
    await world.fault(
        world.crm_url,
        fault="refuse",
        status=403,
        code="0x80040220",
        message="Principal user (Id=1) is missing prvCreatecrmc_smsevent privilege on OTC=10070 for entity 'crmc_smsevent'",
        table="crmc_smsevent",
        **RECORDS,
    )
    await world.phone(DONOR, "STOP KATT")
    await world.until(lambda: alarms(world))
    assert {one.kind for one in alarms(world)} == {"mapping_stopped"}

    async def flagged():
        return (await world.contact(DONOR))["opted_out"]

    await world.until(flagged)
    await world.no_faults(world.crm_url)
    world.clock.ahead += timedelta(hours=1)
    await world.settled()
    assert world.counts().keys() <= {"delivered", "no_change", "ignored"}
