"""A backup taken under load and restored: loses nothing that it held, repeats nothing, and undoes no later change."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

from contract.crms import EACH_CRM
from flow.crowd import number, report
from flow.world import a_world

from connector.store.backups import kept, make_backup, verify
from connector.store.restore import restore

pytestmark = EACH_CRM

PEOPLE, EACH = 60, 5


DONOR = "+4790000001"


def put_back(world, backup):
    return restore(backup, world.base / "c.db", now=world.clock.now())


async def backed_up(world, name="backup.db"):
    target = world.base / name
    await asyncio.to_thread(make_backup, world.base / "c.db", target, now=world.clock.now())
    return target


async def test_a_restored_backup_from_under_load_loses_and_repeats_nothing(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:
        async with world.running():
            await world.poll()

            async def load():
                for turn in range(EACH):
                    for person in range(PEOPLE):
                        assert await world.callback("dlr", report(person, turn)) == 200

            sending = asyncio.create_task(load())
            await world.until(lambda: world.app.store.inbox.received() > PEOPLE * EACH // 3)
            backup = await backed_up(world)
            await sending
            await world.settled()
            commands, events = await world.orders(), len(await world.records("sms_event"))
            held = verify(backup).events
            assert PEOPLE * EACH // 3 < held < PEOPLE * EACH
        aside = put_back(world, backup)
        assert verify(aside).events == PEOPLE * EACH
        async with world.running():
            assert world.app.store.inbox.received() == held
            await world.poll()
            assert world.counts() == {"delivered": held}
            assert world.balanced()
            assert len(await world.records("sms_event")) == events == PEOPLE * EACH
            contacts = [one["sms_key"] for one in await world.records()]
            assert sorted(contacts) == sorted(world.crm.key(number(person)) for person in range(PEOPLE))
            assert await world.orders() == commands


@asynccontextmanager
async def restored(world, before, after):
    """`await before()`, a backup, `await after()`, and the daemon with the backup in the place of its database."""
    async with world.running():
        await world.poll()
        await before()
        backup = await backed_up(world)
        await after()
    put_back(world, backup)
    async with world.running():
        await world.poll()
        await world.poll()
        assert world.balanced()
        yield


async def join(world):
    await world.phone(DONOR, "KATT")
    await world.settled()
    await world.poll()


async def price(world, amount, turn=1):
    """Strex reports a new amount, which we write."""
    assert await world.callback("dlr", {**report(1, turn), "price": amount}) == 200
    await world.settled()


async def sent(world):
    return [(one["action"], one.get("price")) for one in await world.orders()]


def last_word(world):
    return [one.decision.word for one in world.app.store.consents.of(DONOR) if one.phase == "decided"][-1]


async def test_a_stop_that_is_not_in_the_backup_is_read_from_the_crm(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:

        async def stop():
            await world.phone(DONOR, "STOP KATT")
            await world.settled()
            await world.poll()

        async with restored(world, lambda: join(world), stop):
            assert last_word(world) == "opt_out"
            assert (await world.contact(DONOR))["opted_out"] is True
            assert {one["active"] for one in await world.subscribers()} == {False}
            assert {action for action, _ in await sent(world)} <= {"unsubscribe"}
            assert world.app.store.dead_letters.listing(parked=True) == []


async def test_a_waiting_opt_in_of_the_backup_does_not_revert_a_later_stop(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:

        async def out_and_in_again_while_the_crm_is_down():
            await join(world)
            await world.phone(DONOR, "STOP KATT")
            await world.settled()
            await world.poll()
            assert (await world.contact(DONOR))["opted_out"] is True
            await world.fault(world.crm_url, fault="unavailable", times=1000)
            await world.phone(DONOR, "KATT")
            await world.get(f"{world.strex}/_sandbox/forwards?wait=1")
            await world.until(lambda: world.counts().get("delivering"))

        async def well_again_and_out():
            await world.no_faults(world.crm_url)
            world.clock.ahead += timedelta(minutes=20)
            world.app.wake(world.crm.name)
            await world.settled()
            assert (await world.contact(DONOR))["opted_out"] is False
            await world.phone(DONOR, "STOP KATT")
            await world.settled()

        async with restored(world, out_and_in_again_while_the_crm_is_down, well_again_and_out):
            await world.settled()
            assert (await world.contact(DONOR))["opted_out"] is True
            await price(world, 120, turn=7)  # life goes on
            assert (await world.contact(DONOR))["amount"] == 120
            assert (await world.contact(DONOR))["opted_out"] is True


async def test_our_own_writes_after_the_backup_send_no_command(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:

        async def new_amount():
            await price(world, 150)
            await world.poll()

        async with restored(world, lambda: join(world), new_amount):
            contact = await world.contact(DONOR)
            assert contact["amount"] == 150
            shadow = world.shadow(contact["id"])
            assert shadow["amount"] == 150
            assert await sent(world) == []
            # A person's change after the restore goes out as ever. The CRM tells times by the second.
            over = world.app.store.restored.restored_at
            await world.until(lambda: world.clock.now().replace(microsecond=0) > over)
            await world.person(id=contact["id"], amount=275)
            await world.poll()
            assert await sent(world) == [("changesubscriberprice", 275)]


async def test_a_change_by_a_person_after_the_backup_waits_for_a_person(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:
        async with world.running():
            await world.poll()
            await join(world)
            backup = await backed_up(world)
        # Whether it was sent before the restore, nobody knows.
        await world.person(id=(await world.contact(DONOR))["id"], amount=275)
        put_back(world, backup)
        async with world.running():
            await world.poll()
            assert await sent(world) == []
            (letter,) = world.app.store.dead_letters.listing(parked=True)
            assert await world.app.store.dead_letters.release([letter.event_id], now=world.clock.now()) == 1
            world.app.wake("strex")
            await world.settled()
            assert await sent(world) == [("changesubscriberprice", 275)]


async def test_a_change_that_was_sent_after_the_backup_is_not_sent_twice(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:

        async def change():
            await world.person(id=(await world.contact(DONOR))["id"], amount=275)
            await world.poll()
            assert await sent(world) == [("changesubscriberprice", 275)]

        async with restored(world, lambda: join(world), change):
            assert await sent(world) == [("changesubscriberprice", 275)]


async def test_a_waiting_command_of_the_backup_waits_for_a_person(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:

        async def change_while_strex_is_down():
            await join(world)
            await world.fault(world.strex, fault="unavailable", times=1000)
            await world.person(id=(await world.contact(DONOR))["id"], amount=275)
            world.app.wake(world.feed)
            await world.until(lambda: world.counts().get("delivering"))

        async def well_again():
            await world.no_faults(world.strex)
            world.clock.ahead += timedelta(minutes=20)
            world.app.wake("strex")
            await world.settled()

        async with restored(world, change_while_strex_is_down, well_again):
            before = await sent(world)
            assert before.count(("changesubscriberprice", 275)) == len(before)
            letters = world.app.store.dead_letters.listing(parked=True)
            assert ["the database was restored" in (one.detail or "") for one in letters] == [True]
            orders = len(await world.orders())
            world.app.wake("strex")
            await world.settled()
            assert len(await world.orders()) == orders


async def test_missed_nightly_jobs_run_at_the_next_start(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:
        async with world.running():
            await world.poll()
        await backed_up(world, "backups/c-20261101T020000Z.db")
        async with world.running() as app:

            async def measured():
                async with world.http.get(f"{app.admin_url}/metrics") as response:
                    lines = dict(line.rsplit(" ", 1) for line in (await response.text()).splitlines())
                return float(lines.get("connector_last_backup_age_seconds", "inf")) < 60 and lines

            assert float((await world.until(measured))["connector_last_backup_bytes"]) > 0
        assert len(kept(world.base / "backups", "c")) == 2
        assert world.alarms == []
