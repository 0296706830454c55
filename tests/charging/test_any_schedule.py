"""Any schedule of two months: runs, kills at every point, lost answers, clock jumps, opt-outs, price changes, people.

The sandbox's own books decide: every period of a subscription is charged at most once, nobody after an opt-out was
received, nothing above the amount that held, and nobody is forgotten without an entry that says why.
`SCHEDULES=500 pytest tests/charging/test_any_schedule.py` runs more of them, `SEED=7` only that one.
"""

import asyncio
import os
import random
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from charging.scene import DAY, HOUR, NAME, OSLO, SHORT, START, a_scene, rules

from connector.admin.charges import DECISIONS
from connector.charging.calendar import due_day, period_of
from connector.charging.results import conclude, try_again
from connector.model.charge import ChargeAnswer, ChargeState, Verdict
from connector.model.errors import StoreUnavailable
from connector.sandbox.messagecloud.gateway import STATUSES, ScriptedError
from connector.store.agreements import NewAmount, change_amounts

pytestmark = pytest.mark.slow

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else range(int(os.environ.get("SCHEDULES", "6")))
DONORS = [f"+4790000{number:03}" for number in range(1, 13)]
DAYS = 50  # nearly two months
LIMIT = 300  # `max_amount`
QUIET_DAYS = 40  # at the end: whatever has happened, each donor's next charge falls into them


class Killed(BaseException):
    """The process ends here: nothing after this moment is done by it."""


