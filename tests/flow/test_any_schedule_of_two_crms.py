"""Random schedules with Salesforce and Dynamics 365 at once: what must hold in each of them, and between them.

They use the actions of test_any_schedule.py; `SCHEDULES=500` runs more of them, `SEED=7` only that one.
"""

import dataclasses
import random
from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from contract.crms import DYNAMICS, SALESFORCE
from flow.test_any_schedule import (
    PEOPLE,
    SEEDS,
    STEP,
    STEPS,
    Schedule,
    Story,
    commands_have_causes,
    edits_are_kept,
)
from flow.world import ROOT, a_world, config_of

from connector.consent.merges import MERGED
from connector.model.consent import Phase
from connector.sandbox.serve import serving
from connector.telemetry.log_events import FeedPolled

SOURCES = {"salesforce": "Dynamics", "dynamics": "Salesforce"}  # what each CRM says of an opt-out of the other


class Side(Schedule):
    """What people do in one of the two CRMs."""

    def __init__(self, both, world):
        super().__init__(world, 0)
        self.both = both
        self.dice, self.said_out, self.joining = both.dice, both.said_out, both.joining
        self.born = {}  # the step in which a person made a contact
        self.merged = set()  # numbers of contacts that a person merged away

    def clearing(self, number):
        """Whether a write that takes back the opt-out of this number is on its way to either CRM."""
        return any(Schedule.clearing(side, number) for side in self.both.sides)

    async def duplicate(self):
        known = set(self.unmapped)
        await super().duplicate()
        self.born |= dict.fromkeys(self.unmapped.keys() - known, self.both.step)

    async def merge(self):
        before = {row["id"]: row["mobile"] for row in await self.living()}
        await super().merge()
        after = {row["id"] for row in await self.living()}
        self.merged |= {number for record, number in before.items() if record not in after}

    ACTIONS = (
        [Schedule.edit] * 2
        + [Schedule.tick, Schedule.look] * 3
        + [Schedule.storm] * 4
        + [Schedule.calm, duplicate, merge, Schedule.mass_update, Schedule.delete]
    )


class TwoCrms(Story):
    """One random schedule of both, and what its author remembers of it."""

    def __init__(self, world, other, seed):
        self.dice = random.Random(seed)
        self.world = world
        self.step = 0
        self.said_out = {}  # by number: whether the last word that anybody said by themselves was: out
        self.said_at = {}  # and in which step
        self.joining = set()
        self.gifts = {}  # amount and stage by transaction
        self.sides = (Side(self, world), Side(self, other))

    # What donors and Strex do.

    async def gift(self):
        person, number = self.dice.choice(PEOPLE), len(self.gifts) + 1
        self.gifts[f"g{number}"] = (person, number * STEP, "ok")
        await self._report(f"g{number}", "Ok")

    async def reversal(self):
        if booked := [key for key, (_, _, stage) in self.gifts.items() if stage == "ok"]:
            key = self.dice.choice(booked)
            self.gifts[key] = (*self.gifts[key][:2], "reversed")
            await self._report(key, "Reversed")

    async def _report(self, key, status):
        person, amount, _ = self.gifts[key]
        body = {
            "transactionId": key,
            "price": amount,
            "sender": "2002",
            "recipient": person,
            "statusCode": status,
            "detailedStatusCode": "Delivered" if status == "Ok" else "Reversed",
            "properties": {"Keyword": "KATT", "SystemAction": "Recurring"},
        }
        for _ in range(self.dice.choice([1, 1, 2])):
            assert await self.world.callback("dlr", body) == 200

    # What people do, what goes wrong, and what else happens.

    async def somewhere(self):
        side = self.dice.choice(self.sides)
        await self.dice.choice(Side.ACTIONS)(side)

    async def calm(self):
        for side in self.sides:
            await side.calm()
        await self.world.no_faults(self.world.strex)

    def workers(self):
        """The workers of both CRMs, which rest between two looks."""
        return [name for side in self.sides for name in side.workers()]

    def rounds(self):
        """How often each feed has looked to the end."""
        return [
            sum(fact.last for fact in self.world.emitted(FeedPolled) if fact.feed == side.world.feed)
            for side in self.sides
        ]

    ACTIONS = (
        [gift] * 4
        + [reversal]
        + [Story.join, Story.stop] * 3
        + [somewhere] * 24
        + [Story.strex_is_down, Story.time_passes, Story.rest]
    )

    async def run(self, steps):
        for _ in range(steps):
            self.step += 1
            before = dict(self.said_out)
            await self.dice.choice(self.ACTIONS)(self)
            self.said_at |= {one: self.step for one, out in self.said_out.items() if out is not before.get(one)}

    @asynccontextmanager
    async def running(self):
        """The daemon, which both sides speak to."""
        async with self.world.running() as app:
            for side in self.sides:
                side.world.app = app
            yield


