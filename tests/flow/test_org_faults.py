"""Faults of the whole org: no dead letters, no attempts counted, one alarm with advice, and delivery within a minute of recovery."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web
from flow.world import a_world
from yarl import URL

from connector.cli import render
from connector.cli.status import _show
from connector.model.outcome import Reason
from connector.sandbox.serve import serving
from connector.telemetry.log_events import Alarm, BatchSent, ChannelPaused, Cleared

DONOR = "+4790000001"
OTHERS = [f"+479000001{place}" for place in range(5)]
MINUTE = timedelta(minutes=1)
AN_OPT_OUT = 3  # operations: its contact, and two event records
LATE = "opt_out_late"  # the obligation's own alarm, which is told besides
RECORDS = {"only": "writes"}

FAULTS = {
    "expired password": (
        {"status": 403, "code": "INVALID_OPERATION_WITH_EXPIRED_PASSWORD"},
        Reason.CREDENTIALS,
        "password",
    ),
    "a session that may not use the REST API": (
        {
            "status": 401,
            "code": "INVALID_SESSION_ID",
            "message": "This session is not valid for use with the REST API",
        },
        Reason.CREDENTIALS,
        "list of allowed apps",
    ),
    "locked org": ({"status": 403, "code": "ORG_LOCKED"}, Reason.SINK_REFUSES, "why the org is locked"),
    "moved instance": ({"status": 400, "code": "ORG_NOT_OWNED_BY_INSTANCE"}, Reason.WRONG_ADDRESS, "My Domain"),
    "org in maintenance": ({"status": 503, "code": "ORG_IN_MAINTENANCE"}, Reason.MAINTENANCE, "no action is needed"),
    "a code nobody knows": ({"status": 403, "code": "BRAND_NEW_CODE"}, Reason.SINK_REFUSES, "integration user"),
    "another status": ({"status": 405, "code": "BRAND_NEW_CODE"}, Reason.SINK_REFUSES, "integration user"),
    "forbidden without a code": ({"status": 403}, Reason.SINK_REFUSES, "integration user"),
    "no access at all": ({"status": 403, "code": "INSUFFICIENT_ACCESS"}, Reason.SINK_REFUSES, "integration user"),
    "maintenance, told of each record": (
        {"code": "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", **RECORDS},
        Reason.MAINTENANCE,
        "no action is needed",
    ),
    "licences, told of each record": (
        {"code": "LICENSE_LIMIT_EXCEEDED", **RECORDS},
        Reason.SINK_REFUSES,
        "Company Information",
    ),
    "a code nobody knows, told of each record": (
        {"code": "BRAND_NEW_CODE", **RECORDS},
        Reason.SINK_REFUSES,
        "integration user",
    ),
    "a bad request with a code nobody knows": (
        {"status": 400, "code": "BRAND_NEW_CODE", **RECORDS},
        Reason.SINK_REFUSES,
        "integration user",
    ),
    "locks on every record": (
        {"fault": "row_lock", "times": 1_000_000, "records": 1.0},
        Reason.ROW_LOCKED,
        "recalculation of sharing",
    ),
    "down": ({"fault": "unavailable", "times": 1_000_000}, Reason.UNAVAILABLE, "status page"),
    "an address that has moved": ({"fault": "redirect", "sign_in": "old"}, Reason.WRONG_ADDRESS, "My Domain"),
}


FROM_THE_SECOND_RECORD_ON = {
    "locks on every record",
    "a code nobody knows, told of each record",
    "a bad request with a code nobody knows",
}


async def strike(world, fault):
    fault = {"fault": "refuse", **fault}
    if fault["fault"] == "redirect":
        fault["to"] = "http://127.0.0.1:9"
    await world.fault(world.salesforce, **fault)


def alarms(world, kind=Alarm):
    return [one for one in world.emitted(kind) if one.kind != LATE]


def pauses(world, name="salesforce"):
    return sum(one.name == name for one in world.emitted(ChannelPaused))


def attempts(world):
    store = world.app.store
    return {one.attempts for event in range(1, store.inbox.received() + 1) for one in store.overview.units_of(event)}


async def pass_time(world, time=MINUTE):
    """Move the clock, and have the sink and the feed act on it."""
    world.clock.ahead += time
    world.app.wake("salesforce")
    world.app.wake("salesforce.Contact")


async def suffer(world, rounds):
    """So many minutes of the fault; each of them sees a probe that fails."""
    for _ in range(rounds):
        before = pauses(world)
        await pass_time(world)
        await world.until(lambda before=before: pauses(world) > before)


@pytest.fixture
async def world(tmp_path, secrets):
    async with a_world(tmp_path) as made, made.running():
        await made.poll()
        await made.phone(DONOR, "KATT")
        await made.settled()
        yield made


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_the_whole_org_makes_no_dead_letter(world, name):
    fault, reason, cure = FAULTS[name]
    await strike(world, fault)
    for number in OTHERS:
        await world.phone(number, "KATT")
    await world.until(lambda: pauses(world))
    await world.phone(DONOR, "STOP KATT")
    await world.until(lambda: not world.app.store.inbox.pending(10))
    before = len(world.emitted(BatchSent))
    await suffer(world, 12)
    assert "dead" not in world.counts()
    # Once a minute the opt-out goes by itself.
    probes = [one.operations for one in world.emitted(BatchSent)[before:] if one.sink == "salesforce"]
    assert sum(operations == AN_OPT_OUT for operations in probes) >= 11
    # What is told of records with a code that nobody knows counts as the org's from the second record on.
    assert max(attempts(world)) <= (name in FROM_THE_SECOND_RECORD_ON)
    (alarm,) = alarms(world)
    assert (alarm.kind, alarm.about) == (reason, "salesforce")
    assert cure in alarm.cure
    sinks = [one for one in (await status_of(world))["sinks"] if one["sink"] == "salesforce"]
    assert sinks[0]["trouble"]["cure"] in alarm.cure
    assert sinks[0]["trouble"]["since_seconds"] >= 600
    written = len(await world.history())
    await world.no_faults(world.salesforce)
    await pass_time(world)
    await world.settled()
    assert world.counts().keys() <= {"delivered", "no_change", "ignored"}
    first = (await world.history())[written]
    assert (first["object"], first["fields"].get("SMS_Opt_Out__c")) == ("Contact", True)
    assert (await world.contact(DONOR))["SMS_Opt_Out__c"] is True
    assert {number: bool(await world.contact(number)) for number in OTHERS} == dict.fromkeys(OTHERS, True)
    await pass_time(world)
    await world.until(lambda: alarms(world, Cleared))
    assert [one.kind for one in alarms(world, Cleared)] == [reason]
    assert world.balanced()


async def status_of(world):
    async with world.http.post(
        f"{world.app.admin_url}/admin/status",
        json={},
        headers={"Authorization": f"Bearer {(world.base / 'admin-token').read_text().strip()}"},
    ) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_a_refused_feed_raises_an_alarm_at_once_and_is_polled_again_within_a_minute(world, capsys):
    contact = await world.contact(DONOR)
    await world.poll()
    path = f"{world.salesforce}/_sandbox/fields/Contact/SMS_Opt_Out__c"
    await world.post(path, {"hidden": True}, "PATCH")
    world.app.wake("salesforce.Contact")
    await world.until(lambda: alarms(world))
    (alarm,) = alarms(world)
    assert (alarm.kind, alarm.about) == ("feed_failing", "salesforce.Contact")
    assert "INVALID_FIELD" in alarm.message
    assert "right to read" in alarm.cure
    for _ in range(8):
        before = pauses(world, "salesforce.Contact")
        await pass_time(world)
        await world.until(lambda before=before: pauses(world, "salesforce.Contact") > before)
    render.answer(await status_of(world), _show, json_wanted=False)
    shown = capsys.readouterr().out
    assert "polls of salesforce.Contact are paused: configuration (INVALID_FIELD)" in shown
    assert "give the integration user the right to read" in shown
    (feed,) = (await status_of(world))["feeds"]
    assert feed["trouble"]["code"] == "INVALID_FIELD"
    assert "SMS_Opt_Out__c" in feed["trouble"]["detail"]
    assert feed["trouble"]["since_seconds"] >= 420
    async with world.http.get(f"{world.app.admin_url}/metrics") as answer:
        assert 'connector_trouble_seconds{name="salesforce.Contact",reason="configuration"}' in await answer.text()
    assert len(alarms(world)) == 1
    # Shown again, what a person does meanwhile is seen within a minute.
    await world.post(path, {"hidden": False}, "PATCH")
    await world.person(Id=contact["Id"], SMS_Opt_Out__c=True)
    await pass_time(world)
    await world.until(lambda: alarms(world, Cleared))
    await world.poll()
    assert [one["action"] for one in await world.orders()] == ["unsubscribe"]
    (feed,) = (await status_of(world))["feeds"]
    assert feed["trouble"] is None


async def test_a_feed_that_does_not_finish_raises_an_alarm_after_five_minutes(world):
    await world.fault(world.salesforce, fault="unavailable", times=1000, only="reads")
    for minutes in range(6):
        before = pauses(world, "salesforce.Contact")
        await pass_time(world)
        await world.until(lambda before=before: pauses(world, "salesforce.Contact") > before)
        world.app.wake("deadlines")
        if minutes < 4:
            assert alarms(world) == []
    assert [one.kind for one in alarms(world)] == ["unavailable"]
    await world.no_faults(world.salesforce)
    await pass_time(world)
    await world.until(lambda: alarms(world, Cleared))


async def test_a_moved_org_is_found_by_one_sign_in(tmp_path, secrets):
    async with a_world(tmp_path) as world, second_address(world) as new, world.running():
        await world.poll()
        await world.fault(world.salesforce, fault="redirect", to=new, only="any")
        await world.phone(DONOR, "KATT")
        await world.settled()
        assert await world.contact(DONOR)
        await world.poll()
        stats = await world.get(f"{world.salesforce}/_sandbox/stats")
        assert stats["logins"] == 2
        assert alarms(world) == []
        assert pauses(world) == pauses(world, "salesforce.Contact") == 0


@asynccontextmanager
async def second_address(world):
    """Another address of the same org, which passes every call on."""

    async def pass_on(request):
        headers = {name: value for name, value in request.headers.items() if name in {"Authorization", "Content-Type"}}
        target = URL(world.salesforce + request.raw_path, encoded=True)
        headers["Host"] = request.host
        async with world.http.request(request.method, target, data=await request.read(), headers=headers) as answer:
            kept = {name: answer.headers[name] for name in ("Date", "Content-Type") if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", pass_on)
    async with serving(app) as url:
        yield url


async def test_a_record_with_an_unknown_code_raises_an_alarm_and_does_not_stop_others(world):
    await world.fault(
        world.salesforce, fault="refuse", code="BRAND_NEW_CODE", message="hm", records=[OTHERS[0]], only="writes"
    )
    await world.phone(OTHERS[0], "KATT")
    await world.until(lambda: alarms(world))
    await world.phone(OTHERS[1], "KATT")
    await world.until(lambda: world.counts().get("delivered", 0) >= 2)
    (alarm,) = alarms(world)
    assert alarm.kind == Reason.SINK_REFUSES
    assert "BRAND_NEW_CODE" in alarm.message
    for _ in range(10):
        before = max(attempts(world))
        await pass_time(world)
        await world.until(lambda before=before: max(attempts(world)) > before)
    assert "dead" not in world.counts()
    assert len(alarms(world)) == 1
    assert pauses(world) == 0
    await world.no_faults(world.salesforce)
    await pass_time(world)
    await world.settled()
    await world.until(lambda: alarms(world, Cleared))
    assert await world.contact(OTHERS[0])


SIGN_INS = {
    "a sign-in that passes by itself": ("already_processed", Reason.UNAVAILABLE),
    "a fault of the sign-in service": ("retry_your_request", Reason.UNAVAILABLE),
    "an inactive user": ("inactive_user_code", Reason.CREDENTIALS),
}


@pytest.mark.parametrize("name", SIGN_INS)
async def test_an_alarm_for_a_refused_sign_in_names_the_cause(world, name):
    refusal, reason = SIGN_INS[name]
    await world.fault(world.salesforce, fault="login_refused", refusal=refusal, times=1_000_000)
    await world.fault(world.salesforce, fault="expired_session")
    await world.phone(DONOR, "STOP KATT")
    await world.until(lambda: pauses(world))
    assert {one.reason for one in world.emitted(ChannelPaused) if one.name == "salesforce"} == {reason}
    assert max(attempts(world)) == 0
    assert "dead" not in world.counts()
