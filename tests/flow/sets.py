"""The shipped mapping sets as an administrator uses them, copied over the plain one; and a suitable org."""

import shutil
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

from flow.test_examples import DONOR, action
from flow.world import CONFIG, ROOT, a_world

from connector.telemetry.log_events import FeedPolled

SUBSCRIPTION = "28738980-328d-488f-a8ed-3570200500a1"
# Every SystemAction of the Strex document's table, but for the four that the sets have rules of their own for.
NO_EFFECT = (
    "SubscribePreAuthFailed",
    "RecurringPreAuthFailed",
    "ValidationFailed",
    "AlreadyRegistered",
    "LookupFailed",
    "AlterPriceInvalid",
)
CONFIGS = {
    "npsp": CONFIG,
    "nonprofit-cloud": CONFIG.replace(" Contact: ", " Account: ").replace(
        "phone: MobilePhone", "phone: PersonMobilePhone"
    ),
}


def copied(directory, name):
    """The plain mappings with a set copied over them."""
    directory.mkdir()
    for file in (*(ROOT / "mappings").glob("*.yaml"), *(ROOT / "mappings" / name).glob("*.yaml")):
        shutil.copy(file, directory)
    return directory


@asynccontextmanager
async def a_world_of(name, base):
    """An org of that kind and a daemon with its set, whose first looks are over."""
    mappings = copied(base / "mappings", name)
    async with a_world(base, mappings=mappings, config=CONFIGS[name], preset=name) as world, world.running():
        await look(world)
        yield world


async def look(world):
    """Let every feed look once more, and settle what they found."""
    feeds = [f"salesforce.{name}" for name in world.app.pipeline.rules.feeds["salesforce"]]
    before = _rounds(world)
    for feed in feeds:
        world.app.wake(feed)
    await world.until(lambda: all(_rounds(world)[feed] > before[feed] for feed in feeds))
    await world.settled()


def _rounds(world):
    return Counter(fact.feed for fact in world.emitted(FeedPolled) if fact.last)


def report(name, *, transaction="t-1", status="Ok", price=200, subscription=SUBSCRIPTION, **more):
    """A report of the document's service."""
    body = action(name, transactionId=transaction, statusCode=status, price=price, **more)
    body["properties"]["SubscriberTransactionId"] = subscription
    return body


async def subscribed(world, *keywords):
    """The donor joins by SMS, at the Strex sandbox; the id of the last subscription."""
    for keyword in keywords:
        await world.phone(DONOR, keyword)
    await world.settled()
    return next(one["subscriber_transaction_id"] for one in await world.subscribers() if one["keyword"] == keywords[-1])


async def emitted(world, *bodies):
    """Strex sends the reports one by one, and each has its effect before the next one comes."""
    for body in bodies:
        assert await world.callback("dlr", body) == 200
        await world.settled()
    assert world.counts().keys() <= {"delivered", "ignored", "no_change"}


async def told_at_once(world, *bodies):
    """Strex sends the reports while Salesforce is away, so that all of them wait and go out together."""
    await world.fault(world.salesforce, fault="unavailable", times=1_000_000)
    for body in bodies:
        assert await world.callback("dlr", body) == 200
    await world.until(lambda: world.counts().get("pending", 0) == 0)
    await world.no_faults(world.salesforce)
    world.clock.ahead += timedelta(hours=1)
    await world.settled()
    assert world.counts().keys() <= {"delivered", "ignored", "no_change"}


def only(records, **fields):
    """The one record, which must have these fields."""
    (record,) = records
    assert record.items() >= fields.items(), record
    return record
