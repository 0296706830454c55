"""Strex Connect's part of the demo: joining, giving and leaving by SMS, leaving in Salesforce, and the document's example."""

from connector.cli.demo.environment import KEY, Environment
from connector.cli.demo.scenario import Part, Scenario

KARI, OLA, DOCUMENT = "+4790000001", "+4790000002", "+4798079008"
PEOPLE = {
    KARI: {"firstName": "Kari", "lastName": "Ås"},
    OLA: {"firstName": "Ola", "lastName": "Bø"},
    DOCUMENT: {"firstName": "Nina", "lastName": "Dahl"},
}
CHARGES = 2
PROVIDER = """\
  strex:
    path_secrets: [{{file: hook-secret}}]
    signature: {{mode: if_present}}
    api: {{url: "{strex}", key: {{file: provider-key}}}}
    subscriptions:
      - {{short_number: "2002", keyword: MYKEYWORD}}
      - {{short_number: "2002", keyword: KATT}}
      - {{short_number: "2002", keyword: HUND}}
"""
# The example in the Strex document, as printed there: not JSON, and without an envelope.
BARE_BLOCK = (
    'Properties: { "ServiceType": "Subscription", "ServiceId": "d2455b83-f471-4f8e-9332-2387b23adbhd", '
    '"Keyword": "MYKEYWORD", "SystemAction": "Unsubscribe", "myproperty": "custom value" }'
)


def start(environment: Environment) -> None:
    """Start the sandbox."""
    environment.sandbox("strex", "--api-key", KEY, "--compress", "1000")


def connect(environment: Environment) -> None:
    """Tell the sandbox where the daemon is."""
    hooks = f"{environment.hooks}/strex"
    addresses = {f"{endpoint}_url": f"{hooks}/{endpoint}/{environment.secret}" for endpoint in ("mo", "dlr")}
    environment.control("strex", "config", {**addresses, "lookup": "nested"}, method="PUT")


def sent(environment: Environment) -> None:
    """Wait until the sandbox has sent its reports."""
    environment.control("strex", "forwards?wait=1")


def prepare(scenario: Scenario) -> None:
    """Set up the people in the number register and in Salesforce."""
    scenario.environment.control("strex", "config", {"people": PEOPLE}, method="PUT")
    scenario.person(FirstName="Ola", LastName="Bø", SMS_Key__c=OLA, MobilePhone=OLA)


def play(scenario: Scenario) -> None:
    """Run this part."""
    _joining(scenario)
    _giving(scenario)
    _leaving(scenario)
    _leaving_in_salesforce(scenario)
    _the_document(scenario)


def _joining(scenario: Scenario) -> None:
    scenario.scene("Kari texts KATT and HUND to 2002, Ola texts KATT")
    for number, text in ((KARI, "KATT"), (KARI, "HUND"), (OLA, "KATT")):
        scenario.phone(number, text)
    scenario.wait_until_settled()
    scenario.expect(
        "Kari became a contact, with the name that the number lookup gave", scenario.contact(KARI)["LastName"] == "Ås"
    )
    scenario.expect(
        "Ola's contact was found, and not created twice",
        [one["MobilePhone"] for one in scenario.contacts()].count(OLA) == 1,
    )


def _giving(scenario: Scenario) -> None:
    scenario.scene("Strex charges Kari 100 kr and Ola 100 kr; Ola's operator takes it back")
    before = [one["Id"] for one in scenario.records("Opportunity")]
    # The sandbox makes the charge, and reverses it if asked to.
    for number, status in ((KARI, "Ok"), (OLA, "Reversed")):
        scenario.strex("charge", phone=number, keyword="KATT", status=status)
    scenario.wait_until_settled()
    gifts = [one["StageName"] for one in scenario.records("Opportunity") if one["Id"] not in before]
    scenario.expect("one gift is booked as won, the reversed one as lost", set(gifts) == {"Closed Won", "Closed Lost"})
    scenario.expect("and each charge is one Opportunity", len(gifts) == CHARGES)


def _leaving(scenario: Scenario) -> None:
    scenario.scene("Kari texts KATT STOPP")
    scenario.phone(KARI, "KATT STOPP")
    scenario.wait_until_settled()
    scenario.expect(
        "her other subscription continues, and the flag is not set", not scenario.contact(KARI)["SMS_Opt_Out__c"]
    )
    scenario.scene("Kari texts HUND STOPP")
    scenario.phone(KARI, "HUND STOPP")
    scenario.wait_until_settled()
    scenario.expect("now she is opted out in Salesforce", bool(scenario.contact(KARI)["SMS_Opt_Out__c"]))
    scenario.expect("and Strex, where it came from, was sent nothing", scenario.commands() == [])


def _leaving_in_salesforce(scenario: Scenario) -> None:
    scenario.scene("An administrator ticks the opt-out box on Ola's contact")
    scenario.person(Id=scenario.contact(OLA)["Id"], SMS_Opt_Out__c=True)
    scenario.environment.until(scenario.commands, "the service command")
    scenario.wait_for_two_polls()
    sent = [(one["action"], one["phone"], one["keyword"]) for one in scenario.commands()]
    scenario.expect("Strex was sent one service command", sent == [("unsubscribe", OLA, "KATT")])
    ola = [one for one in scenario.environment.control("strex", "subscribers") if one["phone"] == OLA]
    scenario.expect("Ola's subscription has ended there", [one["active"] for one in ola] == [False])


def _the_document(scenario: Scenario) -> None:
    scenario.scene("The example of the Strex document, once in its envelope and once bare")
    scenario.strex("action", action="Unsubscribe", phone=DOCUMENT, keyword="MYKEYWORD", status="Ok")
    scenario.strex("emit", kind="dlr", raw=BARE_BLOCK)
    scenario.wait_until_settled()
    scenario.expect("the donor of the example is opted out", bool(scenario.contact(DOCUMENT)["SMS_Opt_Out__c"]))
    scenario.expect(
        "the bare block is stored as unreadable, and was answered 200", scenario.states().get("unreadable") == 1
    )


PART = Part(providers=PROVIDER, start=start, connect=connect, sent=sent, prepare=prepare, play=play)
