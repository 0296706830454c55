"""`connector run CONFIG` with the made-up CRM among those that it knows, as a process that a test may kill."""

import asyncio
import sys
from pathlib import Path

from contract.crms import MADE_UP

from connector.daemon import serve
from connector.registry import load_config

if __name__ == "__main__":
    asyncio.run(serve(load_config(Path(sys.argv[1]), MADE_UP.types)))
