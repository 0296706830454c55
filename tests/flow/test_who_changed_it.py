"""What the org makes of our own writes (rounding, formats, flows that reset a flag) is not a person's change; and what is one."""

from datetime import timedelta

import pytest
from contract.crms import EACH_CRM

from connector.telemetry.log_events import Alarm

pytestmark = EACH_CRM

DONOR, OTHER = "+4790000001", "+4790000002"


async def joined(world, number=DONOR):
    """A donor who has subscribed by SMS; their contact, as the feed has seen it."""
    await world.phone(number, "KATT")
    await world.settled()
    await world.poll()
    return (await world.contact(number))["id"]


async def amount(world, price, turn=1, action="AlterPrice", keyword="KATT"):
    """Strex reports a new amount, which we write."""
    body = {
        "transactionId": f"t-{turn}",
        "keywordId": "12345678",
        "price": price,
        "sender": "2002",
        "recipient": DONOR,
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "properties": {"Keyword": keyword, "SystemAction": action},
    }
    assert await world.callback("dlr", body) == 200
    await world.settled()


async def sent(world):
    return [(one["action"], one.get("price")) for one in await world.orders()]


def rewritten(world):
    return [fact for fact in world.emitted(Alarm) if fact.kind == "flag_rewritten"]


def still_open(world):
    return [(one.sink, one.failed) for one in world.app.store.consents.open_opt_outs(world.clock.now())]


def words(world, number=DONOR):
    return [one.decision.word for one in world.app.store.consents.of(number) if one.phase == "decided"]


async def test_an_opt_out_that_a_flow_reverts_before_the_reply_raises_an_alarm(world):
    await joined(world)
    await world.automate({"opted_out": False}, when={"opted_out": True})
    await world.fault(world.crm_url, fault="held_answer", only="writes")
    await world.phone(DONOR, "KATT STOPP")
    await world.until(lambda: world.struck(world.crm_url, "held_answer"))
    rounds = world.rounds()
    world.app.wake(world.feed)
    await world.until(lambda: world.rounds() > rounds)
    await world.no_faults(world.crm_url)
    await world.settled()

    def alarms():
        world.app.wake(world.feed)
        return rewritten(world)

    await world.until(alarms)
    assert (await world.contact(DONOR))["opted_out"] is False
    ((sink, why),) = still_open(world)
    assert (sink, "taken the flag back" in why) == (world.crm.name, True)


async def test_the_flag_of_a_contact_that_we_make_again_sends_no_command(world):
    """The contact of a STOP was written, its event record had to wait, and meanwhile somebody deleted the contact."""
    await amount(world, 100)
    await world.poll()
    contact = (await world.contact(DONOR))["id"]
    await world.fault(world.crm_url, fault="row_lock", records=["KATT STOPP"], times=None)
    await world.phone(DONOR, "KATT STOPP")
    await world.until(lambda: world.struck(world.crm_url, "row_lock"))
    await world.bin(contact)
    await world.look()
    await world.no_faults(world.crm_url)
    await world.fault(world.crm_url, fault="held_answer", only="writes")
    world.clock.ahead += timedelta(hours=1)
    world.app.wake(world.crm.name)
    await world.until(lambda: world.struck(world.crm_url, "held_answer"))
    await world.look()
    await world.no_faults(world.crm_url)
    await world.settled()
    await world.poll()
    (made,) = [row for row in await world.records() if not row["deleted"]]
    assert (made["id"] != contact, made["opted_out"]) == (True, True)
    assert world.crm.name not in {one.decision.origin for one in world.app.store.consents.of(DONOR)}
    assert await sent(world) == []


async def test_an_amount_that_the_crm_rounds_sends_no_command(world):
    contact = await joined(world)
    await world.post(
        f"{world.crm_url}/_sandbox/fields/{world.crm.named('contact')}/{world.crm.named('amount')}",
        {"scale": 0},
        method="PATCH",
    )
    await amount(world, 99.5)
    await world.poll()
    assert (await world.contact(DONOR))["amount"] == 100
    assert await sent(world) == []
    assert world.shadow(contact)["amount"] == 100


