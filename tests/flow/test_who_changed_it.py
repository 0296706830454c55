"""What the org makes of our own writes (rounding, formats, flows that reset a flag) is not a person's change; and what is one."""

from datetime import timedelta

import pytest

from connector.sandbox.salesforce.org import INTEGRATION_USER
from connector.telemetry.log_events import Alarm

DONOR, OTHER = "+4790000001", "+4790000002"


async def joined(world, number=DONOR):
    """A donor who has subscribed by SMS; their contact, as the feed has seen it."""
    await world.phone(number, "KATT")
    await world.settled()
    await world.poll()
    return (await world.contact(number))["Id"]


async def automate(world, **wish):
    await world.post(f"{world.salesforce}/_sandbox/automation", wish)


async def no_automation(world):
    async with world.http.delete(f"{world.salesforce}/_sandbox/automation") as response:
        assert response.status == 200


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


async def test_an_amount_that_its_field_rounds_sends_no_command(world):
    contact = await joined(world)
    await world.post(f"{world.salesforce}/_sandbox/fields/Contact/SMS_Monthly_Amount__c", {"scale": 0}, method="PATCH")
    await amount(world, 99.5)
    await world.poll()
    assert (await world.contact(DONOR))["SMS_Monthly_Amount__c"] == 100
    assert await sent(world) == []
    assert world.app.store.records.shadow("salesforce", "Contact", contact)["SMS_Monthly_Amount__c"] == 100


async def test_an_amount_that_its_field_rounds_sends_no_command_though_a_person_edits_the_contact_before_the_look(
    world,
):
    contact = await joined(world)
    await world.post(f"{world.salesforce}/_sandbox/fields/Contact/SMS_Monthly_Amount__c", {"scale": 0}, method="PATCH")
    await amount(world, 99.5)
    await world.person(Id=contact, FirstName="Kari")
    await world.poll()
    assert await sent(world) == []


async def test_what_a_flow_makes_of_an_amount_sends_no_command_and_a_person_s_amount_does(world):
    contact = await joined(world)
    await automate(world, rewrite={"Contact": {"SMS_Monthly_Amount__c": 150}}, when={"SMS_Monthly_Amount__c": 99})
    await amount(world, 99)
    await world.poll()
    assert (await world.contact(DONOR))["SMS_Monthly_Amount__c"] == 150
    assert await sent(world) == []
    await world.person(Id=contact, SMS_Monthly_Amount__c=99)
    await world.poll()
    assert await sent(world) == [("changesubscriberprice", 99)]


async def test_an_amount_that_a_person_changed_before_a_write_of_ours_to_another_field_is_theirs(world):
    contact = await joined(world)
    await amount(world, 100)
    await world.poll()
    await world.person(Id=contact, SMS_Monthly_Amount__c=250)
    await amount(world, 0, turn=2, action="Signup")
    row = await world.contact(DONOR)
    assert (row["LastModifiedById"], row["SMS_Monthly_Amount__c"]) == (INTEGRATION_USER, 250)
    await world.poll()
    assert {price for action, price in await sent(world) if action == "changesubscriberprice"} == {250}


async def test_an_opt_out_that_a_person_set_before_a_write_of_ours_to_another_field_is_theirs(world):
    contact = await joined(world)
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    await amount(world, 100)
    await world.poll()
    assert [action for action, _ in await sent(world)] == ["unsubscribe"]
    assert words(world)[-1] == "opt_out"


async def doubtful(world):
    """A flow makes 150 of our 99, and we write something else before anybody has looked."""
    await joined(world)
    await automate(world, rewrite={"Contact": {"SMS_Monthly_Amount__c": 150}}, when={"SMS_Monthly_Amount__c": 99})
    await amount(world, 99)
    await amount(world, 0, turn=2, action="Signup")
    await world.poll()
    assert await sent(world) == []
    (letter,) = world.app.store.dead_letters.listing(parked=True)
    assert "SMS_Monthly_Amount__c of Contact" in letter.detail
    return letter.event_id


async def test_where_nobody_can_tell_a_flow_from_a_person_the_amount_is_put_before_a_person(world):
    event_id = await doubtful(world)
    assert await world.app.store.dead_letters.release([event_id], now=world.clock.now()) == 1
    world.app.wake("plan")
    await world.settled()
    assert await sent(world) == [("changesubscriberprice", 150)]


async def test_what_a_person_knows_to_be_the_flow_s_is_discarded(world):
    event_id = await doubtful(world)
    assert await world.app.store.dead_letters.discard([event_id], now=world.clock.now()) == 1
    await world.poll()
    assert await sent(world) == []


