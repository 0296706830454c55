"""`connector preview` over many stored events: time and memory, and what it costs the callbacks of a daemon beside it, in turns.

`python benchmarks/preview.py [--events 100000] [--seconds 5] [--rounds 5] [--clients 16]`. See README.md.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from callbacks import PEOPLE
from scene import HERE, SECRETS, daemon, report, write_config

from connector.pipeline.receive import entry
from connector.registry import build_providers, load_config
from connector.store.store import Store

CHUNK = 2000  # events a transaction
ACTIONS = (b"Subscribe", b"AlterPrice", b"Recurring", b"Unsubscribe")
EDITED = ("strex-subscription.yaml", '"Strex {keyword?}"', '"SMS {keyword?}"')
ENDPOINT = "strex/dlr"


async def fill(config: Path, number: int) -> None:
    """A database with so many reports of four actions, as if they had come during the last weeks."""
    loaded = load_config(config)
    reader = next(one for one in build_providers(loaded)["strex"].endpoints if one.name == "dlr").reader
    store = Store.open(config.with_name("connector.db"))
    at = datetime.now(UTC) - timedelta(days=20)
    for first in range(0, number, CHUNK):
        made = []
        for serial in range(first, min(first + CHUNK, number)):
            action = ACTIONS[serial % len(ACTIONS)]
            body = report(serial, serial % PEOPLE).replace(b"AlterPrice", action)
            made.append(entry(reader.delivery_report(body, at), body))
        await store.inbox.keep(made)
    await store.close()


def preview(config: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "connector", "--config", str(config), "preview", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **SECRETS})


def load(url: str, clients: int, seconds: float, first: int) -> dict[str, float]:
    command = [sys.executable, str(HERE / "ingest.py"), "load", url, ENDPOINT, str(clients), str(seconds), str(first)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    os.environ.update(SECRETS)
    with tempfile.TemporaryDirectory() as base:
        config = write_config(Path(base))
        asyncio.run(fill(config, options.events))
        with daemon(config, "plan", "salesforce", "strex") as server:
            name, old, new = EDITED
            path = Path(base) / "mappings" / name
            path.write_text(path.read_text().replace(old, new))
            began = time.perf_counter()
            said = json.loads(preview(config).communicate()[0])
            took = time.perf_counter() - began
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(
                f"preview of {said['events']} events: {took:.1f} s, of these {used.ru_utime + used.ru_stime:.1f} s of CPU, "
                f"peak {used.ru_maxrss / 1024:.0f} MiB, {said['changed']} would change",
                flush=True,
            )
            first, ratios = options.events, []
            for _ in range(options.rounds):
                alone = load(server.url, options.clients, options.seconds, first)
                beside = preview(config)
                loaded = load(server.url, options.clients, options.seconds, int(alone["next"]))
                ended = beside.poll() is not None
                beside.terminate()
                beside.wait()
                first = int(loaded["next"])
                ratios.append(loaded["rate"] / alone["rate"])
                note = "  the preview ended before the load did" if ended else ""
                print(
                    f"callbacks/s alone {alone['rate']:.0f}, beside it {loaded['rate']:.0f}: {ratios[-1]:.2f}{note}",
                    flush=True,
                )
            print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
