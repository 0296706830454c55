"""What a claim costs beside a million units that wait behind a blocked one, and beside none.

`python benchmarks/claims.py [--blocked 1000000] [--claims 300]`. See README.md.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scene import number

from connector.model.operation import RecordWrite
from connector.model.states import EventState, UnitState
from connector.store.store import Store
from connector.store.units import NewUnit, Planned, Settlement

SINK = "salesforce"
LANES = 1000  # people whose first unit rests, with the blocked units behind them
AHEAD = 50  # units that are ready while a claim is measured
TAKEN = 10  # units a claim

READY = """INSERT INTO inbox (id, key, provider, shape, verdict, received_at, state)
    VALUES (?, ?, 'strex', 'delivery_report', 'none', 0, 'pending')"""
BLOCKED = """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :blocked)
    INSERT INTO inbox (id, key, provider, shape, verdict, received_at, state)
    SELECT :first + i, 'blocked-' || i, 'strex', 'delivery_report', 'none', 0, 'delivering' FROM n"""
BEHIND = """INSERT INTO units (event_id, sink, lane, state, open, urgent, alone, operations, size)
    SELECT id, :sink, '+4790000' || printf('%06d', id % :lanes), 'waiting', 1, 0, 1, '[]', 1 FROM inbox WHERE id > :first"""


class Bench:
    """A store, and units that come and go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now = datetime.now(UTC)
        self._start = "bench"

    async def put(self, people: list[int]) -> None:
        """Units of these people, ready."""
        write = RecordWrite(sink=SINK, object="Contact", key_field="SMS_Key__c", key="k", set={"LastName": "x"})
        (last,) = await self._store.writer.run(lambda c: c.execute("SELECT coalesce(max(id), 0) FROM inbox").fetchone())
        ids = list(range(last + 1, last + 1 + len(people)))
        await self._store.writer.run(
            lambda c: c.executemany(
                READY,
                [(event, f"ready-{event}") for event in ids],
            )
        )
        plans = [
            Planned(
                event_id=event,
                state=EventState.DELIVERING,
                units=(NewUnit(sink=SINK, lane=number(person), operations=(write,)),),
            )
            for event, person in zip(ids, people, strict=True)
        ]
        await self._store.plans.commit(plans, now=self._now)

    async def block(self, blocked: int) -> None:
        """A million units behind people whose first unit rests for a day."""
        await self.put(list(range(LANES)))
        while units := await self._store.outbox.claim(SINK, LANES, self._start, self._now):
            resting = [Settlement(unit_id=one.id, state=UnitState.RESTING, delay=timedelta(days=1)) for one in units]
            await self._store.outbox.settle(resting, now=self._now)
        (first,) = await self._store.writer.run(lambda c: c.execute("SELECT max(id) FROM inbox").fetchone())
        names = {"blocked": blocked, "first": first, "sink": SINK, "lanes": LANES}
        await self._store.writer.run(lambda c: c.execute(BLOCKED, names) and None)
        await self._store.writer.run(lambda c: c.execute(BEHIND, names) and None)

    async def cost(self, claims: int) -> list[float]:
        """Milliseconds of each of many claims, the units of which are settled as delivered."""
        times = []
        for turn in range(claims):
            await self.put([LANES + turn * AHEAD + n for n in range(AHEAD)])
            while True:
                began = time.perf_counter()
                units = await self._store.outbox.claim(SINK, TAKEN, self._start, self._now)
                took = time.perf_counter() - began
                if not units:
                    break
                times.append(1000 * took)
                done = [Settlement(unit_id=one.id, state=UnitState.DELIVERED, done=(0,)) for one in units]
                await self._store.outbox.settle(done, now=self._now)
        return times


async def measure(base: Path, blocked: int, claims: int) -> None:
    """Both in turns, so that a busy moment of the machine meets both."""
    stores = {"none blocked": Store.open(base / "none.db"), f"{blocked:,} blocked": Store.open(base / "many.db")}
    benches = {name: Bench(store) for name, store in stores.items()}
    await list(benches.values())[1].block(blocked)
    times: dict[str, list[float]] = {name: [] for name in benches}
    for _ in range(10):
        for name, bench in benches.items():
            times[name] += await bench.cost(claims // 50)
    middles = [statistics.median(several) for several in times.values()]
    for (name, several), middle in zip(times.items(), middles, strict=True):
        p90 = sorted(several)[len(several) * 9 // 10]
        print(f"{name:20} {middle:6.2f} ms a claim of {TAKEN}, p90 {p90:6.2f} ms, {middle / middles[0]:.2f} times")
    for store in stores.values():
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocked", type=int, default=1_000_000)
    parser.add_argument("--claims", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        asyncio.run(measure(Path(base), options.blocked, options.claims))


if __name__ == "__main__":
    main()
