"""The story that the demo tells, scene by scene, and what must be true at its end."""

from typing import Any

from rich.console import Console
from rich.table import Table

from connector.cli.demo.stage import Stage

KARI, OLA, DOCUMENT = "+4790000001", "+4790000002", "+4798079008"
PEOPLE = {
    KARI: {"firstName": "Kari", "lastName": "Ås"},
    OLA: {"firstName": "Ola", "lastName": "Bø"},
    DOCUMENT: {"firstName": "Nina", "lastName": "Dahl"},
}
COLUMNS = {
    "FirstName": "first name",
    "LastName": "last name",
    "MobilePhone": "mobile",
    "SMS_Opt_Out__c": "opted out",
    "SMS_Opt_Out_Source__c": "by",
    "SMS_Monthly_Amount__c": "monthly",
}
# The block that the Strex document prints, as its page shows it: no JSON, and without an envelope.
BARE_BLOCK = (
    'Properties: { "ServiceType": "Subscription", "ServiceId": "d2455b83-f471-4f8e-9332-2387b23adbhd", '
    '"Keyword": "MYKEYWORD", "SystemAction": "Unsubscribe", "myproperty": "custom value" }'
)
CHARGES = 2
QUIET_LOOKS = 2  # rounds of the feed that must bring nothing, before we say that nothing echoed


