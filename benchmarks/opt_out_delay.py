"""Opt-outs that are ticked in Salesforce while a backlog is delivered: how long each takes to become a command at Strex.

`python benchmarks/opt_out_delay.py [--events 100000] [--opt-outs 50] [--latency 0 0.2] [--from inbox outbox]`. See README.md.

The feed polls with `every: 1s`. The delay runs from when Salesforce has taken the tick until the Strex sandbox receives the command.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from deliver import TIMEOUT, EventCounts, ask, fill
from scene import NOWHERE, ROOT, daemon, sandbox, wait_until, write_config

EVERY = "every: 1s"  # the shortest that a mapping takes
FEED = "GET /queryAll"  # nothing but the feed asks this while events are delivered


def post(url: str, body: object) -> dict[str, object]:
    """Send JSON; the answer is JSON."""
    wish = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(wish) as answer:
        return json.load(answer)


def donor(serial: int) -> str:
    """The number of somebody whom the backlog does not concern."""
    return f"+4790000{serial:03}"


def mappings(base: Path) -> Path:
    """The shipped ones, with a feed that polls each second."""
    chosen = base / "mappings"
    shutil.copytree(ROOT / "mappings", chosen, ignore=shutil.ignore_patterns("more"))
    for path in chosen.glob("*.yaml"):
        path.write_text(path.read_text().replace("every: 30s", EVERY))
    return chosen


def first_look_over(counts: EventCounts) -> bool:
    """Whether the feed has read all records once."""
    cursor = counts.cursor("salesforce.Contact")
    return cursor is not None and not json.loads(cursor)["baseline"]


def command_times(strex: str) -> dict[str, float]:
    """When the first command for each number came."""
    with urllib.request.urlopen(f"{strex}/_sandbox/commands") as answer:
        said = json.load(answer)
    times: dict[str, float] = {}
    for one in said["commands"] if isinstance(said, dict) else said:
        times.setdefault(one["command"]["phone"], one["time"])
    return times


def tick(salesforce: str, ids: list[str], gap: float, open_events) -> dict[str, float]:
    """Tick one box after the other while events wait; when each was ticked."""
    ticked: dict[str, float] = {}
    for serial, one in enumerate(ids):
        if not open_events():
            break
        post(
            f"{salesforce}/_sandbox/records/Contact", {"records": [{"Id": one, "SMS_Opt_Out__c": True}], "by": "person"}
        )
        ticked[donor(serial)] = time.time()
        time.sleep(gap)
    return ticked


def measure(events: int, opt_outs: int, gap: float, latency: float, start: str) -> None:
    """One backlog in an org of its own."""
    with (
        tempfile.TemporaryDirectory() as base,
        sandbox() as salesforce,
        sandbox("strex") as strex,
    ):
        config = write_config(Path(base), url=salesforce.url, mappings=mappings(Path(base)))
        config.write_text(config.read_text().replace(NOWHERE, strex.url))
        records = [{"LastName": "Donor", "MobilePhone": donor(n)} for n in range(opt_outs)]
        ids = post(f"{salesforce.url}/_sandbox/records/Contact", {"records": records, "by": "person"})["ids"]
        asyncio.run(fill(config, events, events, plan=start == "outbox"))
        if latency:
            post(f"{salesforce.url}/_sandbox/faults", {"fault": "slow", "seconds": latency, "every": 1})
        counts = EventCounts(config)

        def waiting() -> int:
            return counts.count("pending", "delivering")

        with daemon(config):
            began = time.perf_counter()
            wait_until(lambda: first_look_over(counts), seconds=TIMEOUT)
            ticked = tick(salesforce.url, ids, gap, waiting)
            wait_until(lambda: not waiting(), seconds=TIMEOUT)
            took = time.perf_counter() - began
            wait_until(lambda: ticked.keys() <= command_times(strex.url).keys(), seconds=TIMEOUT)
            described = ask(salesforce.url)
            came = command_times(strex.url)
        delays = sorted(came[number] - at for number, at in ticked.items())
        cuts = statistics.quantiles(delays, n=100, method="inclusive")
        print(
            f"{events:>9,} from the {start:6} {1000 * latency:>4.0f} ms a call: opt-outs {len(delays)}, "
            f"delay p50 {cuts[49]:.2f} p90 {cuts[89]:.2f} p99 {cuts[98]:.2f} max {delays[-1]:.2f} s; "
            f"API calls {described['api_calls']}, of the feed {described['requests'].get(FEED, 0)}; delivered in {took:.0f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--opt-outs", type=int, default=50)
    parser.add_argument("--gap", type=float, default=0.45, help="seconds between two ticks")
    parser.add_argument(
        "--latency", type=float, nargs="+", default=[0.0, 0.2], help="seconds that Salesforce takes for each call"
    )
    parser.add_argument("--from", dest="starts", nargs="+", choices=("inbox", "outbox"), default=["inbox"])
    options = parser.parse_args()
    for start in options.starts:
        for latency in options.latency:
            measure(options.events, options.opt_outs, options.gap, latency, start)


if __name__ == "__main__":
    main()
