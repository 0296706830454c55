"""Random schedules of two-way edits, automation, imports and number formats: no command without a cause, no lost opt-out.

They extend those of test_any_schedule.py; `SCHEDULES=500` runs more of them, `SEED=7` only that one.
"""

from collections import Counter

import pytest
from contract.crms import EACH_CRM
from flow.test_any_schedule import (
    MERGED,
    PEOPLE,
    SEEDS,
    STEP,
    STEPS,
    Schedule,
    commands_have_causes,
    edits_are_kept,
    nothing_is_lost_or_made_twice,
    report,
)
from flow.world import a_world

from connector.consent.changes import NUMBER_CHANGED
from connector.model.consent import Phase
from connector.model.operation import ID_FIELD
from connector.telemetry.log_events import Alarm

pytestmark = EACH_CRM

REWRITTEN = 3  # NOK that a flow makes of some reported amounts: no amount that anybody wrote or reported
FORM = {"digits": "+## ### ## ###"}
# What the org's automation does in the saves of ours, and of everybody.
AUTOMATION = [
    {"rewrite": {"opted_out": False}, "when": {"opted_out": True}},
    {"rewrite": {"opted_out": True}, "when": {"opted_out": False}},
    *({"rewrite": {"amount": REWRITTEN}, "when": {"amount": n * STEP}} for n in (1, 2)),
    {"rewrite": {"mobile": FORM}},
    {"rewrite": {"mobile": FORM}, "of": "any"},
]


class TwoWay(Schedule):
    """A schedule in which the org works on what is written, and people on many contacts and on numbers."""

    def __init__(self, world, seed):
        super().__init__(world, seed)
        self.signed = set()  # numbers of contacts whose rewritten amount has a person's name

    def saved(self, before, fields):
        """Who edits a contact before a look has shown what a flow made of our amount puts their own name on that amount."""
        if fields.get("amount", before["amount"]) == REWRITTEN:
            self.prices[before["mobile"]] += 1
            self.signed.add(before["mobile"])

    async def save(self, records):
        """The same with a flag that a flow has set: in doubt an opt-out is a person's."""
        rows = await super().save(records)
        if any(row["opted_out"] for row in rows):
            history = await self.world.history(of_all=True)
            for row in rows:
                if row["opted_out"] and flag_written(history, row, self.world.crm.person) is False:
                    self.ticks[row["mobile"]] += 1
        return rows

    async def undelete(self):
        for row in await self.contacts():
            if row["id"] in self.bin:
                self.saved(row, {})
        await super().undelete()

    async def automate(self):
        await self.world.automate(**self.dice.choice(AUTOMATION))

    async def no_automation(self):
        await self.world.no_automation()

    async def reformat(self):
        """A tool writes all numbers in another form."""
        rows = await self.living()
        forms = [lambda n: n, lambda n: f"{n[:3]} {n[3:6]} {n[6:8]} {n[8:]}"]
        form = self.dice.choice(forms)
        if rows:
            await self.save([{"id": row["id"], "mobile": form(row["mobile"])} for row in rows])

    async def untick_all(self):
        """An import takes back all opt-outs."""
        rows = [row for row in await self.living() if row["opted_out"]]
        if rows:
            await self.save([{"id": row["id"], "opted_out": False} for row in rows])
        for row in rows:
            self.said_out[row["mobile"]] = None

    async def move(self):
        """A person gives a contact another number, or none, and ticks its box in the same save."""
        row = await self.someone()
        if row is None or row["opted_out"]:
            return
        number, new = row["mobile"], f"+47900001{len(self.moved):02}"
        # Nobody can know the old number of a contact that was made by hand since the last look.
        unknown = row["sms_key"] is None and self.world.shadow(row["id"]) is None
        unsure = unknown or self.clearing(number) or number in self.joining
        emptied = self.dice.random() < 0.5
        await self.write(row, mobile=None if emptied else new, opted_out=True)
        self.moved |= {number, new}
        # The contact may have had other numbers, by its key or by whom it was written for.
        keyed = [one for one in PEOPLE if self.world.crm.key(one) == row["sms_key"]]
        for one in {number, *keyed, *([] if emptied else [new]), *self.moved}:
            self.ticks[one] += 1
        self.said_out[number] = None if unsure or self.clearing(number) else True

    ACTIONS = (*Schedule.ACTIONS, *[automate] * 4, no_automation, *[reformat] * 2, untick_all, *[move] * 2)


async def ticks_in_doubt(done):
    """Opt-outs that may be a person's, by number: a flow has set the flag that we cleared, and we have written since."""
    crm, history = done.world.crm, await done.world.history(of_all=True)
    found = Counter()
    for row in await done.contacts():
        ours = [one["fields"] for one in history if one["id"] == row["id"] and one["by"] == crm.user]
        cleared = [at for at, fields in enumerate(ours) if fields.get("opted_out") is False]
        found[row["mobile"]] += sum("opted_out" not in fields for at in cleared for fields in ours[at + 1 : at + 2])
    return found


