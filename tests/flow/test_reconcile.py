"""All records of a feed's object are compared with the stored state: changes that polls missed are found and handled."""

from datetime import timedelta

import pytest
from flow.world import a_world

from connector.admin import AdminContext, commands_for
from connector.pipeline.reconcile import FAILED
from connector.sandbox.salesforce.identifiers import record_id
from connector.store.records import ShadowWrite
from connector.telemetry.log_events import Lifecycle

DONOR, OTHER = "+4790000001", "+4790000002"
FEED = "salesforce.Contact"
DAYS = timedelta(days=2)


def number(n):
    return f"+479000{n:04}"


async def joined(world, who=DONOR):
    await world.phone(who, "KATT")
    await world.settled()
    await world.poll()
    return (await world.contact(who))["Id"]


async def reconcile(world, **wish):
    """Compare, wait for the end, and let what was found take effect; what is told of the feed."""
    await world.app.reconciler.admin_command({"start": True, **wish})
    await world.until(lambda: not world.app.reconciler.running)
    await world.settled()
    (one,) = (await world.app.reconciler.admin_command({}))["feeds"]
    return one


async def edit_unseen(world, records):
    """People edit records twenty minutes before their transactions end: no poll reaches back so far."""
    await world.fault(world.salesforce, fault="late_commit", seconds=20 * 60)
    ids = await world.people(records)
    await world.no_faults(world.salesforce)
    await world.poll()
    return ids


async def ahead(world, time=DAYS):
    """Time passes, and the feed goes on meanwhile."""
    world.clock.ahead += time
    await world.poll()


async def sent(world):
    return [(one["action"], one["phone"]) for one in await world.orders()]


async def jobs(world):
    requests = (await world.get(f"{world.salesforce}/_sandbox/stats"))["requests"]
    return sum(count for name, count in requests.items() if name.startswith("POST") and "jobs" in name)


def gone(n, **shadow):
    """What is known of a contact that the org has no more."""
    return ShadowWrite(
        crm="salesforce", object="Contact", record_id=record_id("003", 10**6 + n), fields=shadow, phone=OTHER
    )


def found(one):
    return {name: one[name] for name in ("differing", "changes", "noted", "noted_out", "missing", "why")}


NOTHING = {"differing": 0, "changes": 0, "noted": 0, "noted_out": 0, "missing": 0, "why": ""}


async def test_an_opt_out_that_no_poll_could_read_is_found_once(world):
    contact = await joined(world)
    await edit_unseen(world, [{"Id": contact, "SMS_Opt_Out__c": True}])
    assert await sent(world) == []
    one = await reconcile(world)
    assert found(one) == NOTHING | {"differing": 1, "changes": 1}
    assert await sent(world) == [("unsubscribe", DONOR)]
    assert found(await reconcile(world)) == NOTHING
    await world.poll()
    assert await sent(world) == [("unsubscribe", DONOR)]
    assert world.balanced()


async def test_a_dry_run_changes_nothing(world):
    contact = await joined(world)
    await edit_unseen(world, [{"Id": contact, "SMS_Opt_Out__c": True}])
    shadow = world.app.store.records.shadow("salesforce", "Contact", contact)
    one = await reconcile(world, dry_run=True)
    assert found(one) == NOTHING | {"differing": 1, "changes": 1}
    assert await sent(world) == []
    assert world.app.store.records.shadow("salesforce", "Contact", contact) == shadow
    assert found(await reconcile(world)) == NOTHING | {"differing": 1, "changes": 1}


async def test_our_own_writes_are_no_changes(world):
    await joined(world)
    # The poll that would show our own write has not come yet.
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    before = world.app.store.consents.of(DONOR)
    assert (await world.contact(DONOR))["SMS_Opt_Out__c"]
    assert found(await reconcile(world)) == NOTHING
    assert world.app.store.consents.of(DONOR) == before
    assert await sent(world) == []


