"""The demo's part about results of sendings: Marketing Cloud, and a webhook that gets signed messages."""

import base64
import secrets
from typing import Any

from connector.cli.demo.environment import Environment
from connector.cli.demo.scenario import Part, Scenario

COLUMNS = ["TransactionId", "ContactKey", "JourneyId", "Name", "Result", "Status", "StatusDetail", "OccurredAt"]
SENDING = {
    "AccontId": "685",
    "SfEvent": "Sent from journey",
    "SfJourneyId": "7f8d9a10",
    "SfNameOnMessage": "Newsletter",
    "SfWebhook": "default",
    "SystemAction": "SfMcSMS",
}
SINKS = """\
  mc:
    type: marketing_cloud
    auth_url: "{marketing-cloud}"
    client_id: sandbox
    client_secret: {{file: salesforce-secret}}
    events: {{Sent from journey: SmsResult-Event}}
    event_delay: 1s
    strex_agreed: true
  result_hook:
    type: webhook
    url: "{webhook}/results"
    secret: {{file: webhook-secret}}
    names: [default]
    allow_private: true
"""


def start(environment: Environment) -> None:
    """Start both sandboxes."""
    signing_secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    environment.keep_secret("webhook-secret", signing_secret)
    environment.sandbox("marketing-cloud")
    environment.sandbox("webhook", "--secret", signing_secret)


def prepare(scenario: Scenario) -> None:
    """Make the data extension and the journey event in Marketing Cloud."""
    config = {
        "extensions": {"SMS_Results": {"key": "TransactionId", "columns": COLUMNS}},
        "events": {"SmsResult-Event": ["Result", "TransactionId"]},
    }
    scenario.environment.control("marketing-cloud", "config", config, method="PUT")


def play(scenario: Scenario) -> None:
    """Run this part."""
    scenario.scene("A journey in Salesforce sends an SMS by Strex Connect, and Strex reports it: first Sent, then Ok")
    contact = scenario.records("Contact")[0]
    for status, delivered in (("Sent", None), ("Ok", True)):
        report = {
            "transactionId": "journey-1",
            "recipient": contact["SMS_Key__c"],
            "sender": "2002",
            "statusCode": status,
            "delivered": delivered,
            "properties": {**SENDING, "SfContactId": contact["Id"]},
        }
        scenario.environment.call(f"{scenario.environment.hooks}/strex/dlr/{scenario.environment.secret}", report)
    scenario.wait_until_settled()
    state = scenario.environment.control("marketing-cloud", "state")
    messages = scenario.environment.control("webhook", "messages")["messages"]
    scenario.expect(
        "a row of the data extension holds the final result", _results(state["rows"]["SMS_Results"]) == ["ok"]
    )
    fired = [(one["contact"], one["event"]) for one in state["events"]]
    scenario.expect("the journey event was fired once", fired == [(contact["Id"], "SmsResult-Event")])
    verified = [one["verified"] for one in messages]
    scenario.expect("the webhook got one signed message, and its signature is right", verified == [True])


def _results(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["Result"] for row in rows]


PART = Part(mappings=("strex-results", "strex-journey-events"), sinks=SINKS, start=start, prepare=prepare, play=play)
