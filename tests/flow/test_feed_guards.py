"""A feed with changes of many people at once, changes that become visible late, and deleted contacts."""

from datetime import timedelta

from contract.crms import EACH_CRM

from connector.delivery.channels import FULL_PAGES
from connector.telemetry.log_events import Alarm, FeedPolled

pytestmark = EACH_CRM

DONOR, OTHER = "+4790000001", "+4790000002"


def number(n):
    return f"+479000{n:04}"


async def joined(world, who=DONOR):
    await world.phone(who, "KATT")
    await world.settled()
    await world.poll()
    return (await world.contact(who))["id"]


async def sent(world):
    return [(one["action"], one["phone"]) for one in await world.orders()]


def parked(world):
    return world.app.store.dead_letters.listing(parked=True, limit=1000)


def words(world, who=DONOR):
    return [one.decision.word for one in world.app.store.consents.of(who) if one.phase == "decided"]


async def stopped_by_sms(world, count):
    for n in range(count):
        await world.phone(number(n), "KATT")
    await world.settled()
    for n in range(count):
        await world.phone(number(n), "STOPP")
    await world.settled()
    await world.poll()
    rows = await world.records()
    assert all(row["opted_out"] for row in rows)
    return [row["id"] for row in rows]


async def test_sixty_opt_outs_cleared_by_an_import_hold_until_a_person_releases_them(world):
    ids = await stopped_by_sms(world, 60)
    await world.people([{"id": one, "opted_out": False} for one in ids])
    await world.poll()
    assert world.alarms.count("commands_parked") == 1
    assert len(parked(world)) == 60
    assert {words(world, number(n))[-1] for n in range(60)} == {"opt_out"}
    first, *others = parked(world)
    assert await world.app.store.dead_letters.release([first.event_id], now=world.clock.now()) == 1
    world.app.wake("plan")
    await world.settled()
    released = world.app.store.inbox.get(first.event_id)
    assert released.state == "ignored"
    assert words(world, released.event.msisdn.e164)[-1] == "opt_in"
    await world.app.store.dead_letters.discard([one.event_id for one in others], now=world.clock.now())
    assert sum(words(world, number(n))[-1] == "opt_in" for n in range(60)) == 1
    assert world.balanced()


async def test_an_import_of_more_than_a_page_is_parked_to_its_last_record_after_an_outage(world):
    ids = await world.people([{"last_name": "Moe", "mobile": number(n)} for n in range(2040)])
    await world.poll()
    await world.people([{"id": one, "opted_out": True} for one in ids])
    await world.fault(world.crm_url, fault="unavailable", only="reads", after=1)  # after the first page
    await world.poll()
    world.clock.ahead += timedelta(minutes=2)
    await world.poll()
    assert await sent(world) == []
    assert len(world.app.store.dead_letters.listing(parked=True, limit=3000)) == 2040


async def test_an_import_during_a_backlog_is_parked_to_its_last_record(world):
    ids = await world.people([{"last_name": "Moe", "mobile": number(n)} for n in range(2040)])
    await world.poll()
    assert world.app.feed_channels[world.feed].backlog, "opted-out records are now asked for before the pages"
    await world.people([{"id": one, "opted_out": True} for one in ids])
    world.clock.ahead += timedelta(minutes=2)
    await world.poll()
    assert await sent(world) == []
    assert len(world.app.store.dead_letters.listing(parked=True, limit=3000)) == 2040


