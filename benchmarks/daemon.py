"""The daemon in a process of its own, as connector.daemon.serve() runs it, but for the loops that are held back.

`python benchmarks/daemon.py CONFIG [plan|salesforce|strex …] [checkpoint=PAGES] [autocheckpoint=PAGES]`
"""

import asyncio
import cProfile
import os
import signal
import sys
from pathlib import Path

from connector.daemon import start_application
from connector.process import tune_garbage_collector
from connector.registry import load_config
from connector.store import writer
from connector.store.database import PRAGMAS
from connector.telemetry.fan_out import fan_out
from connector.telemetry.logs import Log
from connector.telemetry.metrics import Metrics


async def serve(config: Path, held: list[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    metrics = Metrics()
    async with start_application(load_config(config), emit=fan_out(Log(), metrics), metrics=metrics) as app:
        await app.stop_workers(*held)
        tune_garbage_collector()
        print(f"listening on {app.url}", flush=True)
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