class Story:
    """Plays the scenes on a stage, and says what it sees."""

    def __init__(self, stage: Stage, *, quiet: bool) -> None:
        self._stage = stage
        self._console = Console(quiet=quiet, highlight=False)
        self._promises: list[tuple[str, bool]] = []

    def play(self) -> dict[str, Any]:
        """All scenes; returns what was seen and whether it is as promised."""
        stage = self._stage
        self._say(
            "\n[bold]A donor's story[/]: phones → Strex stand-in → this connector → Salesforce stand-in, and back.\n"
        )
        stage.call(f"{stage.strex}/_sandbox/config", {"people": PEOPLE}, method="PUT")
        stage.call(
            f"{stage.salesforce}/_sandbox/records/Contact",
            {
                "records": [{"FirstName": "Ola", "LastName": "Bø", "SMS_Key__c": OLA, "MobilePhone": OLA}],
                "by": "person",
            },
        )
        stage.until(self._first_look_over, "the first look at Salesforce")
        before = self._contacts()
        self._show_contacts("Contacts in Salesforce before", before)
        self._joining()
        self._giving()
        self._leaving()
        self._leaving_in_salesforce()
        self._the_document()
        self._look_back(before)
        return self._end(before)

    def _joining(self) -> None:
        self._scene("Kari texts KATT and HUND to 2002, Ola texts KATT")
        for number, text in ((KARI, "KATT"), (KARI, "HUND"), (OLA, "KATT")):
            self._phone(number, text)
        self._settled()
        kari, ola = self._contact(KARI), self._contact(OLA)
        self._promise("Kari became a contact, with the name that the number lookup gave", kari["LastName"] == "Ås")
        self._promise("Ola's contact was found, not doubled", len([one for one in self._contacts() if one == ola]) == 1)

    def _giving(self) -> None:
        self._scene("Strex charges Kari 100 kr and Ola 100 kr; Ola's operator takes it back")
        # The stand-in makes the charge and then takes it back, where it is asked for a reversal.
        for number, status in ((KARI, "Ok"), (OLA, "Reversed")):
            self._strex("charge", phone=number, keyword="KATT", status=status)
        self._settled()
        gifts = {one["StageName"] for one in self._records("Opportunity")}
        self._promise("one gift is booked as won, the reversed one as lost", gifts == {"Closed Won", "Closed Lost"})
        self._promise("and each charge is one Opportunity", len(self._records("Opportunity")) == CHARGES)

    def _leaving(self) -> None:
        self._scene("Kari texts KATT STOPP")
        self._phone(KARI, "KATT STOPP")
        self._settled()
        self._promise(
            "her other subscription runs on, and the flag is not set", not self._contact(KARI)["SMS_Opt_Out__c"]
        )
        self._scene("Kari texts HUND STOPP")
        self._phone(KARI, "HUND STOPP")
        self._settled()
        self._promise("now she is opted out in Salesforce", bool(self._contact(KARI)["SMS_Opt_Out__c"]))
        self._promise("and Strex, where it came from, was sent nothing", self._commands() == [])

    def _leaving_in_salesforce(self) -> None:
        self._scene("An administrator ticks the opt-out box on Ola's contact")
        self._person(Id=self._contact(OLA)["Id"], SMS_Opt_Out__c=True)
        self._stage.until(self._commands, "the service command")
        self._settled()
        self._quiet()
        sent = [(one["action"], one["phone"], one["keyword"]) for one in self._commands()]
        self._promise("Strex was sent one service command", sent == [("unsubscribe", OLA, "KATT")])
        ola = [one for one in self._stage.call(f"{self._stage.strex}/_sandbox/subscribers") if one["phone"] == OLA]
        self._promise("Ola's subscription has ended there", [one["active"] for one in ola] == [False])

    def _the_document(self) -> None:
        self._scene("The example of the Strex document, once in its envelope and once bare")
        self._strex("action", action="Unsubscribe", phone=DOCUMENT, keyword="MYKEYWORD", status="Ok")
        self._strex("emit", kind="dlr", raw=BARE_BLOCK)
        self._settled()
        self._promise("the donor of the example is opted out", bool(self._contact(DOCUMENT)["SMS_Opt_Out__c"]))
        states = self._states()
        self._promise("the bare block is kept as unreadable, and was answered 200", states.get("unreadable") == 1)

    def _look_back(self, before: list[dict[str, Any]]) -> None:
        self._show_contacts("Contacts in Salesforce after", self._contacts(), before)
        states = self._states()
        table = Table(title="What became of the events", title_justify="left")
        for state in states:
            table.add_column(state, justify="right")
        table.add_row(*(str(count) for count in states.values()))
        self._console.print(table)
        sent = Table(
            "action", "phone", "keyword", "answer", title="Service commands sent to Strex", title_justify="left"
        )
        for one in self._commands():
            sent.add_row(one["action"], one["phone"], one["keyword"], str(one["answer"]))
        self._console.print(sent)
        self._quiet()
        self._promise("nothing echoed: no further command, in two more looks at Salesforce", len(self._commands()) == 1)

    def _end(self, before: list[dict[str, Any]]) -> dict[str, Any]:
        kept = all(held for _, held in self._promises)
        word = "[green]Everything is as promised.[/]" if kept else "[red]Not everything is as promised.[/]"
        self._say(f"\n{word} The logs are in {self._stage.directory}.\n")
        return {
            "as_promised": kept,
            "promises": [{"promise": words, "kept": held} for words, held in self._promises],
            "contacts_before": before,
            "contacts_after": self._contacts(),
            "events": self._states(),
            "commands": self._commands(),
        }

    # What is seen and done on the stage.

    def _phone(self, number: str, text: str) -> None:
        self._strex("phone", **{"from": number, "to": "2002", "text": text})

    def _strex(self, what: str, **body: Any) -> None:
        self._stage.call(f"{self._stage.strex}/_sandbox/{what}", body)

    def _person(self, **fields: Any) -> None:
        body = {"records": [fields], "by": "person"}
        self._stage.call(f"{self._stage.salesforce}/_sandbox/records/Contact", body)

    def _records(self, name: str) -> list[dict[str, Any]]:
        answer = self._stage.call(f"{self._stage.salesforce}/_sandbox/records/{name}")
        records: list[dict[str, Any]] = answer["records"] if isinstance(answer, dict) else answer
        return records

    def _contacts(self) -> list[dict[str, Any]]:
        return [{name: one[name] for name in ("Id", "SMS_Key__c", *COLUMNS)} for one in self._records("Contact")]

    def _contact(self, number: str) -> dict[str, Any]:
        return next(one for one in self._contacts() if one["SMS_Key__c"] == number)

    def _commands(self) -> list[dict[str, Any]]:
        answer = self._stage.call(f"{self._stage.strex}/_sandbox/commands")
        return [{**one["command"], "answer": one["status"]} for one in answer]

    def _states(self) -> dict[str, int]:
        states = self._stage.ask("status")["states"]
        return {state: count for state, count in states.items() if count}

    def _settled(self) -> None:
        """Wait until nothing is on its way. What is delivered can cause a report again, so it is looked at until nothing new came."""
        stage, seen = self._stage, -1
        while seen != (now := sum(self._states().values())):
            seen = now
            stage.until(lambda: not {"pending", "delivering"} & self._states().keys(), "the events to be delivered")
            stage.call(f"{stage.strex}/_sandbox/forwards?wait=1")

    def _first_look_over(self) -> bool:
        return self._looks() > 0

    def _looks(self) -> int:
        """How often Salesforce was asked for changes."""
        routes = self._stage.call(f"{self._stage.salesforce}/_sandbox/stats")["requests"]
        return sum(count for route, count in routes.items() if "query" in route.lower())

    def _quiet(self) -> None:
        asked = self._looks()
        self._stage.until(lambda: self._looks() >= asked + QUIET_LOOKS, "two more looks at Salesforce")
        self._settled()

    # What is said.

    def _say(self, words: str) -> None:
        self._console.print(words)

    def _scene(self, words: str) -> None:
        self._say(f"[bold cyan]▸[/] {words}")

    def _promise(self, words: str, held: bool) -> None:  # noqa: FBT001 - what is promised, and whether it held.
        self._promises.append((words, held))
        self._say(f"  {'[green]✓[/]' if held else '[red]✗[/]'} {words}")

    def _show_contacts(
        self, title: str, contacts: list[dict[str, Any]], before: list[dict[str, Any]] | None = None
    ) -> None:
        known = {one["Id"]: one for one in before or ()}
        table = Table(*COLUMNS.values(), title=f"\n{title}", title_justify="left")
        for one in contacts:
            old = known.get(one["Id"], {})
            table.add_row(
                *(_cell(one[name], changed=before is not None and old.get(name) != one[name]) for name in COLUMNS)
            )
        self._console.print(table)


def _cell(value: object, *, changed: bool) -> str:
    text = {True: "yes", False: "no", None: ""}.get(value, str(value)) if isinstance(value, bool | None) else str(value)
    return f"[bold yellow]{text}[/]" if changed and text else text
