import random
import signal
import subprocess
import sys

import pytest

from connector.store.store import Store

pytestmark = pytest.mark.slow

ROUNDS = 12
# Sixteen callers keep events, one in ten a repeat, and say each key only when it was answered.
KEEPER = """
import asyncio, os, sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from connector.model.event import Event
from connector.store.inbox import Entry
from connector.store.store import Store

ROUND, NOW, NUMBERS = sys.argv[2], datetime(2026, 11, 22, tzinfo=UTC), count()

def entry(key):
    event = Event(key=key, provider="strex", shape="message", received_at=NOW)
    return Entry(key=key, provider="strex", shape="message", msisdn=None, received_at=NOW, event=event, raw=b"x" * 700)

async def caller(store):
    while True:
        key = f"{ROUND}-{next(NUMBERS)}"
        entries = [entry(key), entry(key)] if hash(key) % 10 == 0 else [entry(key)]
        await store.inbox.keep(entries)
        os.write(1, f"{key}\\n".encode())

async def main():
    store = Store.open(Path(sys.argv[1]))
    await asyncio.gather(*(caller(store) for _ in range(16)))

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", [1])
async def test_no_answered_event_is_lost_when_the_process_is_killed(tmp_path, seed):
    path, dice, answered = tmp_path / "c.db", random.Random(seed), set()
    for turn in range(ROUNDS):
        with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop that could wait for it.
            [sys.executable, "-c", KEEPER, str(path), str(turn)], stdout=subprocess.PIPE, text=True
        ) as keeper:
            for _ in range(dice.randrange(1, 400)):
                answered.add(keeper.stdout.readline().strip())
            keeper.send_signal(signal.SIGKILL)
            answered.update(line.strip() for line in keeper.stdout if line.endswith("\n"))
    store = Store.open(path)
    keys = await store.writer.run(lambda connection: connection.execute("SELECT key FROM inbox").fetchall())
    assert answered
    assert answered <= {key for (key,) in keys}
    assert store.inbox.received() == len(keys) == sum(store.inbox.counts().values())
    await store.close()
