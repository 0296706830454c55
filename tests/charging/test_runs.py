"""A provider's charges, day by day: real store, real HTTP, the sandbox's own books."""

import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from charging.scene import DAY, DONOR, HOUR, NAME, OTHER, SUBSCRIPTION, a_scene, rules
from msgspec.structs import replace
from scripted_http import ScriptedHttp

from connector.model.charge import Run, RunState
from connector.model.consent import Scope
from connector.model.errors import StoreUnavailable
from connector.model.event import Verdict
from connector.model.http import HttpReply
from connector.model.states import EventState
from connector.providers.messagecloud.charges import DobCharger
from connector.sandbox.messagecloud.gateway import ScriptedError
from connector.store.records import ShadowWrite, write_shadows
from connector.store.restore import restore
from connector.store.store import Store
from connector.store.units import Planned
from connector.telemetry.log_events import WorkerFailed

pytestmark = pytest.mark.slow


async def test_a_donor_is_charged_once_a_month_on_the_due_day(scene):
    await scene.join(amount=150)
    await scene.until(date(2026, 2, 1))
    assert scene.taken == [], "the first run waits for a person"
    await scene.approve()
    await scene.run()
    await scene.until(date(2026, 4, 2))
    assert [(phone, amount, at.date()) for phone, amount, at in scene.taken] == [
        (DONOR, 150, date(2026, 2, 1)),
        (DONOR, 150, date(2026, 3, 1)),
        (DONOR, 150, date(2026, 4, 1)),
    ]
    assert scene.states() == [("2026-02", "taken"), ("2026-03", "taken"), ("2026-04", "taken")]


async def first_run(scene):
    """A first run that a person has approved: DONOR was charged for February."""
    await scene.join(amount=100)
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    assert scene.states(DONOR) == [("2026-02", "taken")]


async def test_nothing_is_charged_while_charging_is_off(tmp_path):
    async with a_scene(tmp_path, rules(enabled=False)) as scene:
        await scene.join()
        await scene.until(date(2026, 4, 2))
        assert (scene.sends, scene.states()) == ([], [])


async def test_charges_due_before_charging_was_turned_on_are_not_sent(tmp_path):
    async with a_scene(tmp_path, rules(enabled=False)) as scene:
        await scene.join()
        await scene.until(date(2026, 3, 10))
        scene.rules = rules(max_per_run=100)
        scene.start()
        await scene.until(date(2026, 4, 1))
        await scene.approve()
        await scene.run()
        assert scene.states() == [("2026-04", "taken")]


async def test_nobody_is_charged_at_night(scene):
    await first_run(scene)
    await scene.until(date(2026, 2, 28))
    for _ in range(21):
        scene.clock.go(HOUR)
        await scene.run()
        local = scene.clock.now().astimezone(rules().zone)
        assert len(scene.taken) == (2 if local.day == 1 and local.hour >= 9 else 1), local


async def test_an_opt_out_that_is_not_planned_yet_stops_the_charge(scene):
    await first_run(scene)
    await scene.until(date(2026, 2, 28))
    await scene.stop(planned=False)
    await scene.until(date(2026, 3, 1))
    assert len(scene.taken) == 1
    (charge,) = [one for one in scene.charges() if one.period == "2026-03"]
    assert charge.state == "due"
    assert "not dealt with yet" in charge.detail


@pytest.mark.parametrize("scope", ["subscription", "short_number", "provider", "everything"])
async def test_an_opt_out_of_any_scope_ends_the_charges(scene, scope):
    await first_run(scene)
    await scene.stop(scope=scope)
    await scene.until(date(2026, 4, 2))
    assert len(scene.taken) == 1
    assert [state for _, state in scene.states()] == ["taken", "skipped", "skipped"]
    assert "not active" in scene.charges()[-1].detail


async def test_the_opt_out_flag_in_the_crm_stops_the_charge(scene):
    await first_run(scene)
    await flag(scene, DONOR)
    await scene.until(date(2026, 3, 2))
    assert scene.charges()[-1].detail == "the opt-out flag is set in salesforce.Contact"
    assert len(scene.taken) == 1


