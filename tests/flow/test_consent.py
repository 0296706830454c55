"""Consent over HTTP with both sandboxes: each guarantee, from the view of donors and administrators."""

from datetime import timedelta

from contract.crms import EACH_CRM
from flow.world import a_world

pytestmark = EACH_CRM

DONOR = "+4790000001"


async def joined(world, *keywords):
    """A donor who has subscribed by SMS; their contact, as the feed has seen it."""
    for keyword in keywords or ("KATT",):
        await world.phone(DONOR, keyword)
    await world.settled()
    await world.poll()
    return await world.contact(DONOR)


async def sent(world):
    return [(one["action"], one["keyword"], one["answer"]) for one in await world.orders()]


async def test_an_opt_in_and_an_opt_out_by_sms_are_written_to_the_crm_and_not_sent_back(world):
    contact = await joined(world)
    assert contact["opted_out"] is False
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    assert (await world.contact(DONOR))["opted_out"] is True
    await world.poll()
    assert await sent(world) == []
    assert world.balanced()


async def test_an_opt_out_in_the_crm_is_sent_once_without_an_echo(world):
    contact = await joined(world)
    await world.person(id=contact["id"], opted_out=True)
    await world.poll()
    assert await sent(world) == [("unsubscribe", "KATT", 200)]
    # Strex's confirmation has come in by now; neither it nor the next looks send anything further.
    assert world.counts()["no_change"] == 1
    before = await world.history()
    await world.poll()
    await world.poll()
    assert await sent(world) == [("unsubscribe", "KATT", 200)]
    assert await world.history() == before
    assert [one["active"] for one in await world.subscribers()] == [False]


async def test_an_opt_out_of_one_keyword_leaves_the_other_and_the_flag(world):
    await joined(world, "KATT", "HUND")
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    assert (await world.contact(DONOR))["opted_out"] is False
    assert {one["keyword"]: one["active"] for one in await world.subscribers()} == {"KATT": False, "HUND": True}
    traces = [(one["action"], one["keyword"]) for one in await world.records("sms_event")]
    assert ("Unsubscribe", "KATT") in traces
    assert ("Unsubscribe", "HUND") not in traces
    await world.phone(DONOR, "HUND STOPP")
    await world.settled()
    assert (await world.contact(DONOR))["opted_out"] is True


async def test_a_flag_that_is_cleared_and_set_again_sends_a_second_command(world):
    contact = await joined(world)
    counted = []
    for out in (True, False, True):
        await world.person(id=contact["id"], opted_out=out)
        await world.poll()
        counted.append(len([one for one in await sent(world) if one[1] == "KATT"]))
    assert counted == [1, 1, 2]


async def test_clearing_the_flag_before_the_command_is_sent_cancels_it(world):
    contact = await joined(world)
    await world.fault(world.strex, fault="unavailable", times=1_000_000)
    for out in (True, False):
        await world.person(id=contact["id"], opted_out=out)
        await world.look()
        await world.until(lambda: not world.app.store.inbox.pending(10) and world.told_paused("strex"))
    await world.no_faults(world.strex)
    world.clock.ahead += timedelta(minutes=2)
    world.app.wake("strex")
    await world.settled()
    await world.poll()
    assert [one["active"] for one in await world.subscribers()] == [True]
    assert (await world.contact(DONOR))["opted_out"] is False
    assert world.app.store.consents.open_opt_outs(world.clock.now()) == []


