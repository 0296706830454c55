"""OnlineFundraising's part of the demo: a gift by SMS, and a STOP."""

from connector.cli.demo.scenario import Scenario

METTE = "+4790000003"


def prepare(scenario: Scenario) -> None:
    """Create the keyword."""
    keyword = {"channel": "1217", "keyword": "tifo", "active": True}
    scenario.environment.call(f"{scenario.environment.onlinefundraising}/_sandbox/keywords", [keyword], method="PUT")


def play(scenario: Scenario) -> None:
    """Run this part."""
    scenario.scene("Mette texts TIFO 100 to 1217, and later TIFO STOP")
    for text in ("TIFO 100", "TIFO STOP"):
        body = {"from": METTE, "to": "1217", "text": text}
        scenario.environment.call(f"{scenario.environment.onlinefundraising}/_sandbox/phone", body)
        scenario.settled()
    texts = [one["Text__c"] for one in scenario.records("SMS_Event__c") if one["Provider__c"] == "onlinefundraising"]
    scenario.promise("both messages are kept on her contact", texts == ["TIFO 100", "TIFO STOP"])
    scenario.promise("and she is opted out", bool(scenario.contact(METTE)["SMS_Opt_Out__c"]))