async def test_a_record_that_changes_while_it_is_read_keeps_its_new_values(world):
    contact = await joined(world)
    await world.people([{"LastName": "x"} for _ in range(10_001)])
    await ahead(world)
    # Salesforce has gathered the records before a person ticks the box, and gives them afterwards.
    await world.fault(world.salesforce, fault="held_answer", only="reads", after=2)
    await world.app.reconciler.admin_command({"start": True})
    await world.until(lambda: world.struck(world.salesforce, "held_answer"))
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    await world.poll()
    await world.no_faults(world.salesforce)
    await world.until(lambda: not world.app.reconciler.running)
    (one,) = (await world.app.reconciler.admin_command({}))["feeds"]
    assert found(one) == NOTHING, "the feed has read it since"
    await world.settled()
    await world.poll()
    assert world.app.store.records.shadow("salesforce", "Contact", contact)["SMS_Opt_Out__c"] is True
    assert await sent(world) == [("unsubscribe", DONOR)]


async def test_more_than_ten_thousand_records_are_read_by_a_job(world):
    contact = await joined(world)
    await world.people([{"LastName": "x", "SMS_Monthly_Amount__c": n} for n in range(10_000)])
    await world.poll()
    await edit_unseen(world, [{"Id": contact, "SMS_Opt_Out__c": True}])
    before = await world.api_calls()
    rounds = world.rounds()
    one = await reconcile(world)
    assert (one["total"], one["compared"]) == (10_001, 10_001)
    assert found(one) == NOTHING | {"differing": 1, "changes": 1}
    assert await sent(world) == [("unsubscribe", DONOR)]
    # A count, the job, some looks at it, two pages, its end, and the one record; a page of the feed perhaps.
    assert await world.api_calls() - before - (world.rounds() - rounds) <= 12
    assert await jobs(world) == 1


async def test_ten_thousand_records_are_read_by_plain_queries(world):
    await world.people([{"LastName": "x"} for _ in range(4001)])
    await world.poll()
    one = await reconcile(world)
    assert (one["compared"], found(one)) == (4001, NOTHING)
    assert await jobs(world) == 0


async def test_more_than_fifty_people_wait_for_a_person(world):
    ids = await world.people([{"LastName": "x", "MobilePhone": number(n)} for n in range(60)])
    await world.poll()
    await edit_unseen(world, [{"Id": one, "SMS_Opt_Out__c": True} for one in ids])
    one = await reconcile(world)
    assert (one["changes"], one["people"], one["many_people"]) == (60, 60, True)
    assert await sent(world) == []
    assert world.alarms.count("commands_parked") == 1


async def test_an_unknown_record_that_is_opted_out_sends_nothing_and_raises_an_alarm(world):
    await joined(world)
    await edit_unseen(world, [{"LastName": "x", "MobilePhone": OTHER, "SMS_Opt_Out__c": True}])
    # The feed may be about to see a new record first: reconcile leaves it alone for a day.
    assert found(await reconcile(world)) == NOTHING
    await ahead(world)
    assert found(await reconcile(world)) == NOTHING | {"differing": 1, "noted": 1, "noted_out": 1}
    assert await sent(world) == []
    assert world.alarms.count("opt_outs_not_sent") == 1
    assert found(await reconcile(world)) == NOTHING


async def test_a_permanently_deleted_record_is_treated_as_deleted(world):
    await joined(world)
    shadow = {"MobilePhone": OTHER, "SMS_Opt_Out__c": False, "SMS_Monthly_Amount__c": None}
    lost = gone(0, **shadow)
    await world.app.store.records.write([lost], now=world.clock.now())
    assert (await reconcile(world, dry_run=True))["missing"] == 1
    assert world.app.store.records.shadow("salesforce", "Contact", lost.record_id) == shadow
    assert found(await reconcile(world)) == NOTHING | {"missing": 1, "changes": 1}
    assert world.app.store.records.shadow("salesforce", "Contact", lost.record_id) is None
    assert found(await reconcile(world)) == NOTHING


async def test_many_records_missing_at_once_are_not_treated_as_deleted(world):
    await joined(world)
    writes = [gone(n) for n in range(51)]
    await world.app.store.records.write(writes, now=world.clock.now())
    one = await reconcile(world)
    assert (one["missing"], one["missing_untouched"]) == (51, True)
    assert "are no longer in salesforce" in one["why"]
    assert world.app.store.records.shadow("salesforce", "Contact", writes[0].record_id) is not None
    assert world.alarms.count(FAILED) == 1
    # The cure that it names.
    assert "connector reconcile --accept-missing" in one["why"]
    assert found(await reconcile(world, accept_missing=True)) == NOTHING | {"missing": 51, "changes": 51}
    assert world.app.store.records.shadow("salesforce", "Contact", writes[0].record_id) is None
    assert world.cleared(FAILED)
    assert found(await reconcile(world)) == NOTHING


