"""Events a second through the shipped mappings, in memory: planning.plan(), each with what a ledger knows of its person.

`python benchmarks/plan.py [--events 20000] [--rounds 5]`. See README.md.
"""

import argparse
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from scene import SECRETS, report, write_config

from connector.mapping.compile.ruleset import load_mappings
from connector.model.event import Event
from connector.model.plan import Known
from connector.pipeline.planning import plan, provisional
from connector.process import tune_garbage_collector
from connector.registry import build_providers, load_config, mapping_context

PEOPLE = 1000
ACTIONS = (b"Subscribe", b"AlterPrice", b"Recurring", b"Unsubscribe")  # what they decide and write differs


def events(number: int, base: Path) -> tuple[list[Event], object, Known]:
    os.environ.update(SECRETS)
    loaded = load_config(write_config(base))
    strex = build_providers(loaded)["strex"]
    reader = next(endpoint for endpoint in strex.endpoints if endpoint.name == "dlr").reader
    now = datetime.now(UTC)
    made = [
        reader.delivery_report(
            report(serial, serial % PEOPLE).replace(b"AlterPrice", ACTIONS[serial % len(ACTIONS)]), now
        )
        for serial in range(number)
    ]
    rules = load_mappings(loaded.resolve_path(loaded.settings.mappings), mapping_context(loaded))
    return made, rules, Known(configured=strex.subscriptions)


def ledgers(made: list[Event], rules: object, nothing: Known) -> dict[str, Known]:
    """What is known of each person: the decisions of their first event, as after joining."""
    known: dict[str, Known] = {}
    for event_id, event in enumerate(made[:PEOPLE]):
        entries = provisional(event_id, event, plan(event, rules, nothing))
        known[event.msisdn.e164] = Known(ledger=tuple(entries), configured=nothing.configured)
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        made, rules, nothing = events(options.events, Path(base))
    known = ledgers(made, rules, nothing)
    paired = [(event, known[event.msisdn.e164]) for event in made]
    tune_garbage_collector()  # as the daemon does
    rates = []
    for _ in range(options.rounds):
        began = time.process_time()
        operations = sum(len(plan(event, rules, one).operations) for event, one in paired)
        rates.append(len(paired) / (time.process_time() - began))
    print(
        f"planned {statistics.median(rates):,.0f} events/s of CPU time, {operations / len(paired):.1f} operations each"
    )


if __name__ == "__main__":
    main()