async def flag(scene, phone):
    shadow = ShadowWrite(
        crm="salesforce",
        object="Contact",
        record_id="003",
        fields={"SMS_Opt_Out__c": True},
        phone=phone,
        opted_out=True,
    )
    await scene.store.writer.run(lambda connection: write_shadows(connection, [shadow], scene.clock.now()))


async def test_a_renewed_subscription_is_charged_again(scene):
    await first_run(scene)
    await scene.stop()
    scene.clock.go(DAY)
    await scene.join(amount=70)
    await scene.until(date(2026, 3, 2))
    assert [amount for _, amount, _ in scene.taken] == [100, 70]


async def test_a_charge_without_credit_is_tried_again_after_three_and_seven_days(scene):
    await first_run(scene)
    scene.script(status="NO_CREDIT", times=3)
    await scene.until(date(2026, 3, 20))
    charge = scene.charges()[-1]
    assert (charge.period, charge.state, charge.attempt) == ("2026-03", "failed", 3)
    days = [entry.at.date() for entry in scene.store.charges.log(charge.id) if entry.state == "sending"]
    assert days == [date(2026, 3, 1), date(2026, 3, 4), date(2026, 3, 8)]
    assert [one.properties.get("retry_on") for one in scene.reported[1:]] == ["2026-03-04", "2026-03-08", None]
    following = [one.properties.get("next_charge") for one in scene.reported]
    assert following == ["2026-03-01", "2026-03-04", "2026-03-08", "2026-04-01"]


async def test_three_failed_months_end_the_subscription_and_make_an_event(scene):
    await first_run(scene)
    scene.script(status="REJECTED", times=3)
    for month in (3, 4, 5, 6):
        await scene.until(date(2026, month, 2))
        await scene.approve()
        await scene.run()
    assert [state for _, state in scene.states()] == ["taken", "failed", "failed", "failed"]
    assert [one.action for one in scene.reported] == ["charge"] * 4 + ["ended"]
    ended = scene.reported[-1]
    assert (ended.status, ended.properties["failed_periods"]) == ("REJECTED", 3)
    following = [one.properties.get("next_charge") for one in scene.reported]
    assert following == ["2026-03-01", "2026-04-01", "2026-05-01", None, None]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("DELIVERED", "taken"),
        ("REJECTED", "failed"),
        ("VALIDITY_EXPIRED", "due"),
        ("INVALID_MSISDN", "failed"),
        ("NO_CREDIT", "due"),
        ("FAILED", "due"),
        ("UNKNOWN", "asking"),
        ("ACKNOWLEDGED", "asking"),
    ],
)
async def test_each_status_leads_to_its_state(scene, status, state):
    await first_run(scene)
    await scene.until(date(2026, 2, 28))
    scene.clock.go(DAY)
    scene.script(status=status)
    for _ in range(3):
        await scene.runner.step()
    assert scene.charges()[-1].state == state
    assert scene.charges()[-1].status == status


@pytest.mark.parametrize("final", ["DELIVERED", "NO_CREDIT"])
async def test_a_status_that_is_not_final_is_asked_for(scene, final):
    await first_run(scene)
    scene.script(status="ACKNOWLEDGED", then=final, asks=3)
    await scene.until(date(2026, 3, 1))
    for _ in range(3):
        scene.clock.go(timedelta(minutes=1))
        await scene.run()
    assert scene.charges()[-1].state == ("taken" if final == "DELIVERED" else "due")
    assert sum(one["call"] == "view" for one in scene.gateway.calls) == 3
    assert len(scene.sends) == 2


async def test_a_status_that_never_becomes_final_is_in_doubt(scene):
    await first_run(scene)
    scene.script(status="UNKNOWN")
    await scene.until(date(2026, 3, 5))
    charge = scene.charges()[-1]
    assert charge.state == "in_doubt"
    assert "no final status" in charge.detail
    assert charge.transaction_id
    assert "charge_in_doubt" in scene.alarms()


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_charge_without_a_reply_is_in_doubt_and_never_sent_again(scene, lost):
    await first_run(scene)
    scene.script(lost=lost)
    await scene.until(date(2026, 3, 28))
    assert scene.states()[-1] == ("2026-03", "in_doubt")
    assert len(scene.sends) == 2
    assert len(scene.taken) == (2 if lost == "after" else 1)


