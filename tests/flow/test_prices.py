"""An amount changed by a person in the CRM: it changes one subscription, or a person is told why not."""

import pytest
from contract.crms import EACH_CRM
from flow.test_examples import DONOR, action

pytestmark = EACH_CRM


async def joined(world, *keywords):
    """A donor who has joined these keywords by SMS; the contact, as the feed has seen it."""
    for keyword in keywords:
        await world.phone(DONOR, keyword)
    await world.settled()
    await world.poll()
    return (await world.contact(DONOR))["id"]


async def prices(world):
    return [(one["keyword"], one["price"]) for one in await world.orders() if one["action"] == "changesubscriberprice"]


async def test_a_new_amount_is_sent_to_the_only_active_subscription(world):
    await world.person(id=await joined(world, "KATT"), amount=275)
    await world.poll()
    assert await prices(world) == [("KATT", 275)]


async def test_one_amount_is_never_sent_to_two_subscriptions(world):
    await world.person(id=await joined(world, "KATT", "HUND"), amount=275)
    await world.poll()
    assert await prices(world) == []
    (letter,) = world.app.store.dead_letters.listing(parked=True)
    assert letter.reason == "needs_person"
    assert "KATT on 2002, HUND on 2002" in letter.detail
    assert world.alarms.count("needs_person") == 1
    # Whichever way it is decided: sent when one of them runs, or never.
    await world.phone(DONOR, "STOP HUND")
    await world.settled()
    assert await world.app.store.dead_letters.release([letter.event_id], now=world.clock.now()) == 1
    world.app.wake("plan")
    await world.settled()
    assert await prices(world) == [("KATT", 275)]
    assert world.balanced()


async def test_an_amount_of_an_unknown_person_is_not_sent_to_all_configured_subscriptions(world):
    await world.person(last_name="Ås", mobile=DONOR, amount=275)
    await world.poll()
    assert await prices(world) == []
    assert [one.reason for one in world.app.store.dead_letters.listing(parked=True)] == ["needs_person"]


async def left_at_strex(world):
    """The subscription has ended at Strex, and no report has told of it."""
    contact = await joined(world, "KATT")
    gone = [{"phone": DONOR, "keyword": "KATT", "active": False}]
    await world.post(f"{world.strex}/_sandbox/subscribers", gone, method="PUT")
    return contact


async def unknown_to_strex(world):
    """Only a report tells of the subscription."""
    assert await world.callback("dlr", action("Subscribe")) == 200
    await world.settled()
    await world.poll()
    return (await world.contact(DONOR))["id"]


@pytest.mark.parametrize(("arranged", "status"), [(left_at_strex, 204), (unknown_to_strex, 404)], ids=["204", "404"])
async def test_a_price_that_strex_did_not_change_raises_an_alarm(world, arranged, status):
    await world.person(id=await arranged(world), amount=275)
    await world.poll()
    assert [one["answer"] for one in await world.orders()] == [status]
    (letter,) = world.app.store.dead_letters.listing()
    assert letter.reason == "price_not_changed"
    assert letter.detail.startswith(f"{status}: ")
    assert world.alarms.count("price_not_changed") == 1
    # The printed cure: a person has put it right by hand.
    assert await world.app.store.dead_letters.give_up([letter.event_id], now=world.clock.now()) == 1
    assert world.app.store.dead_letters.counts_by_reason() == {}
    assert world.balanced()


async def test_an_opt_out_of_an_inactive_subscriber_is_delivered(world):
    await world.person(id=await left_at_strex(world), opted_out=True)
    await world.poll()
    assert [one["answer"] for one in await world.orders()] == [204]
    assert world.app.store.dead_letters.counts_by_reason() == {}