def flag_written(history, before, person):
    """What was last written to the flag of a contact, until the person's save before which it was like this."""
    mine = [one for one in history if one["id"] == before["id"]]
    saves = [at for at, one in enumerate(mine) if one["by"] == person]
    written = [one["fields"]["opted_out"] for one in mine[: saves[-1]] if "opted_out" in one["fields"]]
    return written[-1] if written else None


async def nobody_is_lost(done):
    """Whoever said stop, or of whom it was said, is out on both sides, or a person has been called for them by name."""
    contacts = [row for row in await done.contacts() if not row["deleted"]]
    active = {one["phone"] for one in await done.world.subscribers() if one["active"]}
    store = done.world.app.store
    named = {event.msisdn.e164 for event in await open_events(done)}
    asked = {event.record[ID_FIELD] for event in await number_questions(done)}
    alarms = " ".join(fact.message for fact in done.world.emitted(Alarm) if fact.kind == "flag_rewritten")
    for person, out in done.said_out.items():
        if not out or person in named or store.inbox.in_review(person, MERGED):
            continue
        mine = [row for row in contacts if row["mobile"] == person]
        keyed = [row for row in contacts if row["sms_key"] == done.world.crm.key(person)]
        if any(row["id"] in alarms for row in mine) or any(row["id"] in asked for row in keyed):
            continue
        decided = [one for one in store.consents.of(person) if one.phase is Phase.DECIDED]
        assert decided, person
        assert decided[-1].decision.word == "opt_out", person
        assert person not in active, person
        if person in done.moved:
            continue  # the contact that was opted out has another number now
        assert not mine or any(row["opted_out"] for row in mine), person


async def open_events(done):
    """The events about people that wait for a person: opt-outs that are open, and what is parked."""
    store = done.world.app.store
    ids = {one.event_id for one in store.consents.open_opt_outs(done.world.clock.now())}
    ids |= {one.event_id for one in store.dead_letters.listing(parked=True, limit=1000)}
    events = [stored.event for one in sorted(ids) if (stored := store.inbox.get(one)) and stored.event]
    return [event for event in events if event.msisdn is not None]


async def number_questions(done):
    """The events that ask a person for which number of a contact its opt-out holds."""
    store = done.world.app.store
    letters = [store.inbox.get(one.event_id) for one in store.dead_letters.listing(limit=1000)]
    return [one.event for one in letters if one and one.event and one.event.action == NUMBER_CHANGED]


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_schedule_of_people_and_automation_ends_in_the_right_state(seed, tmp_path, secrets, crm):
    mappings = crm.mappings(tmp_path / "mappings")
    async with a_world(tmp_path, crm=crm, mappings=mappings) as world:
        schedule = TwoWay(world, seed)
        for _ in range(2):
            async with world.running():
                await schedule.rest()
                await schedule.run(STEPS // 2)
                await schedule.calm()
            # The feed watches a field more at the next start.
            way_back = next(mappings.glob("*-to-strex.yaml"))
            amount, email = crm.named("amount"), crm.named("email")
            way_back.write_text(way_back.read_text().replace(f"{amount}], every", f"{amount}, {email}], every"))
        await world.no_faults(world.crm_url)
        await schedule.no_automation()
        async with world.running():
            await schedule.rest()
            await world.app.store.dead_letters.retry(now=world.clock.now())
            await schedule.rest()
            assert world.balanced()
            await nothing_is_lost_or_made_twice(schedule)
            await edits_are_kept(schedule)
            schedule.ticks += await ticks_in_doubt(schedule)
            await commands_have_causes(schedule)
            rewritten = {one["phone"] for one in await world.orders() if one.get("price") == REWRITTEN}
            assert rewritten <= schedule.signed
            await nobody_is_lost(schedule)


async def test_a_person_who_saves_old_values_over_those_of_a_flow_made_the_change(tmp_path, secrets, crm):
    async with a_world(tmp_path, crm=crm) as world, world.running():
        person, schedule = PEOPLE[0], TwoWay(world, 0)
        await world.phone(person, "KATT")
        await schedule.rest()
        (read,) = await schedule.living()
        await world.automate(**AUTOMATION[2])
        assert await world.callback("dlr", report(person, 1)) == 200
        await world.settled()
        await schedule.write(read, email="n1@example.org")
        await world.poll()
        assert [(one["phone"], one["price"]) for one in await world.orders()] == [(person, REWRITTEN)]
        assert schedule.signed == {person}
        await commands_have_causes(schedule)