async def test_an_opt_out_that_a_flow_takes_back_stands_though_we_write_something_else_before_anybody_looks(world):
    await joined(world)
    await automate(world, rewrite={"Contact": {"SMS_Opt_Out__c": False}}, when={"SMS_Opt_Out__c": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await amount(world, 50)
    await world.poll()
    assert (words(world)[-1], len(rewritten(world)), len(still_open(world))) == ("opt_out", 1, 1)


async def test_an_opt_out_that_a_flow_takes_back_stands_though_a_person_edits_the_contact_before_anybody_looks(world):
    contact = await joined(world)
    await automate(world, rewrite={"Contact": {"SMS_Opt_Out__c": False}}, when={"SMS_Opt_Out__c": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.person(Id=contact, FirstName="Kari")
    await world.poll()
    assert (words(world)[-1], len(rewritten(world)), len(still_open(world))) == ("opt_out", 1, 1)


async def test_who_unticks_a_box_that_a_stop_is_on_its_way_to_has_not_taken_that_stop_back(world):
    contact = await joined(world)
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    await world.poll()
    await world.person(Id=contact, SMS_Opt_Out__c=False)
    await world.fault(world.salesforce, fault="unavailable", times=1_000_000, only="writes")
    await world.phone(DONOR, "STOPP")
    await world.get(f"{world.strex}/_sandbox/forwards?wait=1")
    await world.until(lambda: world.counts().get("pending", 0) == 0)
    # Somebody edits the contact once more, so that its stamp is later than the STOP.
    await world.person(Id=contact, FirstName="Kari")
    rounds = world.rounds()
    world.app.wake("salesforce.Contact")
    await world.until(lambda: world.rounds() > rounds)
    await world.until(lambda: world.counts().get("pending", 0) == 0)
    assert words(world)[-1] == "opt_out"
    await world.no_faults(world.salesforce)
    world.clock.ahead += timedelta(hours=1)
    await world.settled()
    assert await world.flag(contact)


async def test_an_opt_out_that_a_flow_takes_back_stays_the_last_word_stays_open_and_calls_a_person(world):
    contact = await joined(world)
    await automate(world, rewrite={"Contact": {"SMS_Opt_Out__c": False}}, when={"SMS_Opt_Out__c": True})
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
    assert (sink, failed) == ("salesforce", f"automation of the CRM has taken the flag back: Contact {contact}")
    # The cure: the flow is fixed, and the box ticked.
    await no_automation(world)
    await world.person(Id=contact, SMS_Opt_Out__c=True)
    await world.poll()
    assert still_open(world) == []
    assert words(world)[-1] == "opt_out"


async def test_an_opt_out_that_was_taken_back_is_owed_no_more_when_the_donor_joins_anew(world):
    await joined(world)
    await automate(world, rewrite={"Contact": {"SMS_Opt_Out__c": False}}, when={"SMS_Opt_Out__c": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    assert len(still_open(world)) == 1
    await world.phone(DONOR, "KATT")
    await world.settled()
    assert still_open(world) == []


async def test_an_opt_out_that_was_taken_back_is_owed_no_more_when_the_contact_is_deleted(world):
    contact = await joined(world)
    await automate(world, rewrite={"Contact": {"SMS_Opt_Out__c": False}}, when={"SMS_Opt_Out__c": True})
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.bin(contact)
    await world.poll()
    assert still_open(world) == []


async def test_many_opt_outs_that_a_flow_takes_back_are_one_alarm_and_each_stays_open(world):
    numbers = [f"+47900001{number:02}" for number in range(8)]
    for number in numbers:
        await world.phone(number, "KATT")
    await world.settled()
    await world.poll()
    await automate(world, rewrite={"Contact": {"SMS_Opt_Out__c": False}}, when={"SMS_Opt_Out__c": True})
    for number in numbers:
        await world.phone(number, "STOPP")
    await world.settled()
    await world.poll()
    (alarm,) = rewritten(world)
    assert "and 3 more" in alarm.message
    assert len(still_open(world)) == len(numbers)


async def test_a_person_who_takes_an_opt_out_back_is_believed(world):
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await world.person(Id=contact, SMS_Opt_Out__c=False)
    await world.poll()
    assert words(world)[-1] == "opt_in"
    assert rewritten(world) == []


async def test_a_flag_that_a_flow_sets_when_we_clear_it_ends_no_subscription_and_calls_a_person(world):
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()
    await automate(world, rewrite={"Contact": {"SMS_Opt_Out__c": True}}, when={"SMS_Opt_Out__c": False})
    await world.phone(DONOR, "KATT")
    await world.settled()
    await world.poll()
    assert await sent(world) == []
    (alarm,) = rewritten(world)
    assert (contact in alarm.message, words(world)[-1]) == (True, "opt_in")


@pytest.mark.parametrize("of", ["integration", "any"])
async def test_a_number_that_a_trigger_writes_in_another_form_asks_nobody(world, of):
    await automate(world, rewrite={"Contact": {"MobilePhone": {"digits": "+## ### ## ###"}}}, of=of)
    contact = await joined(world)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.person(Id=contact, MobilePhone=DONOR, FirstName="Kari")
    await world.poll()
    assert (await world.contact(DONOR))["MobilePhone"] == ("+47 900 00 001" if of == "any" else DONOR)
    assert world.app.store.dead_letters.listing(parked=True) == []
    assert await sent(world) == []


async def test_numbers_of_opted_out_contacts_in_another_form_ask_nobody(world):
    contacts = [{"LastName": "x", "MobilePhone": f"+47900010{n:02}", "SMS_Opt_Out__c": True} for n in range(60)]
    ids = await world.people(contacts)
    await world.poll()
    parked = len(world.app.store.dead_letters.listing(parked=True, limit=1000))
    await world.people([{"Id": one, "MobilePhone": f"+47 900 010 {n:02}"} for n, one in enumerate(ids)])
    await world.poll()
    assert len(world.app.store.dead_letters.listing(parked=True, limit=1000)) == parked