async def test_the_first_poll_of_5000_opted_out_contacts_sends_nothing(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:
        await world.people(
            [{"last_name": "x", "mobile": f"+4790000{number % 1000:03}", "opted_out": True} for number in range(5000)]
        )
        async with world.running():
            await world.poll()
            await world.poll()
            assert await sent(world) == []
            assert world.counts() == {}
            # The look was real: a change of one of them is seen.
            one = (await world.records())[7]
            await world.person(id=one["id"], opted_out=False)
            await world.poll()
            assert world.counts() == {"ignored": 1}


async def test_an_opt_in_by_sms_never_clears_a_flag_that_a_person_set_after_the_last_poll(world):
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.person(id=contact["id"], opted_out=False)
    await world.poll()
    # The feed has seen the flag cleared. Now a person sets it, and before the next look the donor joins by SMS.
    await world.person(id=contact["id"], opted_out=True)
    await world.phone(DONOR, "KATT")
    await world.settled()
    assert (await world.contact(DONOR))["opted_out"] is True


async def test_an_opt_in_by_sms_clears_a_flag_that_an_opt_out_by_sms_set(world):
    await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.phone(DONOR, "KATT")
    await world.settled()
    assert (await world.contact(DONOR))["opted_out"] is False


async def test_an_opt_out_overtakes_a_thousand_waiting_events_of_the_same_person(world):
    await joined(world)
    await world.fault(world.crm_url, fault="unavailable", times=1_000_000)
    for number in range(1000):
        assert await world.callback("dlr", report(number, action="AlterPrice", price=number + 1)) == 200
    await world.until(lambda: world.counts().get("delivering", 0) >= 1000)
    await world.phone(DONOR, "KATT STOPP")
    await world.get(f"{world.strex}/_sandbox/forwards?wait=1")
    await world.until(lambda: world.counts().get("pending", 0) == 0)
    before = await world.writes()
    await world.no_faults(world.crm_url)
    world.clock.ahead += timedelta(hours=1)
    await world.settled()
    writes = [one["fields"] for one in await world.writes()][len(before) :]
    first_flag = next(place for place, fields in enumerate(writes) if "opted_out" in fields)
    assert first_flag == 0
    contact = await world.contact(DONOR)
    assert contact["opted_out"] is True
    assert contact["amount"] == 1000


def report(number, *, action, **more):
    return {
        "transactionId": f"t-{number}",
        "keywordId": "12345678",
        "sender": "2002",
        "recipient": DONOR,
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "properties": {"Keyword": "KATT", "SystemAction": action},
        **more,
    }


async def test_an_opt_out_reaches_strex_while_the_crm_is_down(world):
    contact = await joined(world)
    await world.person(id=contact["id"], opted_out=True)
    # Salesforce answers the look that shows the change, and goes down with the deliveries behind it.
    await world.fault(world.crm_url, fault="unavailable", times=1_000_000, only="writes")
    await world.phone("+4790000002", "HUND")
    await world.until(lambda: world.told_paused(world.crm.name))
    world.app.wake(world.feed)
    await world.until(lambda: sent(world))
    assert await sent(world) == [("unsubscribe", "KATT", 200)]


async def test_an_opt_out_by_sms_reaches_the_crm_while_strex_is_down(world):
    contact = await joined(world)
    other = await world.person(last_name="Other", mobile="+4790000002", opted_out=False)
    await world.poll()
    await world.fault(world.strex, fault="unavailable", times=1_000_000)
    await world.person(id=other, opted_out=True)
    world.app.wake(world.feed)
    await world.until(lambda: world.told_paused("strex"))
    await world.phone(DONOR, "KATT STOPP")
    await world.until(lambda: world.flag(contact["id"]))
    await world.no_faults(world.strex)
    world.clock.ahead += timedelta(hours=1)
    await world.settled()
    # Nobody ever joined with the other number: Strex is asked for every configured keyword, and knows none of them.
    assert {(action, answer) for action, _, answer in await sent(world) if answer != 503} == {("unsubscribe", 404)}


async def test_sixty_opt_outs_in_one_poll_wait_for_a_person(world):
    ids = await world.people(
        [{"last_name": "x", "mobile": f"+4790000{number:03}", "opted_out": False} for number in range(60)]
    )
    await world.poll()
    await world.people([{"id": each, "opted_out": True} for each in ids])
    await world.poll()
    assert await sent(world) == []
    assert world.alarms.count("commands_parked") == 1
    assert world.counts()["dead"] == 60
    parked = world.app.store.dead_letters.listing(parked=True, limit=100)
    assert len(parked) == 60
    await world.app.store.dead_letters.release(None, now=world.clock.now())
    world.app.wake("strex")
    await world.settled()
    assert len(await sent(world)) == 60 * 3
    assert world.balanced()


async def test_a_late_opt_in_of_the_old_subscription_changes_nothing(world):
    await joined(world)
    (forward,) = [
        one
        for one in await world.get(f"{world.strex}/_sandbox/forwards")
        if one["body"].get("properties", {}).get("SystemAction") == "Subscribe"
    ]
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    contact, history = await world.contact(DONOR), await world.history()
    late = {**forward["body"], "detailedStatusCode": "Late", "statusCode": "Rebilled"}
    assert await world.callback("dlr", late) == 200
    await world.settled()
    assert world.counts()["superseded"] == 1
    assert await world.history() == history
    assert await world.contact(DONOR) == contact


async def test_a_contact_that_is_created_for_an_opted_out_person_is_opted_out(world):
    """A person deletes the contact that held the flag. A report about the donor makes a new one."""
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.bin(contact["id"])
    await world.poll()
    assert await world.callback("dlr", report(DONOR, action="AlterPrice", price=200)) == 200
    await world.settled()
    (made,) = [one for one in await world.records() if not one["deleted"]]
    assert (made["amount"], made["opted_out"]) == (200, True)
    await world.poll()
    assert await sent(world) == []
    # Who joins again is in again.
    await world.phone(DONOR, "KATT")
    await world.settled()
    assert [one["opted_out"] for one in await world.records() if not one["deleted"]] == [False]


async def test_an_opt_out_during_a_waiting_write_survives_the_deletion_of_its_contact(world):
    """A report waits for the CRM. Meanwhile somebody opts the donor out, and deletes the contact that holds the flag."""
    contact = await joined(world)
    await world.fault(world.crm_url, fault="unavailable", times=1_000_000, only="writes")
    assert await world.callback("dlr", report(DONOR, action="AlterPrice", price=200)) == 200
    await world.until(lambda: world.told_paused(world.crm.name))
    await world.person(id=contact["id"], opted_out=True)
    world.app.wake(world.feed)
    await world.until(lambda: sent(world))
    await world.bin(contact["id"])
    await world.no_faults(world.crm_url)
    world.clock.ahead += timedelta(hours=1)
    await world.poll()
    assert [one["opted_out"] for one in await world.records() if not one["deleted"]] == [True]


async def test_a_changed_number_of_an_opted_out_contact_waits_for_a_person(world):
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.person(id=contact["id"], mobile="+4790000009")
    await world.poll()
    assert await sent(world) == []
    (letter,) = world.app.store.dead_letters.listing(parked=True)
    assert letter.reason == "needs_person"
    assert (await world.app.store.dead_letters.retry(now=world.clock.now())).as_planned == 0
    assert await world.app.store.dead_letters.discard([letter.event_id], now=world.clock.now()) == 1
    assert world.app.store.inbox.get(letter.event_id).state == "ignored"
    assert world.balanced()


async def test_a_late_confirmation_raises_one_alarm_at_each_deadline_and_is_cleared(world):
    contact = await joined(world)
    await world.fault(world.strex, fault="unavailable", times=1_000_000)
    await world.person(id=contact["id"], opted_out=True)
    world.app.wake(world.feed)
    await world.until(lambda: world.told_paused("strex"))
    for passed, raised in ((timedelta(minutes=1), 0), (timedelta(minutes=5), 1), (timedelta(hours=1), 2)):
        world.clock.ahead += passed
        world.app.wake("deadlines")
        await world.until(lambda raised=raised: world.alarms.count("opt_out_late") == raised)
    await world.no_faults(world.strex)
    world.clock.ahead += timedelta(hours=1)
    await world.settled()
    world.app.wake("deadlines")
    await world.until(lambda: world.cleared("opt_out_late"))


async def test_a_new_amount_in_the_crm_is_sent_to_strex_without_an_echo(world):
    contact = await joined(world)
    await world.person(id=contact["id"], amount=250)
    await world.poll()
    assert await sent(world) == [("changesubscriberprice", "KATT", 200)]
    await world.poll()
    assert len(await sent(world)) == 1
    assert (await world.contact(DONOR))["amount"] == 250
