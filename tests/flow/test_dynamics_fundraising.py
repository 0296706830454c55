"""An org with the Fundraising app: Strex's reports become payment schedules and transactions, once each; and the way back."""

from collections import Counter

import pytest
from contract.crms import DYNAMICS
from dynamics.test_dynamics_sets import copied
from flow.sets import emitted, only, report, subscribed
from flow.test_examples import DONOR
from flow.world import a_world

from connector.telemetry.log_events import FeedPolled

SCHEDULE, GIFT = "msnfp_paymentschedule", "msnfp_transaction"


@pytest.fixture
async def world(tmp_path, secrets):
    mappings = copied(tmp_path / "mappings", "fundraising")
    async with a_world(tmp_path, crm=DYNAMICS, mappings=mappings, preset="fundraising") as made, made.running():
        await look(made)
        yield made


async def records(world, table):
    """The records as the sandbox has them."""
    return (await world.get(f"{world.crm_url}/_sandbox/records/{table}"))["records"]


async def look(world):
    """Let both feeds look once more, and settle what they found."""

    def rounds():
        return Counter(fact.feed for fact in world.emitted(FeedPolled) if fact.last)

    feeds, before = ("dynamics.contact", f"dynamics.{SCHEDULE}"), rounds()
    for feed in feeds:
        world.app.wake(feed)
    await world.until(lambda: all(rounds()[feed] > before[feed] for feed in feeds))
    await world.settled()


async def test_a_monthly_gift_is_one_transaction_under_one_payment_schedule(world):
    await emitted(
        world, report("Subscribe", transaction="t-0"), report("Recurring"), report("Recurring", transaction="t-2")
    )
    contact = only(await records(world, "contact"), crmc_smskey=DONOR[1:], crmc_smsoptout=False)
    schedule = only(
        await records(world, SCHEDULE),
        _msnfp_omtsched_defaulthardcredittocustomer_value=contact["contactid"],
        msnfp_recurringamount=200,
        msnfp_frequency=844060002,
        crmc_smsphone=DONOR,
        crmc_smskeyword="MYKEYWORD",
        crmc_smsended=False,
    )
    gifts = await records(world, GIFT)
    assert {one["msnfp_dataentryreference"]: one["msnfp_isadjusted"] for one in gifts} == {"t-1": False, "t-2": False}
    for gift in gifts:
        assert gift["msnfp_amount"] == 200
        assert gift["_sifund_donor_value"] == gift["_msnfp_receiptoncontactid_value"] == contact["contactid"]
        assert gift["_msnfp_transaction_paymentscheduleid_value"] == schedule["msnfp_paymentscheduleid"]


@pytest.mark.parametrize("order", [("Ok", "Reversed"), ("Reversed", "Ok")], ids="-".join)
async def test_a_reversed_gift_stays_a_refund_in_any_order_of_reports(world, order):
    bodies = {"Ok": report("Recurring"), "Reversed": report("Recurring", transaction="-t-1", price=None)}
    await emitted(world, *(bodies[each] for each in order))
    only(await records(world, GIFT), msnfp_isadjusted=True, msnfp_adjustmenttype=844060003, msnfp_amount=200)


async def test_an_opt_out_ends_the_payment_schedule_and_a_late_gift_does_not_restart_it(world):
    await emitted(world, report("Unsubscribe", transaction="t-0", price=None), report("Recurring"))
    schedule = only(await records(world, SCHEDULE), crmc_smsended=True)
    only(await records(world, GIFT), _msnfp_transaction_paymentscheduleid_value=schedule["msnfp_paymentscheduleid"])
    only(await records(world, "contact"), crmc_smsoptout=True)


@pytest.mark.parametrize(
    ("edit", "command"),
    [
        ({"crmc_smsended": True}, ("unsubscribe", None)),
        ({"msnfp_recurringamount": 250}, ("changesubscriberprice", 250)),
    ],
    ids=["ended", "amount"],
)
async def test_a_schedule_that_a_person_ends_or_changes_is_sent_to_strex_for_its_subscription(world, edit, command):
    subscription = await subscribed(world, "KATT")
    gift = report("Recurring", subscription=subscription)
    gift["properties"]["Keyword"] = "KATT"
    await emitted(world, gift)
    await look(world)
    assert await world.orders() == []
    (schedule,) = await records(world, SCHEDULE)
    await world.people([{"msnfp_paymentscheduleid": schedule["msnfp_paymentscheduleid"], **edit}], SCHEDULE)
    await look(world)
    await look(world)
    (order,) = await world.orders()
    action, price = command
    assert (order["action"], order["phone"], order["keyword"]) == (action, DONOR, "KATT")
    assert price is None or order["price"] == price
