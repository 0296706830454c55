"""What the writer's checkpoints cost the slowest callbacks: how many pages one moves, beside a bare aiohttp handler, in turns.

`python benchmarks/checkpoints.py [--pages 1000a 4000i] [--events 0 1000000] [--rounds 5] [--seconds 3]`. See README.md.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from ingest import MANY
from ingest import __file__ as ingest
from scene import HERE, running, write_config

from connector.store.store import Store

ENDPOINT = "strex/dlr"
HELD = ("plan", "salesforce", "strex")  # loops that are held back: callbacks alone are measured
MIB = 1 << 20
# `a`: after the answers, with the bound of 4,000 pages inside a commit; `i`: inside a commit alone, as it was before.
WHEN = {"a": "checkpoint={}", "i": "autocheckpoint={} checkpoint=1000000000"}
# Their keys come in no order, as a provider's do: commits then touch pages all over the index.
FILL = """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :events)
    INSERT INTO inbox (key, provider, shape, verdict, received_at, state, msisdn, raw)
    SELECT printf('%08x-before-%d', i * 2654435761 & 0xFFFFFFFF, i), 'strex', 'delivery_report', 'none', 0, 'delivered',
    '+4790000' || printf('%06d', i % 100000), zeroblob(700) FROM n"""


async def fill(path: Path, events: int) -> None:
    """A database that holds so many events already."""
    store = Store.open(path)
    await store.writer.run(lambda connection: connection.execute(FILL, {"events": events}) and None)
    await store.close()


def turn(url: str, clients: int, seconds: float, first: int) -> dict[str, float]:
    """Load a server from a process of its own."""
    command = [sys.executable, ingest, "load", url, ENDPOINT, str(clients), str(seconds), str(first)]
    described: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return described


def measure(options: argparse.Namespace, events: int) -> None:
    """All values, beside as many events."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        full = base / "full.db"
        if events:
            asyncio.run(fill(full, events))
        servers, logs = {"bare": stack.enter_context(running(ingest, "bare"))}, {}
        for pages in options.pages:
            home = base / pages
            home.mkdir()
            if events:
                shutil.copy(full, home / "connector.db")
            daemon = (
                str(HERE / "daemon.py"),
                str(write_config(home)),
                *HELD,
                *WHEN[pages[-1]].format(pages[:-1]).split(),
            )
            servers[pages] = stack.enter_context(running(*daemon))
            logs[pages] = home / "connector.db-wal"
        described: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        largest = dict.fromkeys(servers, 0.0)
        first = 0
        for _ in range(options.rounds):
            for name, server in servers.items():
                described[name].append(turn(server.url, options.clients, options.seconds, first))
                first = int(described[name][-1]["next"])
                if name in logs:
                    largest[name] = max(largest[name], logs[name].stat().st_size / MIB)
        show(described, largest, events)


def show(described: dict[str, list[dict[str, float]]], largest: dict[str, float], events: int) -> None:
    """The medians of the turns, and of their ratios to the bare handler's turn beside them."""
    for name, turns in described.items():
        pairs = list(zip(turns, described["bare"], strict=True))
        rate, p50, p99 = (statistics.median(one[key] for one in turns) for key in ("rate", "p50", "p99"))
        print(
            f"{events:>9}  {name:>6} {rate:>9.0f} {statistics.median(a['rate'] / b['rate'] for a, b in pairs):>6.2f} {p50:>7.2f} "
            f"{p99:>7.2f} {statistics.median(a['p99'] / b['p99'] for a, b in pairs):>9.1f} {largest[name]:>8.1f}"
            + ("  NOT ALL ANSWERED 200" if any(one["bad"] for one in turns) else ""),
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="+", default=["1000a", "4000i", "1000i"])
    parser.add_argument("--events", type=int, nargs="+", default=[0, 1_000_000])
    parser.add_argument("--clients", type=int, default=MANY)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn")
    chosen = parser.parse_args()
    print(
        f"{'events':>9}  {'pages':>6} {'answers/s':>9} {'ratio':>6} {'p50 ms':>7} {'p99 ms':>7} {'p99 ratio':>9} {'WAL MiB':>8}"
    )
    for number in chosen.events:
        measure(chosen, number)
