"""The daemon in a process of its own, as connector.daemon.serve() runs it, but for the loops that are held back.

`python benchmarks/daemon.py CONFIG [plan|salesforce|strex …] [checkpoint=PAGES] [autocheckpoint=PAGES]`
"""

import asyncio
import cProfile
import os
import signal
import sys
from pathlib import Path

from connector.adapters import load_config
from connector.daemon import open_house
from connector.observe.logs import Log
from connector.observe.metrics import Metrics
from connector.observe.telling import fan_out
from connector.service import search_cycles_seldom
from connector.store import writer
from connector.store.database import PRAGMAS


async def serve(config: Path, held: list[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    metrics = Metrics()
    async with open_house(load_config(config), tell=fan_out(Log(), metrics), metrics=metrics) as house:
        await house.end(*held)
        search_cycles_seldom()
        print(f"listening on {house.url}", flush=True)
        profile = cProfile.Profile() if "BENCH_PROFILE" in os.environ else None
        if profile:
            profile.enable()
        await stop.wait()
        if profile:
            profile.disable()
            profile.dump_stats(os.environ["BENCH_PROFILE"])


numbers = {name: int(value) for name, is_number, value in (word.partition("=") for word in sys.argv[2:]) if is_number}
writer.CHECKPOINT = numbers.get("checkpoint", writer.CHECKPOINT)
PRAGMAS["wal_autocheckpoint"] = numbers.get("autocheckpoint", PRAGMAS["wal_autocheckpoint"])
asyncio.run(serve(Path(sys.argv[1]), [word for word in sys.argv[2:] if "=" not in word]))
