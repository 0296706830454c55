"""An NPSP org with triggers limited to 50 records and a French-speaking integration user: all data from Strex arrives once.

1,000 events; `EVENTS=10000 pytest tests/flow/test_crowded_org.py` is the acceptance test with ten thousand.
"""

import os
import time
from collections import Counter

from flow.backlog import reports
from flow.sets import CONFIGS, copied
from flow.world import a_world

from connector.telemetry.log_events import Alarm

EVENTS = int(os.environ.get("EVENTS", "1000"))
EACH = 4  # reports of a person
PEOPLE = EVENTS // EACH
LEAVES = 10  # one in so many ends the subscription
RD, GIFT = "npe03__Recurring_Donation__c", "Opportunity"


def number(person):
    return f"+479000{person:04}"


def report(person, turn, name, price):
    return {
        "transactionId": f"t-{person}-{turn}",
        "keywordId": "12345678",
        "price": price,
        "sender": "2002",
        "recipient": number(person),
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "properties": {
            "Keyword": "KATT",
            "SystemAction": name,
            "ServiceSubType": "Donation",
            "SubscriberTransactionId": f"s-{person}",
        },
    }


def emitted():
    """What Strex tells, person after person in each turn: all join, give, change the amount, and give again or leave."""
    for turn, (name, price) in enumerate([("Subscribe", None), ("Recurring", 100), ("AlterPrice", 200)]):
        yield from (report(person, turn, name, price) for person in range(PEOPLE))
    for person in range(PEOPLE):
        yield report(person, 3, "Unsubscribe", None) if person % LEAVES == 0 else report(person, 3, "Recurring", 200)


async def test_many_simultaneous_events_make_no_dead_letters_in_any_language(tmp_path, secrets):
    mappings = copied(tmp_path / "mappings", "npsp")
    async with a_world(tmp_path, mappings=mappings, config=CONFIGS["npsp"], preset="npsp", language="fr") as world:
        world.breaker += EVENTS / 20
        await reports(world, list(emitted()))
        # Half a dozen contacts are made by somebody else in the same moment, and some households are locked.
        await world.fault(world.salesforce, fault="overtaken", records=[number(n) for n in range(1, 7)], times=2)
        await world.fault(world.salesforce, fault="row_lock", records=0.01, times=3, after=4)
        began = time.monotonic()
        async with world.running():
            await world.settled()
            took = time.monotonic() - began
            assert world.counts() == {"delivered": len(list(emitted()))}
            assert world.balanced()
            calls = await world.api_calls()
        contacts = await world.records()
        assert Counter(one["SMS_Key__c"] for one in contacts) == Counter(number(n) for n in range(PEOPLE))
        leavers = {number(n) for n in range(0, PEOPLE, LEAVES)}
        assert {one["SMS_Key__c"] for one in contacts if one["SMS_Opt_Out__c"]} == leavers
        gifts = await world.records(GIFT)
        assert len(gifts) == len({one["SMS_Transaction__c"] for one in gifts}) == 2 * PEOPLE - len(leavers)
        donations = await world.records(RD)
        assert Counter(one["npsp__Status__c"] for one in donations) == {
            "Active": PEOPLE - len(leavers),
            "Closed": len(leavers),
        }
        assert world.emitted(Alarm) == []
        assert calls < EVENTS / 4
        print(f"{EVENTS} events in {took:.1f} s, {calls} API calls")  # noqa: T201 - for the acceptance, by pytest -s.
