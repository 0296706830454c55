"""A forgotten person, with the daemon and both sandboxes: nothing is left, the STOP holds, and the counts still add up."""

import asyncio
import random
from datetime import timedelta

from contract.crms import EACH_CRM

from connector.admin import AdminContext, commands_for
from connector.model.phone import Phone
from connector.store.backups import make_backup

DONOR, NAME, WORDS = "+4790000001", "Annabella", "whispered-words"
FORMS = ("4790000001", "90000001", "900 00 001", "90 00 00 01", "%2B4790000001", NAME, WORDS)
PEOPLE = 60  # tests/store/test_forgetting.py forgets a thousand


def report(action, number=DONOR, *, transaction, **more):
    return {
        "transactionId": transaction,
        "sender": "2002",
        "recipient": number,
        "statusCode": "Ok",
        "properties": {"Keyword": "KATT", "SystemAction": action, "Text": f"{WORDS} 900 00 001"},
        "lookup": {"firstName": NAME},
        **more,
    }


async def ask(world, command, **payload):
    app = world.app
    context = AdminContext.of(app.store, rules=lambda: app.pipeline.rules, loaded=app.loaded, now=world.clock.now)
    return await commands_for(context)[command](payload)


async def life(world):
    """A donor who joins, says something, and stops; as the feed has seen it."""
    assert await world.callback("dlr", report("Subscribe", transaction="t-1", correlationId="sub-1")) == 200
    await world.settled()
    await world.phone(DONOR, f"KATT {WORDS}")
    await world.callback("mo", f'{{"sender": "{DONOR}", "text": "{WORDS}'.encode())  # it cannot be read
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    await world.poll()


def left(world):
    """What of the person is in which file of the daemon, byte for byte."""
    files = [one for one in world.base.rglob("*") if one.is_file() and "mappings" not in one.parts]
    return {(one.name, form) for one in files for form in FORMS if form.encode() in one.read_bytes()}


@EACH_CRM
async def test_a_forgotten_person_is_in_no_file_backup_log_or_metric(world):
    await life(world)
    assert left(world)
    contact = await world.contact(DONOR)
    await world.bin(contact["id"])  # the charity erases it in the CRM first
    await world.poll()
    said = await ask(world, "person_forget", phone="0047 900 00 001", confirm=True)
    assert said["finished"], said["waits"]
    assert said["log_emptied"]
    make_backup(world.app.store.path, world.base / "backups" / "after.db", now=world.clock.now())
    assert left(world) == set()
    assert not [fact for fact in world.facts if any(form in repr(fact) for form in FORMS)]
    assert world.balanced()


@EACH_CRM
async def test_the_stop_of_a_forgotten_person_holds_until_a_new_opt_in(world):
    await life(world)
    contact = await world.contact(DONOR)
    await world.bin(contact["id"])
    await world.poll()
    assert (await ask(world, "person_forget", phone=DONOR, confirm=True))["finished"]
    received = world.app.store.inbox.received()
    # The provider repeats an old callback; a late opt-in of the same subscription comes with another id.
    assert await world.callback("dlr", report("Subscribe", transaction="t-1", correlationId="sub-1")) == 200
    assert world.app.store.inbox.received() == received
    # Somebody imports the contact again, and a report about the donor comes.
    imported = await world.person(sms_key=world.crm.key(DONOR), last_name="Imported", opted_out=False)
    await world.poll()
    await world.bin(imported)
    await world.poll()
    assert await world.callback("dlr", report("AlterPrice", transaction="t-9", price=200)) == 200
    await world.settled()
    (made,) = [one for one in await world.records() if not one["deleted"]]
    assert made["opted_out"] is True
    # Whoever joins again is in again.
    await world.phone(DONOR, "KATT")
    await world.settled()
    (made,) = [one for one in await world.records() if not one["deleted"]]
    assert made["opted_out"] is False
    said = await ask(world, "person_show", phone=DONOR)
    assert [one["active"] for one in said["subscriptions"]] == [True]
    assert world.balanced()


@EACH_CRM
async def test_an_opt_out_that_the_crm_has_not_confirmed_is_delivered_and_then_erased(world):
    assert await world.callback("dlr", report("Subscribe", transaction="t-1")) == 200
    await world.settled()
    await world.fault(world.crm_url, fault="unavailable")
    await world.phone(DONOR, "KATT STOPP")
    await world.until(lambda: world.counts().get("delivering"))
    said = await ask(world, "person_forget", phone=DONOR, confirm=True)
    assert said["waits"]
    assert world.app.store.forgetting.unfinished() == [Phone(DONOR)]
    await world.no_faults(world.crm_url)
    world.clock.ahead += timedelta(minutes=10)
    for worker in world.app.workers.values():
        worker.wake()
    await world.settled()
    assert (await world.contact(DONOR))["opted_out"] is True

    await world.until(lambda: erased(world))
    assert world.app.store.inbox.of_phone(DONOR) == []
    assert world.balanced()


async def test_many_people_are_forgotten_while_their_callbacks_arrive(world):
    """In any order: all are forgotten, every STOP reaches the CRM, what came later is there, and the counts add up."""
    dice, store = random.Random(7), world.app.store
    numbers = [f"+47900{place:05}" for place in range(PEOPLE)]
    stopped, later = set(dice.sample(numbers, PEOPLE // 3)), set(dice.sample(numbers, PEOPLE // 10))

    async def call(number, action):
        body = report(action, number, transaction=f"{action.lower()}-{number[3:]}")
        assert await world.callback("dlr", body) == 200

    async def live(several):
        for number in several:
            await call(number, "Subscribe")
            if number in stopped:
                await call(number, "Unsubscribe")
            await ask(world, "person_forget", phone=number, confirm=True)
            if number in later:
                await call(number, "AlterPrice")

    await asyncio.gather(*(live(numbers[start::8]) for start in range(8)))
    await world.settled()
    await world.until(lambda: erased(world))
    assert store.forgetting.counts() == (PEOPLE, 0)
    assert world.balanced()
    out = {one["sms_key"]: one["opted_out"] for one in await world.records()}
    assert out == {world.crm.key(number): number in stopped for number in numbers}
    # The CRM still has the contacts: they are shown again, and are no change.
    await world.poll()
    assert await world.commands() == []
    assert {number: len(store.inbox.of_phone(number)) for number in numbers} == {
        number: int(number in later) for number in numbers
    }


def erased(world):
    """Whether nothing waits to be erased; the worker is woken to look."""
    world.app.wake("forget")
    return not world.app.store.forgetting.unfinished() and not world.app.store.forgetting.log_holds_erased
