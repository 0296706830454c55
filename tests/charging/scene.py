"""A store, the sandbox with its books, and the charge runner with an adjustable clock. Used by the tests and by kill.py."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from zoneinfo import ZoneInfo

from connector.delivery.channels import OpenAlarms
from connector.delivery.http_client import FixedCredentials, Transport
from connector.model.charge import CHARGE, ChargeRules, Recurring
from connector.model.consent import Decision, Scope, Subscription
from connector.model.event import Event, Verdict
from connector.model.phone import Phone
from connector.model.states import EventState
from connector.pipeline.charge import ChargeRunner
from connector.pipeline.runtime import Runtime
from connector.providers.messagecloud.charges import DobCharger
from connector.providers.messagecloud.oneclick import Account
from connector.sandbox.messagecloud import app as messagecloud
from connector.sandbox.messagecloud.gateway import ChargeScript
from connector.sandbox.serve import serving
from connector.store.agreements import begun_by
from connector.store.inbox import Entry
from connector.store.store import Store
from connector.store.units import Planned
from connector.telemetry.log_events import Alarm, Charged, Cleared

OSLO = ZoneInfo("Europe/Oslo")
DONOR, OTHER = "+4790000001", "+4790000002"
START = datetime(2026, 1, 15, 11, 0, tzinfo=UTC)  # noon in Oslo
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NAME, SERVICE, SHORT, KEYWORD = "messagecloud", "s-1", "2172", "KATT"
SUBSCRIPTION = Subscription(provider=NAME, short_number=SHORT, keyword=KEYWORD, service_id=SERVICE)
RETRY = {"NO_CREDIT": (3 * DAY, 7 * DAY), "FAILED": (DAY,), "VALIDITY_EXPIRED": (DAY,)}


def rules(*, day=1, amount=None, retry=RETRY, stop_after=3, enabled=True, **more):
    recurring = Recurring(offer="katt", service_id=SERVICE, day=day, amount=amount, retry=retry, stop_after=stop_after)
    given = {
        "zone": OSLO,
        "opens": time(9),
        "closes": time(20),
        "currency": "NOK",
        "max_amount": Decimal(500),
        "max_per_run": 100,
        "late": 7 * DAY,
        "ask_until": 48 * HOUR,
        "offers": {SERVICE: recurring},
    }
    return ChargeRules(enabled=enabled, **(given | more))


class Clock:
    """Wall and monotonic time, moved by the test."""

    def __init__(self, now=START):
        self.wall = now
        self.seconds = 1000.0

    def now(self):
        return self.wall

    def monotonic(self):
        return self.seconds

    def go(self, span):
        """Time passes."""
        self.wall += span
        self.seconds += span.total_seconds()

    def jump(self, span):
        """The clock is set."""
        self.wall += span


class Scene:
    """What a test holds: it plays the donors, the planner and the daemon's worker."""

    def __init__(self, path, http, gateway, clock, charge_rules):
        self.path = path
        self.http = http
        self.gateway = gateway
        self.clock = clock
        self.rules = charge_rules
        self.facts = []
        self.reported = []  # the events that were made of charges
        self.numbers = count(1)
        self.store = Store.open(path)
        self.start()

    def start(self, http=None, charger=DobCharger):
        """A new process begins on the store."""
        account = Account(campaign_name="sandbox", api_key="sandbox-key")
        charger = charger(provider=NAME, account=account, rules=self.rules)
        runtime = Runtime(
            emit=self.facts.append, now=self.clock.now, monotonic=self.clock.monotonic, wake=lambda _: None
        )
        self.runner = ChargeRunner(charger, http or self.http, self.store, runtime, OpenAlarms())

    async def restart(self):
        await self.store.close()
        self.store = Store.open(self.path)
        self.start()

    async def run(self, most=1000):
        """Steps until nothing is to be done now."""
        for _ in range(most):
            moved = await self.runner.step()
            await self.plan_charges()
            if not moved:
                return
        raise AssertionError("it does not come to an end")

    async def plan_charges(self):
        """The planner deals with the events of charges."""
        for one in self.store.inbox.pending(1000):
            if one.event.shape == CHARGE:
                self.reported.append(one.event)
                await self.plan(one.id, one.event)

    async def until(self, day):
        """To noon of a day in Oslo, with a look at each noon on the way."""
        wanted = datetime.combine(day, time(12), OSLO)
        while self.clock.wall < wanted:
            self.clock.go(min(DAY, wanted - self.clock.wall))
            await self.run()

    async def keep(self, key, phone, *, verdict=Verdict.NONE, **fields):
        """An event arrives."""
        event = Event(
            key=f"{key}-{next(self.numbers)}",
            provider=NAME,
            shape="message",
            received_at=self.clock.now(),
            verdict=verdict,
            msisdn=Phone(phone),
            occurred_at=self.clock.now(),
            **fields,
        )
        entry = Entry(
            key=event.key,
            provider=NAME,
            shape=event.shape,
            msisdn=phone,
            received_at=event.received_at,
            event=event,
            raw=b"",
        )
        (kept,) = await self.store.inbox.keep([entry])
        return kept.id, event

    async def plan(self, event_id, event, decision=None, state=EventState.DELIVERED):
        decisions = (decision,) if decision else ()
        planned = Planned(
            event_id=event_id,
            state=state,
            decisions=decisions,
            agreements=tuple(begun_by(event, event_id, decisions)),
        )
        await self.store.plans.commit([planned], now=self.clock.now())

    async def join(self, phone=DONOR, amount=100, **about):
        """A donor completes a window."""
        bound = Subscription(
            **{
                "provider": NAME,
                "short_number": SHORT,
                "keyword": KEYWORD,
                "service_id": SERVICE,
                "subscription_id": f"window-{next(self.numbers)}",
            }
            | about
        )
        price = None if amount is None else Decimal(amount)
        event_id, event = await self.keep("window", phone, verdict=Verdict.OPT_IN, price=price)
        await self.plan(event_id, event, self.decision(phone, Verdict.OPT_IN, Scope.SUBSCRIPTION, bound))
        return event_id

    def decision(self, phone, word, scope, subscription):
        return Decision(
            phone=Phone(phone),
            word=word,
            scope=scope,
            subscription=subscription,
            origin=NAME,
            occurred_at=self.clock.now(),
        )

    async def stop(self, phone=DONOR, *, planned=True, scope=Scope.SUBSCRIPTION, subscription=SUBSCRIPTION):
        """A donor sends STOP: it is received, and planned a moment later."""
        event_id, event = await self.keep("stop", phone, verdict=Verdict.OPT_OUT)
        if planned:
            await self.plan_stop(event_id, event, phone, scope, subscription)
        return event_id, event

    async def plan_stop(self, event_id, event, phone=DONOR, scope=Scope.SUBSCRIPTION, subscription=SUBSCRIPTION):
        await self.plan(event_id, event, self.decision(phone, Verdict.OPT_OUT, scope, subscription))

    async def approve(self):
        """A person approves today's run, if it waits or was stopped."""
        today = self.clock.now().astimezone(OSLO).date()
        run = self.store.charge_runs.get(NAME, today)
        if run is not None and run.state != "approved":
            await self.store.charge_runs.approve(run, today=today)

    def script(self, **how):
        given = {"phone": None, "status": "DELIVERED", "then": None, "asks": 1, "lost": None, "delay": 0, "times": 1}
        self.gateway.scripts.append(ChargeScript(**(given | how)))

    # What is seen.

    def states(self, phone=None):
        """Period and state of all charges, oldest first."""
        found = self.store.charges.listed(limit=1000, phone=phone)
        return [(one.period, one.state.value) for one in reversed(found)]

    def charges(self, phone=None):
        return list(reversed(self.store.charges.listed(limit=1000, phone=phone)))

    @property
    def taken(self):
        """The sandbox's own books: number, amount and time of every charge."""
        return [
            (f"+{one['recipient']}", one["price"], datetime.fromisoformat(one["created"]))
            for one in self.gateway.taken
            if one["charge"]
        ]

    @property
    def sends(self):
        return [one for one in self.gateway.calls if one["call"] == "send"]

    def alarms(self):
        return [fact.kind for fact in self.facts if isinstance(fact, Alarm)]

    def cleared(self):
        return [fact.kind for fact in self.facts if isinstance(fact, Cleared)]

    def results(self):
        return [fact for fact in self.facts if isinstance(fact, Charged)]


@asynccontextmanager
async def a_scene(path, charge_rules=None, now=START):
    clock = Clock(now)
    app = messagecloud.build(clock=lambda: clock.now().timestamp())
    async with serving(app) as url, Transport() as transport:
        scene = Scene(
            path / "c.db",
            transport.client(FixedCredentials(url)),
            app[messagecloud.GATEWAY],
            clock,
            charge_rules or rules(),
        )
        try:
            yield scene
        finally:
            await scene.store.close()
