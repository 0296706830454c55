"""The demo's part with two CRMs: a second daemon writes to Salesforce and Dynamics 365, and carries an opt-out between them."""

import shutil
from collections.abc import Callable
from typing import Any

from connector.cli.demo.environment import EVERY, HERE, KEY, SHIPPED, Environment, free_ports
from connector.cli.demo.scenario import QUIET_POLLS, Part, Scenario

LIV = "+4790000005"
PRICE = 150
CONFIG = """\
# The config of the demo's second daemon. See config.example.yaml for a real one.
store: {{path: connector.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: {port}}}
admin: {{port: {admin}}}
logs: {{format: text}}
mappings: mappings
timezone: Europe/Oslo
default_region: "NO"
providers:
  strex:
    path_secrets: [{{file: ../hook-secret}}]
    signature: {{mode: if_present}}
    api: {{url: "{strex}", key: {{file: ../provider-key}}}}
    subscriptions: [{{short_number: "2002", keyword: KATT}}]
crm:
  salesforce:
    url: "{salesforce}"
    sign_in: {{client_id: sandbox, client_secret: {{file: ../salesforce-secret}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
  dynamics:
    url: "{dynamics}"
    sign_in: {{tenant: sandbox, client_id: sandbox, client_secret: {{file: ../salesforce-secret}}}}
    consent_fields:
      contact: {{flag: crmc_smsoptout, phone: mobilephone, along: [crmc_smsoptoutat, crmc_smsoptoutsource]}}
"""


class TwoCrms:
    """The second daemon, its two CRMs and its provider."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.salesforce = environment.sandbox("salesforce", name="second-salesforce")
        self.dynamics = environment.sandbox("dynamics")
        self.strex = environment.sandbox("strex", "--api-key", KEY, "--compress", "1000", name="second-strex")
        directory = environment.directory / "two-crms"
        shutil.copytree(SHIPPED / "dynamics" / "both", directory / "mappings")
        for path in (directory / "mappings").glob("*.yaml"):
            path.write_text(path.read_text(encoding="utf-8").replace("every: 30s", EVERY), encoding="utf-8")
        port, admin = free_ports(2)
        config = directory / "config.yaml"
        addresses = {"strex": self.strex, "salesforce": self.salesforce, "dynamics": self.dynamics}
        config.write_text(CONFIG.format(port=port, admin=admin, **addresses), encoding="utf-8")
        environment.daemon(config, f"http://{HERE}:{admin}", name="second-connector")
        hooks = f"http://{HERE}:{port}/hooks/strex"
        targets = {f"{endpoint}_url": f"{hooks}/{endpoint}/{environment.secret}" for endpoint in ("mo", "dlr")}
        people = {LIV: {"firstName": "Liv", "lastName": "Eng"}}
        self.control(self.strex, "config", {**targets, "lookup": "nested", "people": people}, method="PUT")
        environment.until(lambda: all(self._feed_polls()), "the first poll of both CRMs")

    def control(self, sandbox: str, what: str, body: Any = None, method: str | None = None) -> Any:
        """Call the control interface of a sandbox."""
        return self._environment.call(f"{sandbox}/_sandbox/{what}", body, method)

    def in_salesforce(self, name: str = "Contact") -> list[dict[str, Any]]:
        """The records of an object."""
        found: list[dict[str, Any]] = self.control(self.salesforce, f"records/{name}")["records"]
        return found

    def in_dynamics(self, name: str = "contact") -> list[dict[str, Any]]:
        """The records of a table."""
        found: list[dict[str, Any]] = self.control(self.dynamics, f"records/{name}")["records"]
        return found

    def opted_out(self) -> tuple[bool, bool]:
        """Whether Liv is opted out in Salesforce, and in Dynamics 365."""
        ((theirs,), (ours,)) = self.in_salesforce(), self.in_dynamics()
        return theirs["SMS_Opt_Out__c"] is True, ours["crmc_smsoptout"] is True

    def commands(self) -> list[tuple[str, str, str]]:
        """The service commands that Strex received."""
        answer = self.control(self.strex, "commands")
        return [(one["command"]["action"], one["command"]["phone"], one["command"]["keyword"]) for one in answer]

    def written(self) -> tuple[int, int, int]:
        """How often each CRM was written to, and how many commands Strex received."""
        written = [len(self.control(one, "history")["history"]) for one in (self.salesforce, self.dynamics)]
        return written[0], written[1], len(self.commands())

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for what the daemon does."""
        self._environment.until(condition, what)

    def wait_for_two_polls(self) -> None:
        """Wait for two more polls of both CRMs, and for the reports that Strex still sends."""
        self.control(self.strex, "forwards?wait=1")
        before = self._feed_polls()
        self.wait(
            lambda: all(now >= then + QUIET_POLLS for now, then in zip(self._feed_polls(), before, strict=True)),
            "two more polls of both CRMs",
        )

    def _feed_polls(self) -> tuple[int, int]:
        """How often each feed has polled."""
        theirs = self.control(self.salesforce, "stats")["requests"]
        ours = self.control(self.dynamics, "stats")["requests"]
        return (
            sum(count for route, count in theirs.items() if "query" in route.lower()),
            sum(count for route, count in ours.items() if route.startswith("GET contacts")),
        )


def play(scenario: Scenario) -> None:
    """Run this part."""
    scenario.scene(
        "A second charity has two CRMs, Salesforce and Dynamics 365. Liv texts KATT to its 2002, and is charged"
    )
    both = TwoCrms(scenario.environment)
    both.control(both.strex, "phone", {"from": LIV, "to": "2002", "text": "KATT"})
    both.wait(lambda: both.in_salesforce() and both.in_dynamics(), "the contact in both CRMs")
    names = [(one["FirstName"], one["LastName"]) for one in both.in_salesforce()]
    names += [(one["firstname"], one["lastname"]) for one in both.in_dynamics()]
    scenario.expect("one report of Strex made one contact in each", names == [("Liv", "Eng")] * 2)
    both.control(both.strex, "charge", {"phone": LIV, "keyword": "KATT", "status": "Ok", "price": PRICE})
    both.wait(
        lambda: both.in_salesforce("Opportunity") and both.in_dynamics("crmc_smsdonation"), "the gift in both CRMs"
    )
    gifts = [one["Amount"] for one in both.in_salesforce("Opportunity")]
    gifts += [one["crmc_amount"] for one in both.in_dynamics("crmc_smsdonation")]
    scenario.expect("her gift is in both", gifts == [PRICE, PRICE])
    scenario.scene("An administrator ticks the opt-out box on Liv's contact in Dynamics 365")
    both.wait_for_two_polls()
    (liv,) = both.in_dynamics()
    record = {"contactid": liv["contactid"], "crmc_smsoptout": True}
    both.control(both.dynamics, "records/contact", {"records": [record], "by": "person"})
    both.wait(lambda: both.commands() and all(both.opted_out()), "the opt-out in both CRMs and at Strex")
    both.wait_for_two_polls()
    scenario.expect("she is opted out in Salesforce too", both.opted_out() == (True, True))
    scenario.expect("Strex was sent one service command", both.commands() == [("unsubscribe", LIV, "KATT")])
    before = both.written()
    both.wait_for_two_polls()
    scenario.expect("and nothing echoes between the three in two more polls", both.written() == before)


PART = Part(play=play)  # it has processes of its own
