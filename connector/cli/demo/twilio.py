"""Twilio's part of the demo: a donor's STOP, and a message that Twilio refuses because of it."""

from connector.cli.demo.environment import Environment
from connector.cli.demo.scenario import Part, Scenario

ANN = "+15005550006"
PROVIDER = """\
  twilio:
    auth_tokens: [{{file: hook-secret}}]
"""


def connect(environment: Environment) -> None:
    """Start the sandbox, which calls the daemon and is called by nobody."""
    environment.sandbox("twilio", "--hooks", f"{environment.hooks}/twilio", "--auth-token", environment.secret)


def play(scenario: Scenario) -> None:
    """Run this part."""
    scenario.scene("Ann in the USA sends STOP to a Twilio number, and a newsletter tries to reach her")
    _post(scenario, "phone", {"from": ANN, "text": "Hello"})
    _post(scenario, "phone", {"from": ANN, "text": "STOP"})
    _post(scenario, "message", {"to": ANN})
    scenario.wait_until_settled()
    ann = next(one for one in scenario.records("Contact") if one["SMS_Key__c"] == ANN)
    scenario.expect("a signed webhook with OptOutType STOP set the flag of her contact", ann["SMS_Opt_Out__c"])
    kept = {one["Action__c"] for one in scenario.records("SMS_Event__c") if one["Contact__c"] == ann["Id"]}
    scenario.expect("her text and her stop are stored on the contact", kept == {"Incoming Message", "STOP"})


def _post(scenario: Scenario, path: str, body: dict[str, str]) -> None:
    scenario.environment.control("twilio", path, body)


PART = Part(mappings=("twilio",), providers=PROVIDER, connect=connect, play=play)
