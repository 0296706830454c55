"""MessageCloud's part of the demo: a web subscription, confirmed by View Status, a recurring charge, and the end."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connector.cli.demo.environment import KEY, Environment
from connector.cli.demo.scenario import Part, Scenario
from connector.model.event import Event, Result, Verdict
from connector.model.phone import Phone
from connector.store.inbox import Entry
from connector.store.store import Store

NORA, PER = "+4790000004", "+4790000005"
OSLO = ZoneInfo("Europe/Oslo")
PROVIDER = """\
  messagecloud:
    path_secrets: [{{file: hook-secret}}]
    api: {{url: "{messagecloud}", campaign_name: sandbox, key: {{file: provider-key}}}}
    offers:
      tiger:
        service_id: demo
        short_number: "2172"
        keyword: TIGER
        price: 100
        thank_you: "{messagecloud}/_sandbox/page"
        cancelled: "{messagecloud}/_sandbox/page"
        recurring: {{day: anniversary}}
    charges: {{enabled: true, hours: {{from: "00:00", to: "23:59"}}}}
"""


def start(environment: Environment) -> None:
    """Start the sandbox, and store what Per did before the daemon starts."""
    environment.sandbox("messagecloud", "--api-key", KEY)
    joined = joined_last_month(datetime.now(OSLO))
    asyncio.run(_keep(environment, joined))


def joined_last_month(now: datetime) -> Event:
    """The event of a window that Per completed on this day of the last month that has it, as View Status decided it."""
    then = _a_month_before(now)
    return Event(
        key="messagecloud_window_per",
        provider="messagecloud",
        shape="subscription",
        received_at=then,
        occurred_at=then,
        action="one-click",
        verdict=Verdict.OPT_IN,
        msisdn=Phone(PER),
        keyword="TIGER",
        service_id="demo",
        short_number="2172",
        price=Decimal(100),
        currency="NOK",
        status="DELIVERED",
        result=Result.OK,
        final=True,
        transaction_id="window-of-per",
        subscription_id="window-of-per",
    )


async def _keep(environment: Environment, event: Event) -> None:
    store = Store.open(environment.directory / "connector.db")
    await store.inbox.keep([Entry.of(event)])
    await store.close()


def connect(environment: Environment) -> None:
    """Tell the sandbox where the daemon is."""
    endpoints = {"hooks": f"{environment.hooks}/messagecloud", "secret": environment.secret}
    environment.control("messagecloud", "config", endpoints, method="PUT")


def prepare(scenario: Scenario) -> None:
    """Wait until Per's contact and first gift are in Salesforce."""
    scenario.wait_until_settled()


def play(scenario: Scenario) -> None:
    """Run this part."""
    _recurring(scenario)
    environment = scenario.environment
    scenario.scene("Nora follows the link to TIGER on the charity's web site, and completes the one-click window")
    window = _open_window(scenario)
    begun = [one["SMS_Key__c"] for one in scenario.records("Contact")]
    scenario.expect("nothing is written while her status is not known", NORA not in begun)
    body = {"transaction_id": window, "phone": NORA}
    environment.call(environment.control("messagecloud", "window", body)["redirect"])
    scenario.wait_until_settled()
    gifts = _amounts(scenario, window)
    scenario.expect("MessageCloud was asked, and her first payment is in Salesforce", gifts == [100])
    scenario.scene("She texts STOP TIGER")
    environment.control("messagecloud", "phone", {"from": NORA, "text": "STOP TIGER"})
    scenario.wait_until_settled()
    scenario.expect("she is opted out, and will not be charged again", bool(scenario.contact(NORA)["SMS_Opt_Out__c"]))


def _recurring(scenario: Scenario) -> None:
    """A donor who has given since last month is charged again today, when a person has approved the first run."""
    environment = scenario.environment
    scenario.scene("Per has given to TIGER since last month: his next gift is due today")
    shown = environment.until(lambda: _waiting_run(scenario), "the first run of charges")
    planned = [(one["what"], one["amount"]) for one in shown["charges"]]
    scenario.expect("the run can be seen before it begins", planned == [("charge", "100")])
    scenario.expect("the first run waits for a person: nobody is charged", _charges(scenario) == [])
    scenario.scene("A person looks at the run, and approves it")
    environment.ask("charges_approve")
    (charge,) = environment.until(lambda: _charges(scenario), "the charge")
    # MessageCloud books the charge before the daemon knows its result, so the wait is for the gift.
    environment.until(lambda: _amounts(scenario, charge["transaction_id"]), "the gift of the charge")
    scenario.wait_until_settled()
    gifts = _amounts(scenario, charge["transaction_id"])
    charged = [one["price"] for one in _charges(scenario)]
    scenario.expect("Per was charged once, and the gift is in Salesforce", gifts == [100] == charged)


def _open_window(scenario: Scenario) -> str:
    """A donor follows the link; the transaction of the new window."""
    environment = scenario.environment
    environment.call(f"{environment.hooks}/messagecloud/subscribe/tiger")
    transactions = environment.control("messagecloud", "transactions")
    windows = [one["transaction_id"] for one in transactions if not one["charge"]]
    return str(windows[-1])


def _waiting_run(scenario: Scenario) -> dict[str, Any] | None:
    """The preview of the run that waits; None if there is none yet."""
    (state,) = scenario.environment.ask("status")["charging"]
    waits = state["run"] is not None and state["run"]["state"] == "waiting"
    preview: dict[str, Any] = scenario.environment.ask("charges_preview")
    return preview if waits else None


def _charges(scenario: Scenario) -> list[dict[str, Any]]:
    """What MessageCloud's own books say was charged."""
    taken = scenario.environment.control("messagecloud", "taken")
    return [one for one in taken if one["charge"]]


def _a_month_before(now: datetime) -> datetime:
    """The same day and time of an earlier month that has it."""
    for back in range(1, 3):
        months = now.year * 12 + now.month - 1 - back
        try:
            return now.replace(year=months // 12, month=months % 12 + 1)
        except ValueError:
            continue
    raise AssertionError("of two months in a row, one has 31 days")


def _amounts(scenario: Scenario, transaction_id: str) -> list[Any]:
    """The amounts of a transaction's gifts in Salesforce."""
    gifts = scenario.records("Opportunity")
    return [gift["Amount"] for gift in gifts if gift["SMS_Transaction__c"] == transaction_id]


PART = Part(mappings=("messagecloud",), providers=PROVIDER, start=start, connect=connect, prepare=prepare, play=play)
