"""Made connector-0.1.0.db.gz: a database of version 0.1.0 with events, units and consents in every state.

It runs with the code of that version alone (commit 72f7bc5): PYTHONPATH=<its checkout> python make_0_1_0.py <directory>.
"""

import asyncio
import gzip
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.model.consent import Decision, Scope, Subscription
from connector.model.event import Event, Verdict
from connector.model.lifecycle import EventState, UnitState
from connector.model.operation import RecordWrite
from connector.model.outcome import Reason
from connector.model.phone import Phone
from connector.store.inbox import Entry
from connector.store.store import Store
from connector.store.units import NewUnit, Planned, Settlement

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NUMBERS = iter(f"+47900000{number:02}" for number in range(10, 90))
BODY = {
    "transactionId": "t-1",
    "sender": "2002",
    "statusCode": "Ok",
    "detailedStatusCode": "Delivered",
    "properties": {"Keyword": "MYKEYWORD", "SystemAction": "Subscribe"},
}


def entry(key, number, *, verdict=Verdict.OPT_IN, unreadable=None):
    body = json.dumps({**BODY, "transactionId": key, "recipient": number}).encode()
    event = Event(
        key=key,
        provider="strex",
        shape="delivery_report",
        received_at=NOW,
        occurred_at=NOW,
        verdict=verdict,
        action="Subscribe",
        keyword="MYKEYWORD",
        short_number="2002",
        msisdn=Phone(number),
    )
    return Entry(
        key=key,
        provider="strex",
        shape="delivery_report",
        msisdn=None if unreadable else number,
        received_at=NOW,
        event=None if unreadable else event,
        raw=b"no JSON" if unreadable else body,
        unreadable=unreadable,
    )


def write(number):
    return RecordWrite(
        sink="salesforce",
        object="Contact",
        key_field="SMS_Key__c",
        key=number,
        set={"SMS_Opt_Out__c": False},
        create={"LastName": "Unknown", "MobilePhone": number},
        rule="strex-subscription.yaml: donor opted in",
    )


def decision(number, word):
    subscription = Subscription(provider="strex", short_number="2002", keyword="MYKEYWORD")
    return Decision(
        phone=Phone(number),
        word=word,
        scope=Scope.SUBSCRIPTION,
        subscription=subscription,
        origin="strex",
        occurred_at=NOW,
    )


async def fill(store):
    async def keep(key, number=None, **more):
        number = number or next(NUMBERS)
        (kept,) = await store.inbox.keep([entry(key, number, **more)])
        return kept.id, number

    async def plan(key, number=None, *, parked=False, word=Verdict.OPT_IN, urgent=False):
        event, number = await keep(key, number, verdict=word)
        unit = NewUnit(sink="salesforce", lane=number, operations=(write(number),), parked=parked, urgent=urgent)
        made = Planned(event_id=event, state=EventState.DELIVERING, units=(unit,), decisions=(decision(number, word),))
        await store.plans.commit([made], now=NOW)
        return event, number

    async def settle(state, **more):
        units = await store.outbox.claim("salesforce", 100, "0.1.0", NOW)
        await store.outbox.settle([Settlement(unit_id=one.id, state=state, **more) for one in units], now=NOW)

    for state in ("ignored", "unmatched", "no_change", "superseded"):
        event, _ = await keep(state)
        await store.plans.commit([Planned(event_id=event, state=EventState(state), detail="of 0.1.0")], now=NOW)
    event, _ = await keep("dead-without-units")
    await store.plans.commit(
        [Planned(event_id=event, state=EventState.DEAD, reason=Reason.MISSING_KEY, detail="no key")], now=NOW
    )
    await keep("unreadable", unreadable="no JSON")
    await plan("delivered")
    await settle(UnitState.DELIVERED)
    await plan("opted-out", word=Verdict.OPT_OUT, urgent=True)
    await settle(UnitState.DELIVERED)
    await plan("dead")
    await settle(UnitState.DEAD, reason=Reason.TOO_LONG, detail="too long", code="STRING_TOO_LONG")
    discarded, _ = await plan("discarded", parked=True)  # only what was parked could be discarded
    await store.dead_letters.discard([discarded], now=NOW)
    await plan("parked", parked=True)
    await plan("resting")
    await settle(UnitState.RESTING, reason=Reason.UNAVAILABLE, delay=timedelta(minutes=1))
    await plan("claimed")
    await store.outbox.claim("salesforce", 1, "0.1.0", NOW)
    _, number = await plan("ready")
    await plan("waiting", number)
    await plan("opt-out-under-way", word=Verdict.OPT_OUT, urgent=True)
    await keep("pending")


async def main(directory):
    path = directory / "c.db"
    store = Store.open(path)
    await fill(store)
    counts = {state.value: n for state, n in store.inbox.counts().items() if n}
    units = {state.value: n for state, n in store.outbox.counts("salesforce").items() if n}
    await store.close()
    (directory / "connector-0.1.0.db.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    (directory / "connector-0.1.0.json").write_text(json.dumps({"events": counts, "units": units}, indent=2) + "\n")


asyncio.run(main(Path(sys.argv[1])))
