"""People's changes to whole contacts in Salesforce, over HTTP: nobody is opted in by them, and nothing is sent twice."""

from datetime import timedelta

import pytest
from contract.crms import EACH_CRM
from flow.crowd import report
from flow.world import a_world

pytestmark = EACH_CRM

DONOR, OTHER = "+4790000001", "+4790000002"


async def joined(world, number=DONOR):
    """A donor who has subscribed by SMS; their contact, as the feed has seen it."""
    await world.phone(number, "KATT")
    await world.settled()
    await world.poll()
    return (await world.contact(number))["id"]


async def opted_out(world, number=DONOR):
    """A donor who was opted out in Salesforce; the order has gone to Strex."""
    contact = await joined(world, number)
    await world.person(id=contact, opted_out=True)
    await world.poll()
    assert len(await world.orders()) == 1
    return contact


async def someone(world, **fields):
    """A contact that a person has made; the feed has seen it."""
    contact = await world.person(**{"last_name": "Ås", "mobile": DONOR} | fields)
    await world.poll()
    return contact


def letters(world):
    return [one.reason for one in world.app.store.dead_letters.listing(parked=True)]


async def test_an_opt_out_that_a_merge_would_undo_waits_for_a_person_and_holds_meanwhile(world):
    out = await opted_out(world)
    kept, third = await someone(world), await someone(world, opted_out=False, last_name="Third")
    await world.person(id=third, opted_out=True)
    await world.poll()
    before = await world.orders()
    await world.merge(kept, out)
    for _ in range(3):
        await world.poll()
    assert await world.orders() == before
    (letter,) = world.app.store.dead_letters.listing(parked=True)
    assert (letter.reason, out in letter.detail, kept in letter.detail) == ("needs_person", True, True)
    # Until somebody has decided, another contact with this number cannot opt the donor in.
    await world.person(id=third, opted_out=False)
    await world.poll()
    assert [entry.decision.word for entry in world.app.store.consents.of(DONOR)][-1] == "opt_out"
    await world.app.store.dead_letters.discard([letter.event_id], now=world.clock.now())
    await world.person(id=third, opted_out=True)
    await world.poll()
    await world.person(id=third, opted_out=False)
    await world.poll()
    assert [entry.decision.word for entry in world.app.store.consents.of(DONOR)][-1] == "opt_in"
    assert world.balanced()


async def test_a_flag_that_moves_to_the_kept_contact_is_not_sent_to_the_provider(world):
    out, kept = await opted_out(world), await someone(world)
    before = await world.orders()
    await world.merge(kept, out, opted_out=True)
    await world.poll()
    assert await world.orders() == before
    assert letters(world) == []
    # From now on it is the kept contact's own.
    await world.person(id=kept, opted_out=False)
    await world.poll()
    await world.person(id=kept, opted_out=True)
    await world.poll()
    assert len(await world.orders()) > len(before)


async def test_a_flag_that_moves_to_the_contact_of_a_donor_who_has_joined_again_is_an_opt_out(world):
    out = await someone(world)
    await world.person(id=out, opted_out=True)
    await world.poll()
    before = await world.orders()
    await world.phone(DONOR, "KATT")
    await world.poll()
    kept = next(one["id"] for one in await world.records() if one["sms_key"] and one["id"] != out)
    assert await world.flag(kept) is False
    await world.merge(kept, out, opted_out=True)
    await world.poll()
    assert [one["action"] for one in (await world.orders())[len(before) :]] == ["unsubscribe"]


async def test_a_number_that_is_opted_out_by_a_merge_is_sent_to_the_provider(world):
    out = await opted_out(world)
    kept = await joined(world, OTHER)
    before = await world.orders()
    await world.merge(kept, out, opted_out=True)
    await world.poll()
    assert [one["phone"] for one in (await world.orders())[len(before) :]] == [OTHER]


async def test_a_merge_never_opts_in_the_contact_that_is_kept(world):
    kept = await opted_out(world)
    loser = await someone(world)
    before = len(world.app.store.consents.of(DONOR))
    await world.merge(kept, loser, opted_out=False)
    await world.poll()
    assert len(world.app.store.consents.of(DONOR)) == before
    assert letters(world) == ["needs_person"]


@pytest.mark.parametrize("into", [None, "another"])
async def test_an_undeleted_opted_out_contact_is_no_new_opt_out(world, into):
    if into and not world.crm.restores:
        pytest.skip("the CRM does not take a merge back")
    out = await opted_out(world)
    before, counted = await world.orders(), world.counts()
    if into:
        kept = await someone(world, opted_out=True)
        before, counted = await world.orders(), world.counts()
        await world.merge(kept, out)
    else:
        await world.bin(out)
    await world.poll()
    await world.unbin(out)
    await world.poll()
    assert await world.orders() == before
    assert world.counts() == counted
    assert world.shadow(out)["opted_out"] is True
    await world.person(id=out, opted_out=False)
    await world.poll()
    await world.person(id=out, opted_out=True)
    await world.poll()
    assert len(await world.orders()) > len(before)


