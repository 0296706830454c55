"""MessageCloud's part of the demo: a web subscription, confirmed by View Status, and its end."""

from connector.cli.demo.scenario import Scenario

NORA = "+4790000004"


def prepare(_: Scenario) -> None:
    """Prepare nothing."""


def play(scenario: Scenario) -> None:
    """Run this part."""
    environment = scenario.environment
    scenario.scene("Nora follows the link to TIGER on the charity's web site, and completes the one-click window")
    environment.call(f"{environment.hooks}/messagecloud/subscribe/tiger")
    (window,) = environment.call(f"{environment.messagecloud}/_sandbox/transactions")
    begun = [one["SMS_Key__c"] for one in scenario.records("Contact")]
    scenario.promise("nothing is written while her status is not known", NORA not in begun)
    body = {"transaction_id": window["transaction_id"], "phone": NORA}
    environment.call(environment.call(f"{environment.messagecloud}/_sandbox/window", body)["redirect"])
    scenario.settled()
    gifts = [one["Amount"] for one in scenario.records("Opportunity") if _is(one, window["transaction_id"])]
    scenario.promise("MessageCloud was asked, and her first payment is in Salesforce", gifts == [100])
    scenario.scene("She texts STOP TIGER")
    environment.call(f"{environment.messagecloud}/_sandbox/phone", {"from": NORA, "text": "STOP TIGER"})
    scenario.settled()
    scenario.promise("she is opted out, and will not be charged again", bool(scenario.contact(NORA)["SMS_Opt_Out__c"]))


def _is(gift: dict[str, object], transaction_id: str) -> bool:
    return gift["SMS_Transaction__c"] == transaction_id
