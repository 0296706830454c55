"""How long the console's screens take beside many stored events and a daemon that takes callbacks, and what its use costs these.

`python benchmarks/console.py [--events 1000000] [--rate 500] [--pause 0.2] [--rounds 3] [--home DIRECTORY]`. See README.md.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
from callbacks import CALLS
from scene import SECRETS, daemon, report, sandbox, write_config

from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.pipeline.plan import Planner
from connector.pipeline.receive import entry
from connector.registry import build_providers, load_config, load_rules
from connector.store.inbox import Entry
from connector.store.store import Store
from connector.store.units import Settlement

DAYS = 90  # over which the events have come
PEOPLE = 200_000
CHUNK = 50_000  # events in one transaction
CLIENTS = 16
ENDPOINT = "strex/dlr"
# The first events are made by the pipeline, one for each of these; all others are copies of them. One event of a
# thousand cannot be read, and one of ten thousand is a dead letter.
ACTIONS = (b"Subscribe", b"AlterPrice", b"Recurring", b"Unsubscribe", None, b"Subscribe")
DEAD = len(ACTIONS)
NUMBER = "'4790000' || printf('%06d', n.i % :people)"
COPIED = """FROM n CROSS JOIN {table} AS one
    ON one.{id} = CASE WHEN n.i % 10000 = 7 THEN 6 WHEN n.i % 1000 = 5 THEN 5 ELSE 1 + n.i % 4 END"""
COUNT = "WITH RECURSIVE n (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
EVENTS = f"""{COUNT} INSERT INTO inbox
    (id, key, provider, shape, verdict, msisdn, received_at, state, detail, reason, mapping, event, raw, meaning)
    SELECT n.i, printf('%08x-%d', n.i * 2654435761 & 0xFFFFFFFF, n.i), provider, shape, verdict,
    CASE WHEN msisdn IS NOT NULL THEN '+' || {NUMBER} END,
    :began + n.i * :step, state, detail, reason, mapping, replace(event, substr(one.msisdn, 2), {NUMBER}), raw, n.i
    {COPIED.format(table="inbox", id="id")}"""
UNITS = f"""{COUNT} INSERT INTO units (event_id, sink, lane, state, open, urgent, alone, operations, size, settled_at, reason, detail)
    SELECT n.i, sink, '+' || {NUMBER}, state, open, urgent, alone, replace(operations, substr(one.lane, 2), {NUMBER}), size,
    settled_at, reason, detail {COPIED.format(table="units", id="event_id")}"""
TOTALS = """UPDATE event_totals SET n = (SELECT count(*) FROM inbox
    WHERE inbox.state = event_totals.state OR event_totals.state = 'received')"""


def _unreadable(at: datetime) -> Entry:
    body = b'{"transactionId": '
    about = {"provider": "strex", "shape": "delivery_report", "msisdn": None, "event": None}
    return Entry(key="unreadable", received_at=at, raw=body, unreadable="it is not JSON", **about)


async def fill(config: Path, number: int) -> None:
    """A database with so many events of the last weeks, nearly all of them delivered."""
    loaded = load_config(config)
    reader = next(one for one in build_providers(loaded)["strex"].endpoints if one.name == "dlr").reader
    store = Store.open(config.with_name("connector.db"))
    now = datetime.now(UTC)
    for serial, action in enumerate(ACTIONS):
        at = now - timedelta(days=DAYS)
        if action is None:
            await store.inbox.keep([_unreadable(at)])
            continue
        body = report(serial, serial).replace(b"AlterPrice", action)
        await store.inbox.keep([entry(reader.delivery_report(body, at), body)])
        planner = Planner(store, configured=(), max_people=50)
        planned, _ = planner([(one.id, one.event) for one in store.inbox.pending(1)], load_rules(loaded))
        await store.plans.commit(planned, now=now)
        about = {"reason": Reason.TOO_LONG, "detail": "too long"} if serial + 1 == DEAD else {}
        state = UnitState.DEAD if about else UnitState.DELIVERED
        units = await store.outbox.claim("salesforce", 10, "fill", now)
        await store.outbox.settle([Settlement(unit_id=one.id, state=state, **about) for one in units], now=now)
    about = {
        "people": PEOPLE,
        "began": int((now - timedelta(days=DAYS)).timestamp() * 1e6),
        "step": int(timedelta(days=DAYS).total_seconds() * 1e6) // number,
    }
    for first in range(len(ACTIONS) + 1, number + 1, CHUNK):
        part = {**about, "first": first, "last": min(first + CHUNK - 1, number)}
        await store.writer.run(lambda connection: [connection.execute(one, part) for one in (EVENTS, UNITS)] and None)  # noqa: B023 - it is awaited.
    await store.writer.run(lambda connection: connection.execute(TOTALS) and None)
    await store.close()


async def load(url: str, rate: float, seconds: float, first: int) -> dict[str, float]:
    """Send so many callbacks a second, each at its time, over connections that are kept; what came of them."""
    parts = urlsplit(url)
    took: list[float] = []
    began = time.perf_counter()
    serials = iter(range(first, first + int(rate * seconds)))

    async def one_client() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for serial in serials:
            await asyncio.sleep(began + (serial - first) / rate - time.perf_counter())
            sent = time.perf_counter()
            writer.write(CALLS[ENDPOINT].bytes(parts.netloc, serial))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            if not head.startswith(b"http/1.1 200"):
                raise SystemExit(f"a callback was answered by {head.splitlines()[0]!r}")
            took.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(one_client() for _ in range(CLIENTS)))
    spent = time.perf_counter() - began
    took.sort()
    middle, late = took[len(took) // 2], took[len(took) * 99 // 100]
    return {"rate": len(took) / spent, "p50": 1000 * middle, "p99": 1000 * late}


def loading(url: str, rate: float, seconds: float, first: int) -> "subprocess.Popen[str]":
    """The load in a process of its own."""
    command = [sys.executable, __file__, "load", url, str(rate), str(seconds), str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class Browser:
    """Somebody who is signed in: asks a page, and reads it whole."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._base = base

    async def sign_in(self, token: str) -> None:
        """By a one-time link."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.post(f"{self._base}/admin/console_login", json={}, headers=headers) as answer:
            link = parse_qs(urlsplit((await answer.json())["url"]).query)["link"][0]
        form = {"link": link}
        headers = {"Sec-Fetch-Site": "same-origin"}
        async with self._http.post(f"{self._base}/console/sign-in", data=form, headers=headers) as answer:
            await answer.read()

    async def ask(self, path: str) -> float:
        """The milliseconds until the page is there."""
        began = time.perf_counter()
        async with self._http.get(f"{self._base}{path}", allow_redirects=False) as answer:
            await answer.read()
            if not answer.ok:
                raise SystemExit(f"{path} was answered by {answer.status}")
        return 1000 * (time.perf_counter() - began)


def screens(database: Path, person: str, newest: int) -> dict[str, str]:
    """Every screen, and the events by each kind of filter."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        dead, unread = (
            connection.execute("SELECT max(id) FROM inbox WHERE id <= ? AND state = ?", (newest, state)).fetchone()[0]
            for state in ("dead", "unreadable")
        )
    events = "/console/events"
    return {
        "now": "/console/now",
        "now, the polled part": "/console/now/summary",
        "events": events,
        "events, older": f"{events}?before={newest // 2}",
        "events, dead": f"{events}?state=dead",
        "events, delivering": f"{events}?state=delivering",
        "events, of a keyword": f"{events}?keyword=KATT",
        "events, of a rule": f"{events}?rule=strex-subscription.yaml%3A+gift+received",
        "events, of a week": f"{events}?since=30d&until=23d",
        "events, of a person": f"{events}?person={person}",
        "events, a text that none has": f"{events}?text=nowhere",
        "events, a rule that none has": f"{events}?rule=nowhere",
        "one event": f"{events}/{newest}",
        "one event, dead": f"{events}/{dead}",
        "one event, unreadable": f"{events}/{unread}",
        "a person": f"/console/people/{person}",
        "what needs you": "/console/needs",
        "audit log": "/console/audit",
        "mappings": "/console/mappings",
    }


