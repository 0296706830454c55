"""The demo's story and its expected results. Each part is in its own file."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rich.table import Table

from connector.cli.demo.environment import Environment
from connector.cli.demo.scenario import Scenario
from connector.registry import PROVIDER_NAMES

# The files of this folder that have a PART, in the order of the story: one a provider, and what concerns several.
PARTS = tuple(
    import_module(f"{__package__}.{name}").PART
    for name in (*PROVIDER_NAMES, "results", "two_crms")
    if find_spec(f"{__package__}.{name}")
)


def play(environment: Environment, *, quiet: bool) -> dict[str, Any]:
    """Run all parts; returns the results and whether all expectations were met."""
    scenario = Scenario(environment, quiet=quiet)
    scenario.say(
        "\n[bold]A donor's story[/]: phones → provider stand-ins → this connector → Salesforce stand-in, and back.\n"
    )
    for part in PARTS:
        part.prepare(scenario)
    environment.until(lambda: scenario.feed_polls() > 0, "the first poll of Salesforce")
    before = scenario.contacts()
    scenario.show_contacts("Contacts in Salesforce before", before)
    for part in PARTS:
        part.play(scenario)
    _look_back(scenario, before)
    kept = all(held for _, held in scenario.promises)
    word = "[green]Everything is as promised.[/]" if kept else "[red]Not everything is as promised.[/]"
    scenario.say(f"\n{word} The logs are in {environment.directory}.\n")
    return {
        "as_promised": kept,
        "promises": [{"promise": words, "kept": held} for words, held in scenario.promises],
        "contacts_before": before,
        "contacts_after": scenario.contacts(),
        "events": scenario.states(),
        "commands": scenario.commands(),
    }


def _look_back(scenario: Scenario, before: list[dict[str, Any]]) -> None:
    scenario.show_contacts("Contacts in Salesforce after", scenario.contacts(), before)
    states = scenario.states()
    table = Table(title="Events by state", title_justify="left")
    for state in states:
        table.add_column(state, justify="right")
    table.add_row(*(str(count) for count in states.values()))
    scenario.console.print(table)
    sent = Table("action", "phone", "keyword", "answer", title="Service commands sent to Strex", title_justify="left")
    commands = scenario.commands()
    for one in commands:
        sent.add_row(one["action"], one["phone"], one["keyword"], str(one["answer"]))
    scenario.console.print(sent)
    scenario.wait_for_two_polls()
    scenario.expect(
        "nothing was echoed: no further command in two more polls of Salesforce", scenario.commands() == commands
    )
