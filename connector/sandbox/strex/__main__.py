"""Runs the sandbox alone: `python -m connector.sandbox.strex --port 8091 --mo-url … --dlr-url …`."""

import argparse
import asyncio
import sys

from connector.sandbox.refused import RefusedError
from connector.sandbox.serve import serve_until_stopped
from connector.sandbox.strex.app import build


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m connector.sandbox.strex", description="Plays Strex Connect.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--mo-url", help="where messages are forwarded to (MasterMOForward)")
    parser.add_argument("--dlr-url", help="where delivery reports are forwarded to (MasterDLRForward)")
    parser.add_argument("--api-key", default="sandbox-key")
    parser.add_argument("--compress", type=float, default=1.0, help="divides every wait before a retry")
    parser.add_argument("--no-sign", action="store_true", help="forward without X-ECDSA-Signature")
    given = parser.parse_args()
    try:
        app = build(
            api_key=given.api_key,
            mo_url=given.mo_url,
            dlr_url=given.dlr_url,
            compress=given.compress,
            sign=not given.no_sign,
        )
    except RefusedError as refused:
        parser.error(str(refused))
    asyncio.run(serve_until_stopped(app, given.host, given.port, _announce))
    return 0


def _announce(url: str) -> None:
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
