"""Helpers for the parts of the demo: actions, queries and output."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from connector.cli.demo.environment import Environment, PartSetup, do_nothing

COLUMNS = {
    "FirstName": "first name",
    "LastName": "last name",
    "MobilePhone": "mobile",
    "SMS_Opt_Out__c": "opted out",
    "SMS_Opt_Out_Source__c": "by",
    "SMS_Monthly_Amount__c": "monthly",
}
QUIET_POLLS = 2  # polls of the feed without a change, after which the demo reports that there is no echo


class Scenario:
    """Runs the actions, and records which expectations were met."""

    def __init__(self, environment: Environment, *, quiet: bool) -> None:
        self.environment = environment
        self.console = Console(quiet=quiet, highlight=False)
        self.promises: list[tuple[str, bool]] = []

    # Actions and queries.

    def phone(self, number: str, text: str) -> None:
        """A donor sends a text message to Strex's short number."""
        self.strex("phone", **{"from": number, "to": "2002", "text": text})

    def strex(self, what: str, **body: Any) -> None:
        """Send a control request to the Strex sandbox."""
        self.environment.control("strex", what, body)

    def person(self, **fields: Any) -> None:
        """Create or edit a contact in Salesforce as a person would."""
        body = {"records": [fields], "by": "person"}
        self.environment.control("salesforce", "records/Contact", body)

    def records(self, name: str) -> list[dict[str, Any]]:
        """All records of an object in Salesforce."""
        answer = self.environment.control("salesforce", f"records/{name}")
        records: list[dict[str, Any]] = answer["records"] if isinstance(answer, dict) else answer
        return records

    def contacts(self) -> list[dict[str, Any]]:
        """All contacts, with the fields that the demo shows."""
        return [{name: one[name] for name in ("Id", "SMS_Key__c", *COLUMNS)} for one in self.records("Contact")]

    def contact(self, number: str) -> dict[str, Any]:
        """The contact of a number."""
        return next(one for one in self.contacts() if one["SMS_Key__c"] == number)

    def commands(self) -> list[dict[str, Any]]:
        """The service commands that Strex received, and its responses."""
        answer = self.environment.control("strex", "commands")
        return [{**one["command"], "answer": one["status"]} for one in answer]

    def states(self) -> dict[str, int]:
        """The number of events per state."""
        states = self.environment.ask("status")["states"]
        return {state: count for state, count in states.items() if count}

    def wait_until_settled(self) -> None:
        """Wait until all events are settled. A delivery can cause a new report, so it waits until no new event has come."""
        environment, seen = self.environment, -1
        while seen != (now := sum(self.states().values())):
            seen = now
            environment.until(
                lambda: not {"pending", "delivering"} & self.states().keys(), "the events to be delivered"
            )
            for part in environment.parts:
                part.sent(environment)

    def feed_polls(self) -> int:
        """How often the feed has polled Salesforce."""
        routes = self.environment.control("salesforce", "stats")["requests"]
        return sum(count for route, count in routes.items() if "query" in route.lower())

    def wait_for_two_polls(self) -> None:
        """Wait for two more polls of Salesforce, and for their results."""
        asked = self.feed_polls()
        self.environment.until(lambda: self.feed_polls() >= asked + QUIET_POLLS, "two more polls of Salesforce")
        self.wait_until_settled()

    # Output.

    def say(self, words: str) -> None:
        """Print one line."""
        self.console.print(words)

    def scene(self, words: str) -> None:
        """Announce the next step."""
        self.say(f"[bold cyan]▸[/] {words}")

    def expect(self, words: str, held: bool) -> None:  # noqa: FBT001 - an expectation and whether it was met.
        """Record an expectation, and whether it was met."""
        self.promises.append((words, held))
        self.say(f"  {'[green]✓[/]' if held else '[red]✗[/]'} {words}")

    def show_contacts(
        self, title: str, contacts: list[dict[str, Any]], before: list[dict[str, Any]] | None = None
    ) -> None:
        """Print a table of contacts, with changes since `before` highlighted."""
        known = {one["Id"]: one for one in before or ()}
        table = Table(title=f"\n{title}", title_justify="left")
        for name in COLUMNS.values():
            table.add_column(name, overflow="fold")
        for one in contacts:
            old = known.get(one["Id"], {})
            table.add_row(
                *(_cell(one[name], changed=before is not None and old.get(name) != one[name]) for name in COLUMNS)
            )
        self.console.print(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(PartSetup):
    """One part of the demo: its setup and its scenes."""

    play: Callable[[Scenario], None]
    prepare: Callable[[Scenario], None] = do_nothing  # before all scenes


def _cell(value: object, *, changed: bool) -> str:
    text = {True: "yes", False: "no", None: ""}.get(value, str(value)) if isinstance(value, bool | None) else str(value)
    return f"[bold yellow]{text}[/]" if changed and text else text