@asynccontextmanager
async def a_schedule(base, seed):
    async with serving(DYNAMICS.sandbox()) as url:
        config = config_of(SALESFORCE, DYNAMICS).replace("{dynamics}", url)
        async with a_world(base, config=config, mappings=ROOT / "mappings" / "dynamics" / "both") as world:
            yield TwoCrms(world, dataclasses.replace(world, crm=DYNAMICS, crm_url=url), seed)


async def everything_is_true(done):
    """The promises, in each CRM and between them."""
    letters = done.world.app.store.dead_letters.listing(limit=1000)
    assert {one.reason for one in letters} <= {"needs_person"}, [(one.reason, one.detail) for one in letters]
    assert done.world.balanced()
    assert not {"pending", "delivering"} & done.world.counts().keys()
    for side in done.sides:
        await gifts_are_booked_once(done, side)
        await contacts_are_made_once(side)
        await edits_are_kept(side)
        await carried_opt_outs_have_causes(done, side)
    await commands_have_causes_in_one_of_them(done)
    await opt_outs_hold_in_both(done)
    await nothing_goes_to_and_fro(done)


async def gifts_are_booked_once(done, side):
    crm = side.world.crm
    booked = Counter(one["sms_transaction"] for one in await side.world.records("gift"))
    assert booked == Counter(done.gifts.keys()), crm.name
    stages = {one["sms_transaction"]: one["stage"] for one in await side.world.records("gift")}
    lost = {"Closed Lost", "Reversed"}
    assert {key for key, stage in stages.items() if stage in lost} == {
        key for key, (_, _, stage) in done.gifts.items() if stage == "reversed"
    }, crm.name


async def contacts_are_made_once(side):
    rows = await side.contacts()
    keys = Counter(row["sms_key"] for row in rows if not row["deleted"] and row["sms_key"])
    assert all(count == 1 for count in keys.values())
    numbers = {row["id"]: row["mobile"] for row in rows}
    made = Counter(numbers[one["id"]] for one in await side.world.writes() if one["action"] == "created")
    assert {person: n for person, n in made.items() if n > 1 + side.deleted[person]} == {}, side.world.crm.name


async def carried_opt_outs_have_causes(done, side):
    """What a CRM was told of the other one was set there by a person."""
    crm = side.world.crm
    (other,) = (one for one in done.sides if one is not side)
    numbers = {row["id"]: row["mobile"] for row in await side.contacts()}
    carried = {
        numbers[one["id"]]
        for one in await side.world.writes()
        if one["fields"].get("opted_out_source") == SOURCES[crm.name]
    }
    assert {number for number in carried if not other.ticks[number]} == set(), crm.name


async def commands_have_causes_in_one_of_them(done):
    first, second = done.sides
    both = SimpleNamespace(world=done.world, ticks=first.ticks + second.ticks, prices=Counter())
    await commands_have_causes(both)


async def opt_outs_hold_in_both(done):
    active = {one["phone"] for one in await done.world.subscribers() if one["active"]}
    for person, out in done.said_out.items():
        if not out:
            continue
        if done.world.app.store.inbox.in_review(person, MERGED):
            continue
        decided = [one for one in done.world.app.store.consents.of(person) if one.phase is Phase.DECIDED]
        assert decided, person
        assert decided[-1].decision.word == "opt_out", person
        assert person not in active, person
        for side in done.sides:
            # A contact that a person makes later does not have the flag, and the one that had it may be deleted or merged.
            rows = [row for row in await side.living() if row["mobile"] == person]
            older = [row for row in rows if side.born.get(row["id"], 0) <= done.said_at[person]]
            if older and not side.deleted[person] and person not in side.merged:
                assert any(row["opted_out"] for row in rows), (side.world.crm.name, person)


async def nothing_goes_to_and_fro(done):
    async def written():
        return [len(await side.world.history()) for side in done.sides] + [len(await done.world.orders())]

    before = await written()
    await done.rest()
    assert await written() == before


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_schedule_of_two_crms_ends_in_the_right_state(seed, tmp_path, secrets):
    async with a_schedule(tmp_path, seed) as schedule:
        # A daemon that is stopped and started goes on where it was.
        for _ in range(2):
            async with schedule.running():
                await schedule.rest()
                await schedule.run(STEPS // 3)
                await schedule.calm()
        async with schedule.running():
            await schedule.rest()
            await schedule.world.app.store.dead_letters.retry(now=schedule.world.clock.now())
            await schedule.rest()
            await everything_is_true(schedule)