async def test_an_interrupted_run_begins_again(tmp_path, secrets):
    async with a_world(tmp_path) as world:
        async with world.running():
            await world.poll()
            contact = await joined(world)
            await world.people([{"LastName": "x"} for _ in range(10_001)])
            await world.poll()
            await edit_unseen(world, [{"Id": contact, "SMS_Opt_Out__c": True}])
            await world.fault(world.salesforce, fault="job_held")
            await world.app.reconciler.admin_command({"start": True})
            await world.until(lambda: world.struck(world.salesforce, "job_held"))
        await world.no_faults(world.salesforce)
        async with world.running():
            await world.poll()
            assert (await world.app.reconciler.admin_command({})) == {"running": False, "dry_run": False, "feeds": []}
            one = await reconcile(world)
            assert found(one) == NOTHING | {"differing": 1, "changes": 1}
            assert await sent(world) == [("unsubscribe", DONOR)]
            assert world.balanced()


async def test_a_failed_run_raises_an_alarm_until_one_succeeds(world):
    await joined(world)
    await world.fault(world.salesforce, fault="refuse", status=400, code="INVALID_TYPE", message="no", only="reads")
    channel = world.app.feed_channels[FEED]
    await world.app.reconciler.admin_command({"start": True})
    await world.until(lambda: not world.app.reconciler.running)
    (one,) = (await world.app.reconciler.admin_command({}))["feeds"]
    assert one["why"]
    assert world.alarms.count(FAILED) == 1
    await world.no_faults(world.salesforce)
    world.clock.ahead += timedelta(minutes=2)
    await world.until(lambda: channel.breaker.cause is None)
    assert (await reconcile(world))["why"] == ""
    assert world.cleared(FAILED)


async def test_a_feed_that_was_not_compared_for_two_nights_raises_an_alarm(world):
    world.app.check_feeds()
    assert FAILED not in world.alarms
    await ahead(world, timedelta(hours=51))
    world.app.check_feeds()
    assert world.alarms.count(FAILED) == 1
    await reconcile(world)
    assert world.cleared(FAILED)
    world.app.check_feeds()
    assert world.alarms.count(FAILED) == 1


async def test_nothing_is_compared_when_api_calls_are_scarce(world):
    await joined(world)
    await world.post(f"{world.salesforce}/_sandbox/usage", {"limit": 1000, "used": 990}, method="PUT")
    await world.poll()
    one = await reconcile(world)
    assert "API calls" in one["why"]
    assert one["compared"] == 0


async def test_the_scheduler_starts_the_comparison_and_status_shows_it(world):
    await joined(world)
    await world.app.reconciler.start_nightly()
    await world.until(lambda: not world.app.reconciler.running)
    (emitted,) = [one for one in world.emitted(Lifecycle) if one.message.startswith("compared all records")]
    assert emitted.details["compared"] == "1"
    context = AdminContext.of(
        world.app.store, rules=lambda: world.app.pipeline.rules, loaded=world.app.loaded, now=world.clock.now
    )
    status = await commands_for(context)["status"]({})
    (feed,) = status["feeds"]
    assert (feed["reconciled"]["compared"], feed["reconciled"]["why"]) == (1, None)
    async with world.http.get(f"{world.app.admin_url}/metrics") as answer:
        assert f'connector_reconciled_seconds{{feed="{FEED}"}}' in await answer.text()


@pytest.mark.parametrize("field", [{"SMS_Opt_Out__c": False}, {"MobilePhone": OTHER}, {"SMS_Monthly_Amount__c": 250}])
async def test_every_field_of_the_feed_is_compared(world, field):
    await world.phone(DONOR, "KATT")
    await world.settled()
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    contact = (await world.contact(DONOR))["Id"]
    await edit_unseen(world, [{"Id": contact, **field}])
    assert (await reconcile(world))["changes"] >= 1
    shadow = world.app.store.records.shadow("salesforce", "Contact", contact)
    assert all(shadow[name] == value for name, value in field.items())
