"""Events a second from a stored backlog to the sandbox of a CRM, which answers without latency; API calls and peak memory.

`python benchmarks/deliver.py [--events 100000 1000000] [--each 1] [--from inbox outbox] [--crm dynamics]`. See README.md.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from scene import CRMS, SECRETS, daemon, report, sandbox, wait_until, write_config

from connector.mapping.compile.ruleset import load_mappings
from connector.model.http import HttpRequest
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.receive import entries
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.registry import build_providers, load_config, mapping_context
from connector.store.store import Store

TIMEOUT = 1800  # seconds
CHUNK = 500  # events that are kept together


async def fill(config: Path, number: int, people: int, *, plan: bool) -> float:
    """Store callbacks as the endpoint does, without the HTTP in front; plan them on demand. Returns the seconds that planning took."""
    os.environ.update(SECRETS)
    loaded = load_config(config)
    endpoint = next(endpoint for endpoint in build_providers(loaded)["strex"].endpoints if endpoint.name == "dlr")
    store = Store.open(config.with_name("connector.db"))
    for first in range(0, number, CHUNK):
        now = datetime.now(UTC)
        bodies = [report(serial, serial % people) for serial in range(first, min(first + CHUNK, number))]
        requests = [
            HttpRequest(
                method="POST", instance="strex", endpoint="dlr", secret=None, url="", query="", headers={}, body=body, peer="",
                received_at=now,
            )
            for body in bodies
        ]  # fmt: skip
        await asyncio.gather(*(store.inbox.keep(entries(endpoint, one)) for one in requests))
    rules = load_mappings(loaded.resolve_path(loaded.settings.mappings), mapping_context(loaded))
    around = Runtime(emit=lambda _: None, now=lambda: datetime.now(UTC), monotonic=time.monotonic, wake=lambda _: None)
    pipeline = Pipeline(store, rules, PipelineConfig(), around)
    began = time.perf_counter()
    while plan and await pipeline.plan():
        pass
    took = time.perf_counter() - began
    await store.close()
    return took


def ask(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/_sandbox/stats") as answer:
        return json.load(answer)


class EventCounts:
    """Counts of events by state, read from the database beside the daemon."""

    def __init__(self, config: Path) -> None:
        self._connection = sqlite3.connect(f"{config.with_name('connector.db').as_uri()}?mode=ro", uri=True)

    def count(self, *states: str) -> int:
        """How many events are in one of these states."""
        marks = ",".join("?" * len(states))
        (n,) = self._connection.execute(f"SELECT sum(n) FROM event_totals WHERE state IN ({marks})", states).fetchone()
        return n

    def cursor(self, feed: str) -> str | None:
        """Where a feed is; None before its first page."""
        row = self._connection.execute("SELECT value FROM cursors WHERE name = ?", (feed,)).fetchone()
        return row[0] if row else None


def deliver(config: Path, url: str, number: int, what: str) -> tuple[float, float]:
    """Run the daemon until everything is delivered, and tell how it went. Returns events a second and MiB."""
    calls, counts = ask(url)["api_calls"], EventCounts(config)
    with daemon(config) as running:
        began, before, worked = time.perf_counter(), counts.count("delivered"), running.cpu()
        wait_until(lambda: not counts.count("pending", "delivering"), seconds=TIMEOUT)
        took = time.perf_counter() - began
        done = counts.count("delivered")
        rate, memory = (done - before) / took, running.peak_memory()
        print(
            f"{number:>9,} {what:18} {rate:>6,.0f} events/s  {1e6 * (running.cpu() - worked) / (done - before):>5.0f} us of CPU "
            f"each  {1000 * (ask(url)['api_calls'] - calls) / number:.2f} API calls per 1,000  peak memory {memory:.0f} MiB"
            + ("" if done == number else f"  ONLY {done:,} OF {number:,} DELIVERED"),
            flush=True,
        )
        return rate, memory


def measure(number: int, people: int, start: str, crm: str) -> tuple[float, float]:
    """A backlog of its own for each measurement, in an org of its own."""
    with tempfile.TemporaryDirectory() as base, sandbox(crm) as org:
        config = write_config(Path(base), url=org.url, crm=crm)
        took = asyncio.run(fill(config, number, people, plan=start == "outbox"))
        if start == "outbox":
            print(f"{number:>9,} {'planning alone':18} {number / took:>6,.0f} events/s", flush=True)
        return deliver(config, org.url, number, f"from the {start}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[100_000])
    parser.add_argument("--each", type=int, default=1, help="events of each person")
    parser.add_argument("--from", dest="starts", nargs="+", choices=("inbox", "outbox"), default=["inbox", "outbox"])
    parser.add_argument("--crm", choices=sorted(CRMS), default="salesforce")
    options = parser.parse_args()
    for start in options.starts:
        went = [measure(number, number // options.each, start, options.crm) for number in options.events]
        for number, (rate, memory) in zip(options.events[1:], went[1:], strict=True):
            first_rate, first_memory = went[0]
            print(
                f"{number:,} beside {options.events[0]:,} from the {start}: {rate / first_rate:.2f} times the events a second, "
                f"{memory / first_memory:.2f} times the memory",
                flush=True,
            )


if __name__ == "__main__":
    main()
