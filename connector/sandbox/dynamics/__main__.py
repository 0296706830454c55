"""`python -m connector.sandbox.dynamics`: serves the org on a local port."""

import argparse
import asyncio
import sys

from connector.sandbox.dynamics import build
from connector.sandbox.dynamics.org import PRESETS
from connector.sandbox.serve import serve_until_stopped


def announce(url: str) -> None:
    """Print the org's address."""
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m connector.sandbox.dynamics", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--preset", choices=PRESETS, default="plain", help="the kind of org")
    options = parser.parse_args()
    asyncio.run(serve_until_stopped(build(preset=options.preset), "127.0.0.1", options.port, announce))


if __name__ == "__main__":
    main()