async def test_an_import_of_opt_outs_that_is_undone_ends_no_subscription_when_all_is_released(world):
    joined_by_sms = await joined(world, number(0))
    ids = [joined_by_sms] + await world.people([{"last_name": "Moe", "mobile": number(n)} for n in range(1, 60)])
    await world.poll()
    for out in (True, False):
        await world.people([{"id": one, "opted_out": out} for one in ids])
        await world.poll()
    assert len(parked(world)) == 120
    await world.person(id=ids[1], opted_out=True)
    await world.poll()
    before = await sent(world)
    assert await world.app.store.dead_letters.release(now=world.clock.now()) == 120
    for worker in ("plan", "strex"):
        world.app.wake(worker)
    await world.settled()
    assert parked(world) == []
    assert {phone for _, phone in (await sent(world))[len(before) :]} <= {number(1)}
    assert [one["active"] for one in await world.subscribers() if one["phone"] == number(0)] == [True]
    assert (words(world, number(0))[-1], words(world, number(1))[-1]) == ("opt_in", "opt_out")
    assert world.app.store.consents.open_opt_outs(world.clock.now()) == []
    assert world.balanced()


async def test_opt_outs_of_fifty_people_are_sent_whatever_number_of_commands_they_need(world):
    # Of people whom the ledger does not know, Strex is asked for each of the three configured keywords.
    ids = await world.people([{"last_name": "x", "mobile": number(n)} for n in range(51)])
    await world.poll()
    await world.people([{"id": one, "opted_out": True} for one in ids[:50]])
    await world.poll()
    assert len(await sent(world)) == 150
    assert parked(world) == []


async def test_opt_outs_and_cleared_opt_outs_count_together_towards_the_limit(world):
    ids = await stopped_by_sms(world, 40)
    more = await world.people([{"last_name": "x", "mobile": number(100 + n)} for n in range(40)])
    await world.poll()
    await world.people(
        [{"id": one, "opted_out": False} for one in ids] + [{"id": one, "opted_out": True} for one in more]
    )
    await world.poll()
    assert world.alarms.count("commands_parked") == 1
    assert {words(world, number(n))[-1] for n in range(40)} == {"opt_out"}


async def test_an_opt_out_that_becomes_visible_five_minutes_late_is_read_once(world):
    contact = await joined(world)
    await world.fault(world.crm_url, fault="late_commit", seconds=300)
    await world.person(id=contact, opted_out=True)
    for _ in range(3):
        await world.poll()
    assert await sent(world) == [("unsubscribe", DONOR)]


async def test_a_poll_needs_one_api_call(world):
    await joined(world)
    before, rounds = await world.api_calls(), world.rounds()
    for _ in range(3):
        await world.poll()
    assert await world.api_calls() - before == world.rounds() - rounds


async def test_an_opt_out_does_not_wait_for_the_end_of_a_backlog(world):
    contact = await joined(world)
    # Thousands of other contacts are changed, and behind them one is opted out: it stands on the last of three pages.
    ids = await world.people([{"last_name": "x"} for _ in range(4500)])
    await world.poll()
    await world.people([{"id": one, "first_name": "y"} for one in ids])
    await world.person(id=contact, opted_out=True)
    world.facts.clear()
    world.clock.ahead += timedelta(minutes=1)
    world.app.wake(world.feed)
    await world.until(world.orders)
    pages = [fact for fact in world.emitted(FeedPolled) if not fact.last]
    assert pages[0].changes == 1
    assert pages[0].rows < 2000
    await world.poll()
    assert await sent(world) == [("unsubscribe", DONOR)]


async def test_opted_out_records_are_queried_first_in_a_backlog(world):
    contact = await joined(world)
    ids = await world.people([{"last_name": "x"} for _ in range(4500)])
    await world.poll()
    await world.people([{"id": one, "first_name": "y"} for one in ids])
    await world.person(id=contact, opted_out=True)
    world.facts.clear()
    # The answer that comes after what says "out" never arrives before the command is sent.
    await world.fault(world.crm_url, fault="held_answer", only="reads", after=1)
    world.clock.ahead += timedelta(minutes=1)
    world.app.wake(world.feed)
    await world.until(world.orders)
    (page,) = world.emitted(FeedPolled)
    assert (page.rows, page.changes, page.last) == (1, 1, False)
    await world.no_faults(world.crm_url)
    await world.poll()
    assert await sent(world) == [("unsubscribe", DONOR)]


