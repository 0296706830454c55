"""Kills the charging process at random moments (`kill -9`) and compares the sandbox's books with what may be taken.

    python tests/charging/kills.py --kills 2000

The sandbox runs in a process of its own and outlives every kill. A child process opens the database and charges the
donors of one month; it is killed, and the next one goes on. When a month is done, the clock goes to the next one. Between
the kills some donors opt out and some join again. Prints one JSON document, and exits with 1 if anybody was charged twice
in a month, charged after an opt-out, or forgotten.
"""

import argparse
import asyncio
import json
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import sqlite_utils  # noqa: E402, F401 - each child needs it, and must not load it again.
from charging.scene import KEYWORD, NAME, OSLO, SERVICE, Clock, Scene, rules  # noqa: E402 - the paths come first.

from connector.delivery.http_client import FixedCredentials, Transport  # noqa: E402 - the same.
from connector.sandbox.messagecloud import app as messagecloud  # noqa: E402 - the same.
from connector.sandbox.serve import serving  # noqa: E402 - the same.

DONORS = 40
FIRST = datetime(2026, 1, 10, 11, 0, tzinfo=UTC)
DONE = 0
LONGEST = 0.12  # seconds from the child's start to the kill; opening the database takes about a tenth of it


class SharedClock:
    """Unix time that all processes share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def set(self, moment: datetime) -> None:
        self._memory[:8] = struct.pack("d", moment.timestamp())

    def __call__(self) -> float:
        return struct.unpack("d", self._memory[:8])[0]


def forked(work) -> int:
    """Run `work` in a child process; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        asyncio.run(work())
        os._exit(DONE)
    except Exception as error:  # noqa: BLE001 - a child must not go on with the parent's work.
        sys.stderr.write(f"child: {type(error).__name__}: {error}\n")
    os._exit(1)


async def sandbox(clock, pipe) -> None:
    """Serve MessageCloud until the process is killed."""
    app = messagecloud.build(clock=clock)
    async with serving(app) as url:
        os.write(pipe, url.encode())
        await asyncio.Event().wait()


async def charging(path, url, now, *, joining=(), stopping=None, ready=None) -> None:
    """One life of the process: charge all that is due this month."""
    async with Transport() as transport:
        clock = Clock(now)
        scene = Scene(path, transport.client(FixedCredentials(url)), None, clock, rules(max_per_run=10_000))
        await scene.plan_charges()
        for phone in joining:
            await scene.join(phone)
        if stopping:
            await scene.stop(stopping)
        if ready is not None:
            os.write(ready, b"x")
        moved = 1
        while moved:
            clock.seconds = time.monotonic()
            moved = await scene.runner.step()
            await scene.approve()
            await scene.plan_charges()
            moved = moved or await scene.runner.step()
        await scene.store.close()


async def periods(path) -> dict[str, set[str]]:
    """The periods that each donor has an entry for."""
    scene = Scene(path, None, None, Clock(FIRST), rules())
    found: dict[str, set[str]] = {}
    states: Counter[str] = Counter()
    for one in scene.store.charges.listed(limit=10**6):
        found.setdefault(one.agreement.phone.e164, set()).add(one.period)
        states[one.state.value] += 1
    await scene.store.close()
    return found, states


class Kills:
    """The experiment."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.path = directory / "c.db"
        self.clock = SharedClock()
        self.now = FIRST
        self.clock.set(self.now)
        self.begun: dict[str, date] = {}
        self.stopped: dict[str, int] = {}  # number → how many entries the books had
        self.ended: dict[str, date] = {}
        reading, writing = os.pipe()
        self.sandbox = forked(lambda: sandbox(self.clock, writing))
        self.url = os.read(reading, 200).decode()
        self.faults: list[str] = []

    def books(self) -> list[dict]:
        with urllib.request.urlopen(f"{self.url}/_sandbox/taken") as answer:
            return json.load(answer)

    def life(self, *, kill: bool, joining=(), stopping=None) -> bool:
        """One life of the process; True if it was killed. `ready`: what the donors did is stored."""
        reading, writing = os.pipe()
        child = forked(
            lambda: charging(self.path, self.url, self.now, joining=joining, stopping=stopping, ready=writing)
        )
        os.close(writing)
        stored = os.read(reading, 1)
        os.close(reading)
        if stopping and stored:
            self.stopped[stopping] = len(self.books())
            self.ended[stopping] = self.now.astimezone(OSLO).date()
        if kill:
            time.sleep(self.random.uniform(0, LONGEST))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise SystemExit("a child failed: see above")
        return os.WIFSIGNALED(status)

    def run(self, kills: int) -> dict:
        numbers = [f"+4790000{number:03}" for number in range(100, 100 + DONORS)]
        self.life(kill=False, joining=numbers)
        self.begun = dict.fromkeys(numbers, self.now.astimezone(OSLO).date())
        done = months = 0
        self.next_month()
        while done < kills:
            killed = self.life(kill=True, stopping=self.leaver(numbers))
            done += killed
            if not killed:
                months += 1
                self.next_month()
        while self.life(kill=False):
            pass
        return self.verdict(done, months)

    def leaver(self, numbers: list[str]) -> str | None:
        """A donor who opts out; one who stays is always left."""
        staying = [one for one in numbers if one not in self.stopped]
        return self.random.choice(staying) if len(staying) > DONORS // 2 and self.random.random() < 0.01 else None

    def next_month(self) -> None:
        """Noon of the first day of the next month."""
        day = (self.now.astimezone(OSLO).date().replace(day=1) + timedelta(days=32)).replace(day=1)
        self.now = datetime(day.year, day.month, 1, 12, 0, tzinfo=OSLO).astimezone(UTC)
        self.clock.set(self.now)

    def verdict(self, kills: int, months: int) -> dict:
        books = self.books()
        counted = Counter((one["recipient"], one["created"][:7]) for one in books)
        twice = {f"{phone} {month}": n for (phone, month), n in counted.items() if n > 1}
        late = [one for place, one in enumerate(books) if place >= self.stopped.get(f"+{one['recipient']}", len(books))]
        found, states = asyncio.run(periods(self.path))
        forgotten = []
        for phone, begun in self.begun.items():
            month = begun.replace(day=1)
            while True:
                month = (month + timedelta(days=32)).replace(day=1)
                if month > self.now.astimezone(OSLO).date():
                    break
                if f"{month:%Y-%m}" not in found.get(phone, set()):
                    forgotten.append(f"{phone} {month:%Y-%m}")
        os.kill(self.sandbox, signal.SIGKILL)
        os.waitpid(self.sandbox, 0)
        return {
            "kills": kills,
            "months": months,
            "taken": len(books),
            "states": dict(states),
            "opted_out": len(self.stopped),
            "charged_twice": twice,
            "charged_after_opt_out": len(late),
            "forgotten": forgotten,
            "service": f"{NAME} {SERVICE} {KEYWORD}",
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        said = Kills(Path(directory), given.seed).run(given.kills)
    sys.stdout.write(json.dumps(said, indent=2) + "\n")
    return int(bool(said["charged_twice"] or said["charged_after_opt_out"] or said["forgotten"]))


if __name__ == "__main__":
    sys.exit(main())
