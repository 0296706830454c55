from datetime import UTC, datetime, timedelta

import pytest

from connector.model.event import Event, Verdict
from connector.model.operation import RecordWrite
from connector.model.phone import Phone
from connector.model.states import EventState, UnitState
from connector.store.inbox import Entry
from connector.store.retention import Keep
from connector.store.store import Store
from connector.store.units import NewUnit, Planned, Settlement

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANNA, BERIT, CARL = "+4790000001", "+4790000002", "+4790000003"
CRM = "salesforce"


def keep(**spans):
    """How long each kind is kept; the defaults of the config but for what is said here."""
    days = {"raw": 30, "delivered": 90, "ignored": 90, "dead": 365, "unreadable": 365, "gone_records": 16, "audit": 730}
    return Keep(**{name: timedelta(days=span) for name, span in {**days, "sessions": 30}.items()} | spans)


def make_event(key, *, phone=ANNA, verdict=Verdict.NONE, received_at=NOW, **fields):
    return Event(
        key=key,
        provider="strex",
        shape="delivery_report",
        received_at=received_at,
        verdict=verdict,
        msisdn=Phone(phone) if phone else None,
        **fields,
    )


def make_entry(key, *, phone=ANNA, verdict=Verdict.NONE, received_at=NOW, unreadable=None, raw=b"{}", **fields):
    event = None if unreadable else make_event(key, phone=phone, verdict=verdict, received_at=received_at, **fields)
    return Entry(
        key=key,
        provider="strex",
        shape="delivery_report",
        msisdn=phone if event else None,
        received_at=received_at,
        event=event,
        raw=raw,
        unreadable=unreadable,
    )


def write(key, **fields):
    return RecordWrite(sink=CRM, object="Contact", key_field="SMS_Key__c", key=key, set=fields or {"A__c": 1})


class Scene:
    """A store, and the few steps that most facts need."""

    entry = staticmethod(make_entry)
    event = staticmethod(make_event)
    write = staticmethod(write)

    def __init__(self, store):
        self.store = store
        self.now = NOW

    async def keep(self, key, **about):
        (kept,) = await self.store.inbox.keep([make_entry(key, **about)])
        return kept.id

    async def plan(
        self, event_id, *, lane=ANNA, urgent=False, parked=False, operations=None, sinks=(CRM,), decisions=()
    ):
        units = tuple(
            NewUnit(sink=sink, lane=lane, operations=operations or (write(lane),), urgent=urgent, parked=parked)
            for sink in sinks
        )
        plan = Planned(event_id=event_id, state=EventState.DELIVERING, units=units, decisions=decisions)
        await self.store.plans.commit([plan], now=self.now)
        return event_id

    async def unit(self, key, **about):
        phone = about.get("lane", ANNA)
        return await self.plan(await self.keep(key, phone=phone if phone.startswith("+") else None), **about)

    async def claim(self, limit=100, *, sink=CRM, start="first"):
        return await self.store.outbox.claim(sink, limit, start, self.now)

    async def claimed(self, limit=100, **about):
        return [unit.event_key for unit in await self.claim(limit, **about)]

    async def settle(self, unit, state=UnitState.DELIVERED, **about):
        await self.store.outbox.settle([Settlement(unit_id=unit.id, state=state, **about)], now=self.now)

    async def later(self, **delta):
        self.now += timedelta(**delta)

    def state(self, event):
        return self.store.inbox.get(event).state

    def unit_states(self, sink=CRM):
        return {state: n for state, n in self.store.outbox.counts(sink).items() if n}

    async def rows(self, query, *parameters):
        return await self.store.writer.run(lambda connection: connection.execute(query, parameters).fetchall())

    async def books_balance(self):
        counts = self.store.inbox.counts()
        assert sum(counts.values()) == self.store.inbox.received()
        stored = dict(await self.rows("SELECT state, count(*) FROM inbox GROUP BY state"))
        swept = self.store.inbox.swept()
        assert {state: n for state, n in counts.items() if n} == {
            state: stored.get(state, 0) + swept.get(state, 0)
            for state in EventState
            if stored.get(state, 0) + swept.get(state, 0)
        }
        units = await self.rows("SELECT sink, state, count(*) FROM units GROUP BY 1, 2")
        assert sorted(units) == sorted(await self.rows("SELECT sink, state, n FROM unit_totals WHERE n > 0"))


@pytest.fixture
async def store(tmp_path):
    opened = Store.open(tmp_path / "c.db")
    yield opened
    await opened.close()


@pytest.fixture
async def scene(store):
    made = Scene(store)
    yield made
    await made.books_balance()
