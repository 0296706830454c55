"""Sumotext's part of the demo: the callbacks of its document, with its numbers."""

from connector.cli.demo.environment import Environment
from connector.cli.demo.scenario import Part, Scenario

NUMBER, BILL = "2125551212", "+12125551212"
FORM = {"country": "USA", "shortcode": "84700", "key": "SOMEKEY", "mobile": NUMBER, "carrierId": "VERIZONUS"}
POLL = {"mobile": NUMBER, "carrier": "VERIZONUS", "shortcode": "84700", "key": "FB1", "reply": "A", "label": "Tampa"}
PROVIDER = """\
  sumotext:
    path_secrets: [{{file: hook-secret}}]
"""


def connect(environment: Environment) -> None:
    """Start the sandbox, which calls the daemon and is called by nobody."""
    environment.sandbox("sumotext", "--hooks", f"{environment.hooks}/sumotext", "--secret", environment.secret)


def play(scenario: Scenario) -> None:
    """Run this part."""
    scenario.scene("Bill in the USA fills in a Sumotext form, and votes A (Tampa) in a poll")
    _send(scenario, "crm", FORM | {"Name": "Bill Gray", "DOB": "1/1/2000", "Zip": "10024"})
    _send(scenario, "poll", POLL)
    scenario.wait_until_settled()
    bill = next(one for one in scenario.records("Contact") if one["SMS_Key__c"] == BILL)
    born = (bill["LastName"], bill["Birthdate"]) == ("Gray", "2000-01-01")
    scenario.expect("ten digits became a number of the USA, and 1/1/2000 a date", born)
    votes = [(one["SMS_Reply__c"], one["SMS_Label__c"]) for one in scenario.records("CampaignMember")]
    scenario.expect("his vote is a campaign member", votes == [("A", "Tampa")])
    scenario.scene("Sumotext posts the same vote again")
    _send(scenario, "poll", POLL)
    scenario.wait_until_settled()
    scenario.expect("it counts once", len(scenario.records("CampaignMember")) == 1)


def _send(scenario: Scenario, kind: str, fields: dict[str, str]) -> None:
    scenario.environment.control("sumotext", "send", {"kind": kind, "fields": fields})


PART = Part(mappings=("sumotext",), providers=PROVIDER, connect=connect, play=play)