@pytest.mark.parametrize(("code", "state"), [(1, "due"), (2, "due"), (3, "in_doubt"), (4, "due"), (99, "in_doubt")])
async def test_each_error_code_leads_to_its_state(scene, code, state):
    await first_run(scene)
    await scene.until(date(2026, 2, 28))
    scene.clock.go(DAY)
    scene.gateway.scripted_errors["send"] = [ScriptedError(code=code, http=None, times=1000)]
    await scene.run()
    charge = scene.charges()[-1]
    assert (charge.period, charge.state) == ("2026-03", state)
    assert len(scene.sends) == 2
    del scene.gateway.scripted_errors["send"]
    scene.clock.go(DAY)
    await scene.run()
    assert scene.charges()[-1].state == ("taken" if state == "due" else "in_doubt")
    assert len(scene.taken) == (2 if state == "due" else 1)


@pytest.mark.parametrize("http", [500, 502, 503, 504, 302, 404, 200])
async def test_a_charge_with_an_invalid_reply_is_in_doubt(scene, http):
    await first_run(scene)
    scene.gateway.scripted_errors["send"] = [ScriptedError(code=None, http=http, times=1)]
    await scene.until(date(2026, 3, 2))
    assert scene.states()[-1] == ("2026-03", "in_doubt")


async def test_an_amount_above_the_limit_is_skipped(scene):
    await first_run(scene)
    await scene.join(OTHER, amount=501)
    await scene.until(date(2026, 3, 1))
    await scene.approve()
    await scene.run()
    assert scene.charges(OTHER)[-1].detail == "501 NOK is more than `max_amount` (500)"
    assert [phone for phone, _, _ in scene.taken] == [DONOR, DONOR]


async def test_a_first_run_and_a_larger_one_wait_for_a_person(scene):
    await first_run(scene)
    assert scene.alarms() == ["charge_run_waiting"]
    assert scene.cleared() == ["charge_run_waiting"]
    await scene.join(OTHER)
    await scene.until(date(2026, 3, 1))
    run = scene.store.charge_runs.get(NAME, date(2026, 3, 1))
    assert (run.state, run.why) == ("waiting", "it has 2 charges, and the last one had 1")
    assert len(scene.taken) == 1
    await scene.until(date(2026, 3, 3))
    assert len(scene.taken) == 1
    await scene.approve()
    await scene.run()
    assert len(scene.taken) == 3


async def test_a_run_that_nobody_approves_in_time_is_skipped_with_the_reason(scene):
    await scene.join()
    await scene.until(date(2026, 2, 20))
    await scene.approve()
    await scene.run()
    assert scene.states() == [("2026-02", "skipped")]
    assert scene.charges()[0].detail == "not charged by 2026-02-08: no run with this offer was approved in time"


async def test_a_run_with_more_charges_than_the_limit_waits(tmp_path):
    async with a_scene(tmp_path, rules(max_per_run=2)) as scene:
        await first_run(scene)
        await scene.join(OTHER)
        await scene.until(date(2026, 3, 1))
        await scene.approve()
        for number in range(3, 4):
            await scene.join(f"+479000000{number}")
        await scene.until(date(2026, 4, 1))
        run = scene.store.charge_runs.get(NAME, date(2026, 4, 1))
        assert run.why == "it has 3 charges, more than `max_charges_per_run` (2)"


async def test_many_failures_stop_the_run(scene):
    for number in range(1, 10):
        await scene.join(f"+479000000{number}")
    await scene.until(date(2026, 2, 1))
    scene.script(status="REJECTED", times=9)
    await scene.approve()
    await scene.run()
    run = scene.store.charge_runs.get(NAME, date(2026, 2, 1))
    assert (run.state, run.why) == ("stopped", "3 of 3 charges failed")
    assert [state for _, state in scene.states()] == ["failed"] * 3 + ["due"] * 6
    assert "charge_run_stopped" in scene.alarms()
    await scene.until(date(2026, 2, 2))
    assert len(scene.sends) == 3, "the next day's run waits too"
    scene.gateway.scripts.clear()
    await scene.approve()
    await scene.run()
    assert [state for _, state in scene.states()] == ["failed"] * 3 + ["taken"] * 6


