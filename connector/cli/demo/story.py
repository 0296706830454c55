"""The story that the demo tells, and what must be true at its end. The scenes of each provider stand in their own file."""

from typing import Any

from rich.table import Table

from connector.cli.demo import messagecloud, onlinefundraising, strex, sumotext
from connector.cli.demo.stage import Stage
from connector.cli.demo.theatre import Theatre

SCENES = (strex, sumotext, onlinefundraising, messagecloud)  # each has prepare(theatre) and play(theatre)


def play(stage: Stage, *, quiet: bool) -> dict[str, Any]:
    """All scenes; returns what was seen and whether it is as promised."""
    theatre = Theatre(stage, quiet=quiet)
    theatre.say(
        "\n[bold]A donor's story[/]: phones → provider stand-ins → this connector → Salesforce stand-in, and back.\n"
    )
    for scenes in SCENES:
        scenes.prepare(theatre)
    stage.until(lambda: theatre.looks() > 0, "the first look at Salesforce")
    before = theatre.contacts()
    theatre.show_contacts("Contacts in Salesforce before", before)
    for scenes in SCENES:
        scenes.play(theatre)
    _look_back(theatre, before)
    kept = all(held for _, held in theatre.promises)
    word = "[green]Everything is as promised.[/]" if kept else "[red]Not everything is as promised.[/]"
    theatre.say(f"\n{word} The logs are in {stage.directory}.\n")
    return {
        "as_promised": kept,
        "promises": [{"promise": words, "kept": held} for words, held in theatre.promises],
        "contacts_before": before,
        "contacts_after": theatre.contacts(),
        "events": theatre.states(),
        "commands": theatre.commands(),
    }


def _look_back(theatre: Theatre, before: list[dict[str, Any]]) -> None:
    theatre.show_contacts("Contacts in Salesforce after", theatre.contacts(), before)
    states = theatre.states()
    table = Table(title="What became of the events", title_justify="left")
    for state in states:
        table.add_column(state, justify="right")
    table.add_row(*(str(count) for count in states.values()))
    theatre.console.print(table)
    sent = Table("action", "phone", "keyword", "answer", title="Service commands sent to Strex", title_justify="left")
    commands = theatre.commands()
    for one in commands:
        sent.add_row(one["action"], one["phone"], one["keyword"], str(one["answer"]))
    theatre.console.print(sent)
    theatre.quiet()
    theatre.promise(
        "nothing echoed: no further command, in two more looks at Salesforce", theatre.commands() == commands
    )
