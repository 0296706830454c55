"""The daemon in a process of its own, as connector.daemon.serve() runs it, but for the loops that are held back.

`python benchmarks/daemon.py CONFIG [plan|salesforce|strex …]`
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


asyncio.run(serve(Path(sys.argv[1]), sys.argv[2:]))