@pytest.mark.parametrize("jump", [DAY, -DAY, 40 * DAY, -40 * DAY])
async def test_a_run_after_a_clock_jump_waits_for_a_person(scene, jump):
    await first_run(scene)
    await scene.until(date(2026, 2, 28))
    scene.clock.jump(jump)
    await scene.run()
    scene.clock.jump(-jump)
    await scene.until(date(2026, 3, 1))
    assert len(scene.taken) == 1
    assert scene.alarms()[-1] == "charge_run_waiting"
    await scene.approve()
    await scene.until(date(2026, 4, 2))
    assert scene.states() == [("2026-02", "taken"), ("2026-03", "taken"), ("2026-04", "taken")]


async def test_a_clock_jump_during_a_storage_outage_holds_the_next_run(scene):
    await first_run(scene)
    await scene.until(date(2026, 2, 28))
    scene.clock.jump(DAY)
    hold, scene.store.charge_runs.hold = scene.store.charge_runs.hold, unavailable
    with pytest.raises(StoreUnavailable):
        await scene.runner.step()
    scene.store.charge_runs.hold = hold
    await scene.run()
    assert len(scene.taken) == 1
    assert "the clock jumped" in scene.store.charge_runs.control(NAME).hold


class CannotAsk(DobCharger):
    """A charger with a bug: a question about a charge raises."""

    async def ask(self, _http, _charge):
        raise KeyError("statusCode")


async def test_a_bug_while_asking_for_one_charge_does_not_stop_the_others(scene):
    await first_run(scene)
    scene.script(status="ACKNOWLEDGED", then="DELIVERED", asks=1000)
    scene.start(charger=CannotAsk)
    await scene.until(date(2026, 3, 1))
    assert scene.states() == [("2026-02", "taken"), ("2026-03", "asking")]
    await scene.until(date(2026, 4, 1))
    assert [one.worker for one in scene.facts if isinstance(one, WorkerFailed)][:1] == ["charge messagecloud"]
    assert scene.states() == [("2026-02", "taken"), ("2026-03", "in_doubt"), ("2026-04", "taken")]


async def test_after_429_nothing_is_sent_before_the_time_that_the_provider_asks_for(scene):
    await first_run(scene)
    await scene.until(date(2026, 2, 28))
    busy = ScriptedHttp(HttpReply(status=429, headers={"retry-after": "1800"}, body=b""))
    scene.start(http=busy)
    scene.clock.go(DAY)
    await scene.run()
    scene.clock.go(timedelta(minutes=29))
    await scene.run()
    assert len(busy.calls) == 1
    busy.replies.append(HttpReply(status=429, headers={}, body=b""))
    scene.clock.go(timedelta(minutes=2))
    await scene.run()
    assert len(busy.calls) == 2
    assert scene.states() == [("2026-02", "taken"), ("2026-03", "due")]


async def test_a_pause_stops_the_charges(scene):
    await first_run(scene)
    await scene.store.charge_runs.pause(NAME, "a check", scene.clock.now())
    await scene.until(date(2026, 3, 1))
    assert len(scene.sends) == 1
    await scene.store.charge_runs.resume(NAME)
    await scene.run()
    await scene.approve()
    await scene.run()
    assert scene.states()[-1] == ("2026-03", "taken")


async def test_charges_by_anniversary_are_sent_on_the_donors_day_or_the_last_of_the_month(tmp_path):
    # 23:30 UTC is the next day in Oslo: the 31st.
    async with a_scene(tmp_path, rules(day=None), now=datetime(2025, 12, 30, 23, 30, tzinfo=UTC)) as scene:
        await scene.join()
        await scene.until(date(2026, 1, 31))
        await scene.approve()
        await scene.run()
        await scene.until(date(2026, 5, 1))
        assert [at.date() for _, _, at in scene.taken] == [
            date(2026, 1, 31),
            date(2026, 2, 28),
            date(2026, 3, 31),
            date(2026, 4, 30),
        ]