async def test_pages_of_a_backlog_are_read_less_often_than_opted_out_records(world):
    await joined(world)
    await world.people([{"last_name": "x"} for _ in range(2500)])
    await world.poll()
    loop, channel = world.app.workers[world.feed], world.app.feed_channels[world.feed]
    await world.until(lambda: loop.resting)
    world.facts.clear()
    before = await world.api_calls()
    assert await world.app.pipeline.follow(channel) == 0
    assert (await world.api_calls(), world.emitted(FeedPolled)) == (before, [])
    world.clock.ahead += FULL_PAGES
    await world.app.pipeline.follow(channel)
    assert world.emitted(FeedPolled)


async def test_an_opt_out_in_the_middle_of_a_backlog_does_not_wait_for_its_end(world):
    contact = await joined(world)
    ids = await world.people([{"last_name": "x"} for _ in range(4500)])
    await world.poll()
    await world.people([{"id": one, "first_name": "y"} for one in ids])
    # Salesforce holds the answer with the second page; the first one, and what says "out", are let through.
    await world.fault(world.crm_url, fault="held_answer", only="reads", after=2)
    world.facts.clear()
    world.clock.ahead += timedelta(minutes=1)
    world.app.wake(world.feed)
    await world.until(lambda: world.struck(world.crm_url, "held_answer"))
    await world.person(id=contact, opted_out=True)
    world.clock.ahead += timedelta(minutes=1)
    await world.no_faults(world.crm_url)
    await world.until(world.orders)
    (page,) = [fact for fact in world.emitted(FeedPolled) if fact.changes]
    assert (page.last, page.rows < 2000) == (False, True)


async def test_a_deleted_contact_of_an_active_subscriber_waits_for_a_person(world):
    contact = await joined(world)
    await world.bin(contact)
    for _ in range(2):
        await world.poll()
    (letter,) = parked(world)
    assert (letter.reason, contact in letter.detail, "KATT" in letter.detail) == ("needs_person", True, True)
    # The cure: it is restored and opted out.
    await world.unbin(contact)
    await world.poll()
    await world.person(id=contact, opted_out=True)
    await world.poll()
    assert await sent(world) == [("unsubscribe", DONOR)]
    assert await world.app.store.dead_letters.discard([letter.event_id], now=world.clock.now()) == 1


async def test_a_deleted_contact_is_recognised_by_its_former_number(world):
    contact = await joined(world)
    await world.person(id=contact, mobile=OTHER)
    await world.poll()
    await world.bin(contact)
    await world.poll()
    assert len(parked(world)) == 1


async def test_a_deleted_contact_without_a_subscription_needs_no_person(world):
    # Nobody ever subscribed.
    made = await world.person(last_name="x", mobile=OTHER)
    await world.poll()
    await world.bin(made)
    await world.poll()
    # The donor has stopped.
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.bin(contact)
    await world.poll()
    assert parked(world) == []


async def test_a_deleted_contact_needs_no_person_if_another_one_has_the_number(world):
    contact = await joined(world)
    await world.person(last_name="Twin", mobile="900 00 001")
    await world.poll()
    await world.bin(contact)
    await world.poll()
    assert parked(world) == []


async def test_a_merged_contact_needs_no_person(world):
    contact = await joined(world)
    kept = await world.person(last_name="Kept", mobile=DONOR)
    await world.poll()
    await world.merge(kept, contact)
    await world.poll()
    assert parked(world) == []


async def test_one_alarm_reports_parked_commands_and_the_limit_of_people(world):
    ids = await stopped_by_sms(world, 51)
    await world.people([{"id": one, "opted_out": False} for one in ids])
    await world.poll()
    (alarm,) = [fact for fact in world.emitted(Alarm) if fact.kind == "commands_parked"]
    assert "more than 50 people" in alarm.message
