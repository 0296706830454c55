"""OnlineFundraising's part of the demo: a gift by SMS, and a STOP."""

from connector.cli.demo.environment import KEY, Environment
from connector.cli.demo.scenario import Part, Scenario

METTE = "+4790000003"
PROVIDER = """\
  onlinefundraising:
    path_secrets: [{{file: hook-secret}}]
    api: {{url: "{onlinefundraising}", key: {{file: provider-key}}}}
"""


def start(environment: Environment) -> None:
    """Start the sandbox."""
    environment.sandbox("onlinefundraising", "--api-key", KEY, "--compress", "1000")


def connect(environment: Environment) -> None:
    """Tell the sandbox where the daemon is."""
    webhook = f"{environment.hooks}/onlinefundraising/sms/{environment.secret}"
    environment.control("onlinefundraising", "config", {"webhook_url": webhook}, method="PUT")


def sent(environment: Environment) -> None:
    """Wait until the sandbox has sent its messages."""
    environment.control("onlinefundraising", "webhooks?wait=1")


def prepare(scenario: Scenario) -> None:
    """Create the keyword."""
    keyword = {"channel": "1217", "keyword": "tifo", "active": True}
    scenario.environment.control("onlinefundraising", "keywords", [keyword], method="PUT")


def play(scenario: Scenario) -> None:
    """Run this part."""
    scenario.scene("Mette texts TIFO 100 to 1217, and later TIFO STOP")
    for text in ("TIFO 100", "TIFO STOP"):
        body = {"from": METTE, "to": "1217", "text": text}
        scenario.environment.control("onlinefundraising", "phone", body)
        scenario.wait_until_settled()
    texts = [one["Text__c"] for one in scenario.records("SMS_Event__c") if one["Provider__c"] == "onlinefundraising"]
    scenario.expect("both messages are kept on her contact", texts == ["TIFO 100", "TIFO STOP"])
    scenario.expect("and she is opted out", bool(scenario.contact(METTE)["SMS_Opt_Out__c"]))


PART = Part(
    mappings=("onlinefundraising",),
    providers=PROVIDER,
    start=start,
    connect=connect,
    sent=sent,
    prepare=prepare,
    play=play,
)