async def test_a_restored_database_charges_nobody_twice(scene):
    await first_run(scene)
    await scene.join(OTHER)
    await scene.until(date(2026, 2, 27))
    await scene.store.close()
    copy = scene.path.with_name("backup.db")
    shutil.copy(scene.path, copy)
    scene.store = Store.open(scene.path)
    scene.start()
    await scene.until(date(2026, 3, 1))
    await scene.approve()
    await scene.run()
    assert len(scene.taken) == 3
    await scene.store.close()
    scene.clock.go(HOUR)
    restore(copy, scene.path, now=scene.clock.now())
    scene.store = Store.open(scene.path)
    scene.start()
    await scene.run()
    assert "charge_run_waiting" in scene.alarms()
    await scene.approve()
    await scene.run()
    assert scene.states()[-2:] == [("2026-03", "in_doubt"), ("2026-03", "in_doubt")]
    assert len(scene.taken) == 3
    await scene.until(date(2026, 4, 1))
    await scene.approve()
    await scene.run()
    assert len(scene.taken) == 5, "the next period is charged as ever"


async def test_an_opt_out_during_a_run_stops_the_charge_of_the_donor(scene):
    for number in range(1, 5):
        await scene.join(f"+479000000{number}")
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.runner.step()
    await scene.runner.step()
    assert len(scene.taken) == 2
    await scene.stop("+4790000004", planned=False)
    await scene.run()
    assert [phone for phone, _, _ in scene.taken] == ["+4790000001", "+4790000002", "+4790000003"]


async def test_a_reply_that_cannot_be_stored_is_stored_before_the_next_charge(scene):
    await first_run(scene)
    await scene.join(OTHER)
    await scene.until(date(2026, 2, 28))
    scene.clock.go(DAY)
    await scene.run()
    await scene.approve()
    change, scene.store.charges.change = scene.store.charges.change, unavailable
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await scene.runner.step()
    assert len(scene.sends) == 2
    scene.store.charges.change = change
    await scene.run()
    assert [state for _, state in scene.states()] == ["taken", "taken", "taken"]
    assert len(scene.sends) == 3


async def unavailable(*_, **__):
    raise StoreUnavailable("the disk is full")


async def test_failed_retries_of_charges_do_not_stop_the_run(scene):
    for number in range(1, 10):
        await scene.join(f"+479000000{number}")
    await scene.until(date(2026, 2, 1))
    for number in (4, 7, 9):  # never more than a third
        scene.script(phone=f"479000000{number}", status="NO_CREDIT", times=2)
    await scene.approve()
    await scene.run()
    await scene.until(date(2026, 2, 4))
    assert scene.store.charge_runs.get(NAME, date(2026, 2, 4)).state == "approved"
    await scene.until(date(2026, 2, 8))
    assert [state for _, state in scene.states()] == ["taken"] * 9


async def test_a_stopped_run_revokes_earlier_approvals_of_later_runs(scene):
    for number in range(1, 5):
        await scene.join(f"+479000000{number}")
    await scene.until(date(2026, 2, 1))
    later = Run(provider=NAME, day=date(2026, 2, 2), size=9, state=RunState.APPROVED)
    await scene.store.charge_runs.make(later)
    scene.script(status="REJECTED", times=9)
    await scene.approve()
    await scene.run()
    run = scene.store.charge_runs.get(NAME, later.day)
    assert (run.state, run.why) == ("waiting", "the run of 2026-02-01 was stopped: 3 of 3 charges failed")


async def test_subscriptions_from_before_an_update_are_charged(scene):
    bound = replace(SUBSCRIPTION, subscription_id="window-0")
    event_id, _ = await scene.keep("window", DONOR, verdict=Verdict.OPT_IN, price=Decimal(80))
    decision = scene.decision(DONOR, Verdict.OPT_IN, Scope.SUBSCRIPTION, bound)
    planned = Planned(event_id=event_id, state=EventState.DELIVERED, decisions=(decision,))
    await scene.store.plans.commit([planned], now=scene.clock.now())
    assert scene.store.agreements.of(NAME) == []
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    assert [amount for _, amount, _ in scene.taken] == [80]


async def test_a_charge_without_an_amount_is_skipped_with_the_cure(scene):
    await scene.join(amount=None)
    await scene.until(date(2026, 2, 1))
    await scene.approve()
    await scene.run()
    assert scene.charges()[0].detail.startswith("the amount is not known: set `amount:` of the offer")