async def test_an_amount_that_the_crm_rounds_sends_no_command_after_an_edit_by_a_person(
    world,
):
    contact = await joined(world)
    await world.post(
        f"{world.crm_url}/_sandbox/fields/{world.crm.named('contact')}/{world.crm.named('amount')}",
        {"scale": 0},
        method="PATCH",
    )
    await amount(world, 99.5)
    await world.person(id=contact, first_name="Kari")
    await world.poll()
    assert await sent(world) == []


async def test_an_amount_changed_by_a_flow_sends_no_command_and_one_changed_by_a_person_does(world):
    contact = await joined(world)
    await world.automate({"amount": 150}, when={"amount": 99})
    await amount(world, 99)
    await world.poll()
    assert (await world.contact(DONOR))["amount"] == 150
    assert await sent(world) == []
    await world.person(id=contact, amount=99)
    await world.poll()
    assert await sent(world) == [("changesubscriberprice", 99)]


async def test_an_amount_of_a_person_counts_despite_our_later_write_to_another_field(world):
    contact = await joined(world)
    await amount(world, 100)
    await world.poll()
    await world.person(id=contact, amount=250)
    await amount(world, 0, turn=2, action="Signup")
    row = await world.contact(DONOR)
    assert (row["changed_by"], row["amount"]) == (world.crm.user, 250)
    await world.poll()
    assert {price for action, price in await sent(world) if action == "changesubscriberprice"} == {250}


async def test_an_opt_out_of_a_person_counts_despite_our_later_write_to_another_field(world):
    contact = await joined(world)
    await world.person(id=contact, opted_out=True)
    await amount(world, 100)
    await world.poll()
    assert [action for action, _ in await sent(world)] == ["unsubscribe"]
    assert words(world)[-1] == "opt_out"


async def doubtful(world):
    """A flow makes 150 of our 99, and we write something else before anybody has looked."""
    await joined(world)
    await world.automate({"amount": 150}, when={"amount": 99})
    await amount(world, 99)
    await amount(world, 0, turn=2, action="Signup")
    await world.poll()
    assert await sent(world) == []
    (letter,) = world.app.store.dead_letters.listing(parked=True)
    assert f"{world.crm.named('amount')} of {world.crm.named('contact')}" in letter.detail
    return letter.event_id


async def test_an_amount_of_unclear_author_waits_for_a_person_and_is_sent_on_release(world):
    event_id = await doubtful(world)
    assert await world.app.store.dead_letters.release([event_id], now=world.clock.now()) == 1
    world.app.wake("plan")
    await world.settled()
    assert await sent(world) == [("changesubscriberprice", 150)]


async def test_an_amount_of_unclear_author_is_not_sent_when_it_is_discarded(world):
    event_id = await doubtful(world)
    assert await world.app.store.dead_letters.discard([event_id], now=world.clock.now()) == 1
    await world.poll()
    assert await sent(world) == []