class Lethal:
    """Counts the moments at which the process could end, and ends it at one of them."""

    def __init__(self):
        self.left = None
        self.at_answer = False  # the moment after the next call

    def point(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed


class LethalHttp:
    """Calls that may be the last thing that the process does, before or after the call."""

    def __init__(self, http, lethal):
        self._http = http
        self._lethal = lethal

    async def call(self, call):
        self._lethal.point()
        try:
            return await self._http.call(call)
        finally:
            if self._lethal.at_answer:
                self._lethal.left = 0
                self._lethal.at_answer = False
            self._lethal.point()


class LethalTable:
    """A table of the store whose writes may be the last thing that the process does."""

    def __init__(self, table, lethal):
        self._table = table
        self._lethal = lethal

    def __getattr__(self, name):
        found = getattr(self._table, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def called(*arguments, **named):
            self._lethal.point()
            result = await found(*arguments, **named)
            self._lethal.point()
            return result

        return called


WEIGHTS = {"stop": 3, "plan": 3, "join": 4, "price": 3, "script": 8, "spoil": 1, "resolve": 3, "pause": 1, "jump": 1}


def days_of(rnd):
    """The actions of two months: on many days something happens before the run, and some runs are killed."""
    values = {
        "stop": lambda: rnd.choice(DONORS),
        "plan": lambda: None,
        "join": lambda: rnd.choice(DONORS),
        "price": lambda: (rnd.choice(DONORS), rnd.choice([50, 120, 301, 1000])),
        "script": lambda: a_script(rnd),
        "spoil": lambda: rnd.choice([1, 2, 3, 4, 7]),
        "resolve": lambda: rnd.choice(["not-taken", "again"]),
        "pause": lambda: True,
        "jump": lambda: rnd.choice([DAY, -DAY, 5 * DAY, -5 * DAY, 30 * DAY, -30 * DAY, 3 * HOUR]),
    }
    after = []  # a pause and a wrong clock are noticed the next day
    for _ in range(DAYS):
        yield from after
        after.clear()
        if rnd.random() < 0.5:
            (action,) = rnd.choices(list(WEIGHTS), WEIGHTS.values())
            value = values[action]()
            yield action, value
            if action == "pause":
                after.append(("pause", False))
            if action == "jump":
                after.append(("jump", -value))
        kill = rnd.choice([None, None, "answer", rnd.randrange(16), rnd.randrange(60)])
        yield "day", (rnd.choice([DAY] * 8 + [3 * DAY]), kill)


def a_script(rnd):
    """How the next charges go."""
    return {
        "status": rnd.choice([*STATUSES, "DELIVERED", "DELIVERED"]),
        "then": rnd.choice([None, "DELIVERED", "NO_CREDIT"]),
        "lost": rnd.choice([None, "before", "after"]),
        "times": rnd.randint(1, 2),
    }


class Story:
    """Plays the actions, and knows what may be taken."""

    def __init__(self, scene):
        self.scene = scene
        self.lethal = Lethal()
        self.stopped = {}  # number → how many calls the provider had had when its STOP was received
        self.windows = []  # of each payment at a window: number, time, and how many charges the provider had had
        self.waiting = []  # opt-outs that are received and not planned
        self.amounts = {}  # number → the amounts that have held, each with the count of calls since which it holds
        self.joined = {}
        self.begin()

    def begin(self):
        """A new process."""
        store = self.scene.store
        store.charges = LethalTable(store.charges, self.lethal)
        store.charge_runs = LethalTable(store.charge_runs, self.lethal)
        store.agreements = LethalTable(store.agreements, self.lethal)
        self.scene.start(LethalHttp(self.scene.http, self.lethal))

    @property
    def sends(self):
        return len(self.scene.sends)

    async def steps(self, most):
        """Some steps, which may end with the process."""
        try:
            for _ in range(most):
                if not await self.scene.runner.step():
                    break
        except (Killed, StoreUnavailable):
            self.lethal.left = None
            await self.scene.store.close()
            self.scene.store = type(self.scene.store).open(self.scene.path)
            self.begin()
        await self.scene.plan_charges()

    async def play(self, action, value):
        await getattr(self, f"do_{action}")(value)

    async def do_day(self, how):
        span, kill = how
        self.scene.clock.go(9 * HOUR)  # a look at night
        await self.steps(3)
        self.scene.clock.go(span - 9 * HOUR)
        self.lethal.at_answer = kill == "answer"
        self.lethal.left = None if kill == "answer" else kill
        await self.steps(20)
        kill, self.lethal.left = self.lethal.left, None
        await self.scene.approve()
        self.lethal.left = kill
        await self.steps(20)
        self.lethal.left, self.lethal.at_answer = None, False
        await self.steps(20)

    async def do_jump(self, span):
        self.scene.clock.jump(span)

    async def do_stop(self, phone):
        self.waiting.append((await self.scene.stop(phone, planned=False), phone))
        self.stopped.setdefault(phone, self.sends)

    async def do_plan(self, _):
        for (event_id, event), phone in self.waiting:
            await self.scene.plan_stop(event_id, event, phone)
        self.waiting.clear()

    async def do_join(self, phone):
        await self.join(phone, 100)

    async def do_price(self, new):
        await self.price(*new)

    async def do_script(self, how):
        self.scene.script(**how, asks=2)

    async def do_spoil(self, code):
        self.scene.gateway.scripted_errors.setdefault("send", []).append(ScriptedError(code=code, http=None, times=1))

    async def do_resolve(self, decision):
        await self.resolve(decision)

    async def do_pause(self, pause):
        if pause:
            await self.scene.store.charge_runs.pause(NAME, "a test", self.scene.clock.now())
        else:
            await self.scene.store.charge_runs.resume(NAME)

    async def join(self, phone, amount):
        if phone in self.stopped:
            return  # who may be charged again after a STOP is another test's question
        await self.scene.join(phone, amount)
        self.joined.setdefault(phone, self.scene.clock.now())
        self.windows.append((phone, self.scene.clock.now(), len(self.charged)))
        self.amounts.setdefault(phone, []).append(amount)

    async def price(self, phone, amount):
        """A delivered command changes the amount."""
        if phone not in self.joined:
            return
        event_id, event = await self.scene.keep("price", phone)
        await self.scene.plan(event_id, event)
        new = NewAmount(
            provider=NAME, msisdn=phone, short_number=SHORT, keyword="KATT", amount=Decimal(amount), event_id=event_id
        )
        await self.scene.store.writer.run(lambda connection: change_amounts(connection, [new]))
        self.amounts[phone].append(amount)

    async def resolve(self, decision):
        """A person looks at the provider and says what is true there."""
        scene = self.scene
        for charge in scene.charges():
            if charge.state is not ChargeState.IN_DOUBT or "not-taken" not in DECISIONS[charge.state]:
                continue
            if charge.transaction_id is None and not self.in_books(charge):
                answer = ChargeAnswer(verdict=Verdict.FAILED, detail=decision)
                change = conclude(charge, answer, scene.rules, scene.clock.now())
                if decision == "again":
                    change = try_again(scene.rules, scene.clock.now())
                await scene.store.charges.change(charge, change, now=scene.clock.now())

    @property
    def charged(self):
        """The provider's charges in the order of the calls, also those that failed."""
        return [one for one in self.scene.gateway.transactions.values() if one.charge]

    def in_books(self, charge):
        """Whether the provider has, or may get, the money of this attempt."""
        phone = charge.agreement.phone.e164.lstrip("+")
        made = [one for one in self.scene.gateway.transactions.values() if one.charge and one.recipient == phone]
        return any(charge.sent_at is None or one.created >= charge.sent_at - timedelta(seconds=2) for one in made)

    def check(self):
        """The books against what may be."""
        scene = self.scene
        calls = [one["query"]["to"] for one in scene.sends]
        for phone, before in self.stopped.items():
            assert phone.lstrip("+") not in calls[before:], "charged after the opt-out was received"
        for phone, amount, _ in scene.taken:
            assert amount <= LIMIT
            assert amount in self.amounts[phone], "an amount that the donor never agreed to"
        # What the books have is matched with the attempts that were stored before the call, by number and second.
        attempts = {
            (charge.agreement.phone.e164, int(entry.at.timestamp())): charge
            for charge in scene.charges()
            for entry in scene.store.charges.log(charge.id)
            if entry.state == "sending"
        }
        taken = Counter()
        for phone, _, at in scene.taken:
            assert rules().opens <= at.astimezone(OSLO).time() < rules().closes, "charged at night"
            taken[attempts[phone, int(at.timestamp())].id] += 1
        assert max(taken.values(), default=0) <= 1, "a period was charged twice"
        for phone, then, before in self.windows:
            for one in self.charged[before:]:
                if f"+{one.recipient}" == phone:
                    period = attempts[phone, int(one.created.timestamp())].period
                    assert period > period_of(then.astimezone(OSLO).date()), (
                        "charged for a month that a window has paid"
                    )
        by_period = Counter(
            (charge.agreement.phone.e164, charge.period) for charge in scene.charges() if taken[charge.id]
        )
        assert max(by_period.values(), default=0) <= 1, "two charges of one period were taken"

    async def at_the_end(self):
        """Quiet weeks with a person at hand: nobody is forgotten."""
        scene = self.scene
        scene.gateway.scripts.clear()
        scene.gateway.scripted_errors.clear()
        await self.play("plan", None)
        await self.play("pause", False)
        while scene.clock.now().astimezone(OSLO).hour != 12:
            scene.clock.go(HOUR)
        for _ in range(QUIET_DAYS):
            scene.clock.go(DAY)
            for _ in range(2):
                await self.steps(200)
                await scene.approve()
            await self.steps(200)
        self.check()
        since = scene.store.charge_runs.control(NAME).since
        today = scene.clock.now().astimezone(OSLO).date()
        for agreement in scene.store.agreements.of(NAME):
            first = max(agreement.began_at.astimezone(OSLO).date(), since)
            entries = {one.period: one for one in scene.charges(agreement.phone.e164)}
            month = first.replace(day=1)
            while (month := (month + timedelta(days=32)).replace(day=1)) <= today:
                period = f"{month:%Y-%m}"
                due = due_day(period, agreement.began_at.astimezone(OSLO).date(), scene.rules.offers["s-1"])
                if due > today or due < since:
                    continue
                assert period in entries, f"{period} is forgotten"
                entry = entries[period]
                assert entry.state == "taken" or entry.detail, f"{period} does not say why it was not charged"


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_schedule_of_two_months_charges_each_period_at_most_once(tmp_path, seed):
    rnd = random.Random(seed)
    day = rnd.choice([1, None, None])
    async with a_scene(tmp_path, rules(day=day, max_amount=Decimal(LIMIT)), now=START) as scene:
        played = Story(scene)
        for number, phone in enumerate(DONORS[:-2]):
            await played.join(phone, 100 + number)
            scene.clock.go(2 * DAY)
        for action, value in days_of(rnd):
            await played.play(action, value)
            played.check()
        await played.at_the_end()