async def test_a_page_that_was_read_before_our_write_does_not_revert_it(world):
    contact = await joined(world)
    # Salesforce answers the poll before the write of the STOP, and its answer arrives after that.
    await world.person(id=contact, last_name="Read again")
    await world.fault(world.crm_url, fault="held_answer", only="reads")
    rounds = world.rounds()
    world.app.wake(world.feed)
    await world.until(lambda: world.struck(world.crm_url, "held_answer"))
    await world.phone(DONOR, "KATT STOPP")
    await world.until(lambda: world.flag(contact))
    await world.settled()
    decided = world.app.store.consents.of(DONOR)
    await world.no_faults(world.crm_url)
    await world.until(lambda: world.rounds() > rounds)
    await world.poll()
    assert world.app.store.consents.of(DONOR) == decided
    assert await world.orders() == []
    assert await world.flag(contact)


async def test_a_change_that_a_page_could_not_show_is_read_right_after_it(world):
    contact = await joined(world)
    await world.person(id=contact, amount=250)
    await world.fault(world.crm_url, fault="held_answer", only="reads")
    world.app.wake(world.feed)
    await world.until(lambda: world.struck(world.crm_url, "held_answer"))
    # Meanwhile we write to the same contact: the page is not trusted with it, and the person's amount must still be found.
    await world.phone(DONOR, "KATT STOPP")
    await world.until(lambda: world.flag(contact))
    await world.settled()
    await world.no_faults(world.crm_url)
    # The donor has left meanwhile: no subscription runs that the amount could be for, and a person is asked.
    await world.until(lambda: letters(world))
    await world.settled()
    assert letters(world) == ["needs_person"]
    assert await world.orders() == []


async def test_an_opt_out_of_a_contact_that_is_deleted_at_once_still_counts(world):
    if not world.crm.restores:
        pytest.skip("the CRM does not show what was deleted")
    contact = await joined(world)
    await world.person(id=contact, opted_out=True)
    await world.bin(contact)
    for _ in range(3):
        await world.poll()
    assert [(one["action"], one["keyword"]) for one in await world.orders()] == [("unsubscribe", "KATT")]


async def test_a_first_poll_does_not_overwrite_what_was_written_meanwhile(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world:
        (contact,) = await world.people([{"last_name": "x", "mobile": DONOR, "sms_key": DONOR}])
        await world.fault(world.crm_url, fault="held_answer", only="reads")
        async with world.running():
            await world.until(lambda: world.struck(world.crm_url, "held_answer"))
            await world.phone(DONOR, "KATT STOPP")
            await world.until(lambda: world.flag(contact))
            await world.settled()
            await world.no_faults(world.crm_url)
            await world.until(world.rounds)
            received = world.app.store.inbox.received()
            await world.poll()
            assert world.app.store.inbox.received() == received
            assert await world.orders() == []


async def test_an_opt_out_in_a_late_transaction_is_read_once(world):
    contact = await joined(world)
    await world.fault(world.crm_url, fault="late_commit", seconds=150)
    await world.person(id=contact, opted_out=True)
    for _ in range(3):
        await world.poll()
    assert [(one["action"], one["keyword"]) for one in await world.orders()] == [("unsubscribe", "KATT")]


async def test_five_thousand_simultaneous_changes_make_one_event_each(world):
    ids = await world.people([{"last_name": "x", "amount": 1} for _ in range(5000)])
    await world.poll()
    received = world.app.store.inbox.received()
    assert received == 5000
    await world.people([{"id": each, "amount": 2} for each in ids])
    for _ in range(2):
        await world.poll()
    assert world.app.store.inbox.received() == received + 5000
    assert await world.orders() == []
    assert world.balanced()


@pytest.mark.parametrize("kept_is_out", [False, True])
async def test_an_opt_out_just_before_a_merge_is_delivered_and_a_person_is_asked(world, kept_is_out):
    kept, out = await joined(world), await joined(world, OTHER)
    await world.person(id=out, opted_out=True)
    await world.merge(kept, out, opted_out=kept_is_out)
    for _ in range(3):
        await world.poll()
    running = {one["phone"] for one in await world.subscribers() if one["active"]}
    assert running == (set() if kept_is_out else {DONOR})
    assert {one["phone"] for one in await world.orders()} == ({DONOR, OTHER} if kept_is_out else {OTHER})
    assert len(await world.orders()) == (2 if kept_is_out else 1)
    assert letters(world) == ([] if kept_is_out else ["needs_person"])
    assert world.alarms.count("needs_person") == (0 if kept_is_out else 1)
    assert [one.decision.word for one in world.app.store.consents.of(OTHER) if one.phase == "decided"][1] == "opt_out"


async def test_our_opt_out_of_a_merged_contact_is_not_read_as_an_opt_out_in_the_crm(world):
    merged, kept = await joined(world), await someone(world)
    assert await world.callback("dlr", report(1, 1)) == 200  # so that our last write to it was no word about consent
    await world.poll()
    await world.merge(kept, merged)
    await world.fault(world.crm_url, fault="late_commit", times=3, seconds=100)
    await world.phone(DONOR, "KATT STOPP")
    await world.settled()
    world.clock.ahead += timedelta(minutes=10)
    for _ in range(3):
        await world.poll()
    assert await world.orders() == []
    assert await world.flag(kept)


async def test_an_opt_out_before_two_merges_is_delivered_once(world):
    out = await opted_out(world)
    second, third = await someone(world), await someone(world, last_name="Third")
    await world.merge(second, out, opted_out=True)
    await world.merge(third, second, opted_out=True)
    for _ in range(3):
        await world.poll()
    assert len(await world.orders()) == 1
    assert letters(world) == []