async def test_an_opt_out_that_a_flow_reverts_stays_open_despite_our_later_write(world):
    await joined(world)
    await world.automate({"opted_out": False}, when={"opted_out": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await amount(world, 50)
    await world.poll()
    assert (words(world)[-1], len(rewritten(world)), len(still_open(world))) == ("opt_out", 1, 1)


async def test_an_opt_out_that_a_flow_reverts_stays_open_despite_an_edit_by_a_person(world):
    contact = await joined(world)
    await world.automate({"opted_out": False}, when={"opted_out": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.person(id=contact, first_name="Kari")
    await world.poll()
    assert (words(world)[-1], len(rewritten(world)), len(still_open(world))) == ("opt_out", 1, 1)


async def test_clearing_the_flag_before_a_stop_is_delivered_does_not_revert_the_stop(world):
    contact = await joined(world)
    await world.person(id=contact, opted_out=True)
    await world.poll()
    await world.person(id=contact, opted_out=False)
    await world.fault(world.crm_url, fault="unavailable", times=1_000_000, only="writes")
    await world.phone(DONOR, "STOPP")
    await world.get(f"{world.strex}/_sandbox/forwards?wait=1")
    await world.until(lambda: world.counts().get("pending", 0) == 0)
    # Somebody edits the contact once more, so that its stamp is later than the STOP.
    await world.person(id=contact, first_name="Kari")
    rounds = world.rounds()
    world.app.wake(world.feed)
    await world.until(lambda: world.rounds() > rounds)
    await world.until(lambda: world.counts().get("pending", 0) == 0)
    assert words(world)[-1] == "opt_out"
    await world.no_faults(world.crm_url)
    world.clock.ahead += timedelta(hours=1)
    await world.settled()
    assert await world.flag(contact)


async def test_an_opt_out_that_a_flow_reverts_still_holds_and_raises_an_alarm(world):
    contact = await joined(world)
    await world.automate({"opted_out": False}, when={"opted_out": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    assert still_open(world) == []
    for _ in range(2):
        await world.poll()
    assert words(world)[-1] == "opt_out"
    assert await sent(world) == []
    (alarm,) = rewritten(world)
    assert contact in alarm.message
    ((sink, failed),) = still_open(world)
    assert (sink, failed) == (
        world.crm.name,
        f"automation of the CRM has taken the flag back: {world.crm.named('contact')} {contact}",
    )
    # The cure: the flow is fixed, and the box ticked.
    await world.no_automation()
    await world.person(id=contact, opted_out=True)
    await world.poll()
    assert still_open(world) == []
    assert words(world)[-1] == "opt_out"


async def test_an_opt_out_that_a_flow_reverted_is_closed_by_an_opt_in(world):
    await joined(world)
    await world.automate({"opted_out": False}, when={"opted_out": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    assert len(still_open(world)) == 1
    await world.phone(DONOR, "KATT")
    await world.settled()
    assert still_open(world) == []


async def test_a_reverted_opt_out_is_closed_when_the_contact_is_deleted(world):
    contact = await joined(world)
    await world.automate({"opted_out": False}, when={"opted_out": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.bin(contact)
    await world.poll()
    assert still_open(world) == []


async def test_many_opt_outs_that_a_flow_reverts_raise_one_alarm_and_stay_open(world):
    numbers = [f"+47900001{number:02}" for number in range(8)]
    for number in numbers:
        await world.phone(number, "KATT")
    await world.settled()
    await world.poll()
    await world.automate({"opted_out": False}, when={"opted_out": True})
    for number in numbers:
        await world.phone(number, "STOPP")
    await world.settled()
    await world.poll()
    (alarm,) = rewritten(world)
    assert "and 3 more" in alarm.message
    assert len(still_open(world)) == len(numbers)


async def test_a_flag_that_a_person_clears_is_an_opt_in(world):
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.person(id=contact, opted_out=False)
    await world.poll()
    assert words(world)[-1] == "opt_in"
    assert rewritten(world) == []


async def test_a_flag_that_a_flow_sets_again_ends_no_subscription_and_raises_an_alarm(world):
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.automate({"opted_out": True}, when={"opted_out": False})
    await world.phone(DONOR, "KATT")
    await world.settled()
    await world.poll()
    assert await sent(world) == []
    (alarm,) = rewritten(world)
    assert (contact in alarm.message, words(world)[-1]) == (True, "opt_in")


@pytest.mark.parametrize("of", ["integration", "any"])
async def test_a_number_that_a_trigger_reformats_needs_no_person(world, of):
    await world.automate({"mobile": {"digits": "+## ### ## ###"}}, of=of)
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.person(id=contact, mobile=DONOR, first_name="Kari")
    await world.poll()
    assert (await world.contact(DONOR))["mobile"] == ("+47 900 00 001" if of == "any" else DONOR)
    assert world.app.store.dead_letters.listing(parked=True) == []
    assert await sent(world) == []


async def test_reformatted_numbers_of_opted_out_contacts_need_no_person(world):
    contacts = [{"last_name": "x", "mobile": f"+47900010{n:02}", "opted_out": True} for n in range(60)]
    ids = await world.people(contacts)
    await world.poll()
    parked = len(world.app.store.dead_letters.listing(parked=True, limit=1000))
    await world.people([{"id": one, "mobile": f"+47 900 010 {n:02}"} for n, one in enumerate(ids)])
    await world.poll()
    assert len(world.app.store.dead_letters.listing(parked=True, limit=1000)) == parked