async def measure(options: argparse.Namespace, base: Path) -> None:
    """Fill, run, ask."""
    with sandbox() as crm:
        shutil.rmtree(base / "mappings", ignore_errors=True)  # of an earlier run
        config = write_config(base, url=crm.url)
        port = free_port()
        text = config.read_text().partition("\nadmin:")
        config.write_text(f"{text[0]}\nadmin: {{port: {port}}}\n{text[2].partition(chr(10))[2]}")
        database = base / "connector.db"
        if not database.exists():
            began = time.perf_counter()
            await fill(config, options.events)
            print(f"{options.events} events were stored in {time.perf_counter() - began:.0f} s", flush=True)
        with daemon(config) as server:
            await ask_all(options, server, f"http://127.0.0.1:{port}", database)


async def ask_all(options: argparse.Namespace, server, admin: str, database: Path) -> None:
    """The screens with and without callbacks, and the callbacks with and without the console."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (newest,) = connection.execute("SELECT max(id) FROM inbox").fetchone()
    serial = newest * 2
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        browser = Browser(http, admin)
        await browser.sign_in(database.with_name("admin-token").read_text().strip())
        person = await person_of(http, admin, newest)
        pages = {
            name: path for name, path in screens(database, person, newest).items() if await there(http, admin, path)
        }
        took = {name: [] for name in pages}
        rounds: list[list[dict[str, float]]] = []
        for _ in range(options.rounds):
            turns: list[dict[str, float]] = []
            for beside in (False, True):
                began, worked = time.perf_counter(), server.cpu()
                process = loading(server.url, options.rate, options.seconds, serial)
                serial += int(options.rate * options.seconds)
                ending = asyncio.create_task(asyncio.to_thread(process.communicate))
                while beside and not ending.done():
                    for name, path in pages.items():
                        took[name].append(await browser.ask(path))
                        await asyncio.sleep(options.pause)
                        if ending.done():
                            break
                turns.append(json.loads((await ending)[0]))
                turns[-1]["cpu"] = (server.cpu() - worked) / (time.perf_counter() - began)
            rounds.append(turns)
    show(took, rounds)


def show(took: dict[str, list[float]], rounds: list[list[dict[str, float]]]) -> None:
    """Print the figures."""
    print(f"{'screen':32} {'median ms':>9} {'p99 ms':>8} {'asked':>6}")
    for name, times in took.items():
        times.sort()
        print(f"{name:32} {statistics.median(times):>9.0f} {times[len(times) * 99 // 100]:>8.0f} {len(times):>6}")
    for turns in rounds:
        for name, one in zip(("without the console", "beside it"), turns, strict=True):
            print(
                f"callbacks/s {name:19} {one['rate']:.0f} (p50 {one['p50']:.1f}, p99 {one['p99']:.0f} ms), "
                f"CPU of the daemon {one['cpu']:.2f} of a core"
            )
    ratio = statistics.median(beside["rate"] / alone["rate"] for alone, beside in rounds)
    print(f"median ratio of the callbacks/s {ratio:.2f}")


async def person_of(http: aiohttp.ClientSession, admin: str, event_id: int) -> str:
    """The opaque id of the person whom an event is about."""
    async with http.get(f"{admin}/console/events/{event_id}") as answer:
        csrf = (await answer.text()).partition('name="csrf" value="')[2][:64]
    form, headers = {"csrf": csrf}, {"Sec-Fetch-Site": "same-origin"}
    path = f"{admin}/console/events/{event_id}/person"
    async with http.post(path, data=form, headers=headers, allow_redirects=False) as answer:
        return answer.headers["Location"].rpartition("/")[2]


async def there(http: aiohttp.ClientSession, admin: str, path: str) -> bool:
    """Whether there is such a page; it is warm then."""
    async with http.get(f"{admin}{path}") as answer:
        await answer.read()
        return answer.ok


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=500.0, help="callbacks a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns without the console and beside it")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two pages")
    parser.add_argument("--home", type=Path, help="a directory that is kept: its database is used again")
    options = parser.parse_args()
    os.environ.update(SECRETS)
    with tempfile.TemporaryDirectory() as temporary:
        home = options.home or Path(temporary)
        home.mkdir(exist_ok=True)
        asyncio.run(measure(options, home))


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        url, rate, seconds, first = sys.argv[2:]
        print(json.dumps(asyncio.run(load(url, float(rate), float(seconds), int(first)))))
    else:
        main()
