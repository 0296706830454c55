"""Callbacks a second that are answered when they are safe on disk, beside a bare aiohttp handler, in turns within one run.

`python benchmarks/ingest.py [--seconds 4] [--rounds 3] [--clients 1 16 64] [--endpoints strex/dlr …]`. See README.md.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from callbacks import CALLS
from scene import SECRETS, Running, daemon, running, write_config

from connector.model.http import HttpCall, HttpError, HttpReply, HttpRequest, HttpResponse
from connector.pipeline.receive import entries
from connector.ports import WebhookEndpoint
from connector.process import tune_garbage_collector
from connector.registry import build_providers, load_config
from connector.store.inbox import arrival
from connector.web.listener import Listener
from connector.web.webhooks import WebhookHandler

MANY = 64  # clients, where the endpoints are compared
WARM_UP = 0.5  # seconds at the start of a turn that are not counted


class Client(asyncio.Protocol):
    """One connection that is kept: it sends the next callback when the last one is answered.

    aiohttp's client costs more than the servers that are measured, so that it could not load them.
    """

    def __init__(self, requests: Iterator[bytes], answered: list[tuple[float, float]]) -> None:
        self._requests = requests
        self._answered = answered
        self._rest = b""
        self.bad = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = next(self._requests)
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Once the answer is whole, note its time and go on."""
        self._rest += data
        head, end, body = self._rest.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return
        self._rest = b""
        now = time.perf_counter()
        self._answered.append((now, now - self._began))
        self.bad += not head.startswith(b"HTTP/1.1 200")
        self._send()


async def load(url: str, endpoint: str, clients: int, seconds: float, first: int) -> dict[str, float]:
    """Load one endpoint of one server, and tell what came of it."""
    parts = urlsplit(url)
    answered: list[tuple[float, float]] = []
    serials = count(first)
    requests = (CALLS[endpoint].bytes(parts.netloc, serial) for serial in serials)
    loop = asyncio.get_running_loop()
    began = time.perf_counter() + WARM_UP
    made = [
        await loop.create_connection(lambda: Client(requests, answered), parts.hostname, parts.port)
        for _ in range(clients)
    ]
    await asyncio.sleep(WARM_UP + seconds)
    ended = time.perf_counter()
    for transport, _ in made:
        transport.abort()
    times = sorted(took for at, took in answered if at >= began)
    return {
        "rate": len(times) / (ended - began),
        "p50": 1000 * times[len(times) // 2],
        "p99": 1000 * times[len(times) * 99 // 100],
        "bad": sum(client.bad for _, client in made),
        "next": next(serials),
    }


async def bare() -> None:
    """The yardstick: reads the body, and answers 200."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="OK")

    app = web.Application()
    app.router.add_route("*", "/hooks/{provider}/{endpoint}/{secret}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


class NoCalls:
    """An `Http` for endpoints that make no call: a path secret needs none."""

    async def call(self, call: HttpCall) -> HttpReply:
        """Refuse the call."""
        raise SystemExit(f"a path secret needs no call: {call.method} {call.path}")

    async def call_all(self, calls: Sequence[HttpCall]) -> Sequence[HttpReply | HttpError]:
        """Refuse the calls."""
        return [await self.call(call) for call in calls]


async def reading() -> None:
    """The second yardstick: the daemon's listener and endpoints, and callbacks that are read and not stored."""
    os.environ.update(SECRETS)
    with tempfile.TemporaryDirectory() as base:
        providers = build_providers(load_config(write_config(Path(base))))

    async def receive(endpoint: WebhookEndpoint, request: HttpRequest) -> HttpResponse:
        auth = await endpoint.authenticate(NoCalls(), request)
        arrival(entries(endpoint, request, auth))
        return endpoint.answer(request, auth)

    endpoints = [endpoint for provider in providers.values() for endpoint in provider.endpoints]
    hooks = WebhookHandler(endpoints, receive, emit=lambda _: None, now=lambda: datetime.now(UTC))
    url = await Listener(hooks.handle, host="127.0.0.1", port=0).start()
    tune_garbage_collector()
    print(f"listening on {url}", flush=True)
    await asyncio.Event().wait()


def turns(servers: dict[str, Running], endpoint: str, clients: int, seconds: float, rounds: int, first: int) -> int:
    """Load everybody in turns, and print the medians; returns the next serial."""
    described: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            worked = server.cpu()
            command = [sys.executable, __file__, "load", server.url, endpoint, str(clients), str(seconds), str(first)]
            turn = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            turn["cpu"] = 1e6 * (server.cpu() - worked) / (turn["next"] - first)
            first = int(turn["next"])
            described[name].append(turn)
    for name, several in described.items():
        middle = {key: statistics.median(turn[key] for turn in several) for key in several[0]}
        ratios = [turn["rate"] / yard["rate"] for turn, yard in zip(several, described["bare"], strict=True)]
        print(
            f"{clients:>7}  {endpoint:22} {name:16} {middle['rate']:>9.0f} {statistics.median(ratios):>6.2f} "
            f"{middle['p50']:>7.2f} {middle['p99']:>7.2f} {middle['cpu']:>7.0f}"
            + ("  NOT ALL ANSWERED 200" if any(turn["bad"] for turn in several) else ""),
            flush=True,
        )
    return first


def measure(options: argparse.Namespace) -> None:
    """The first endpoint with few clients and many, then the others with many."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as base:
        servers = {name: stack.enter_context(running(__file__, name)) for name in ("bare", "reading")}
        homes = {"daemon": ("plan", "salesforce", "strex"), "daemon, planning": ("salesforce", "strex")}
        for name, held in homes.items():
            home = Path(base) / name
            home.mkdir()
            servers[name] = stack.enter_context(daemon(write_config(home), *held))
        print(
            f"{'clients':>7}  {'endpoint':22} {'':16} {'answers/s':>9} {'ratio':>6} {'p50 ms':>7} {'p99 ms':>7} {'CPU us':>7}"
        )
        first = 0
        for clients in options.clients:
            first = turns(servers, options.endpoints[0], clients, options.seconds, options.rounds, first)
        # The mappings at hand are Strex's: planning says nothing of the other endpoints.
        del servers["daemon, planning"]
        for endpoint in options.endpoints[1:]:
            first = turns(servers, endpoint, MANY, options.seconds, options.rounds, first)
        for name in homes:
            refuse_unread(Path(base) / name / "connector.db")


def refuse_unread(path: Path) -> None:
    """A callback that was kept as unreadable is cheaper: such figures would say nothing."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    (unread,) = connection.execute("SELECT n FROM event_totals WHERE state = 'unreadable'").fetchone()
    connection.close()
    if unread:
        raise SystemExit(f"{unread} callbacks were not understood: the figures above are worth nothing")


if __name__ == "__main__":
    if sys.argv[1:] in (["bare"], ["reading"]):
        asyncio.run(bare() if sys.argv[1:] == ["bare"] else reading())
    elif sys.argv[1:2] == ["load"]:
        url, endpoint, clients, seconds, first = sys.argv[2:]
        print(json.dumps(asyncio.run(load(url, endpoint, int(clients), float(seconds), int(first)))))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--seconds", type=float, default=4.0, help="of a turn")
        parser.add_argument("--rounds", type=int, default=3, help="turns of each")
        parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, MANY])
        parser.add_argument("--endpoints", nargs="+", choices=CALLS, default=list(CALLS))
        measure(parser.parse_args())
