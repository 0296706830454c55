"""kill -9 of `connector salesforce backfill` during 20,000 contacts: the same command continues, and writes each once."""

import asyncio
import json
import os
import sys
from collections import Counter

from flow.world import TIMEOUT

CONTACTS = 20_000
DONE = 5_000  # when it is killed


async def start(world):
    words = ("--config", str(world.base / "config.yaml"), "salesforce", "backfill", "--write", "--yes", "--json")
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "connector", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )


async def written(world):
    rows = await world.get(f"{world.salesforce}/_sandbox/history?object=Contact")
    return Counter(entry["id"] for entry in rows["history"] if entry["action"] == "updated")


async def test_the_same_command_goes_on_after_kill_9(world):
    fields = {"LastName": "Donor ######", "MobilePhone": ["+47 9## ## ###", "9#######", "00479#######"]}
    await world.post(f"{world.salesforce}/_sandbox/seed/Contact", {"count": CONTACTS, "fields": fields})
    # The query is the first piece of work that the org does, and then come the contacts in thousands.
    await world.fault(world.salesforce, fault="job_held", after=1 + DONE // 1000)
    first = await start(world)
    await world.until(lambda: _count(world, DONE), "the job is in the middle")
    first.kill()
    await asyncio.wait_for(first.communicate(), TIMEOUT)
    assert (world.base / "c.backfill").exists()
    await world.no_faults(world.salesforce)

    second = await start(world)
    out, said = await asyncio.wait_for(second.communicate(), TIMEOUT)
    assert second.returncode == 0, said
    assert b"Continuing" in said
    assert json.loads(out)["counts"] == {"written": CONTACTS}
    assert not (world.base / "c.backfill").exists()
    times = await written(world)
    assert (len(times), set(times.values())) == (CONTACTS, {1})
    keys = {row["SMS_Key__c"] for row in await world.records()}
    assert keys == {f"+479{number:07}" for number in range(CONTACTS)}
    requests = (await world.get(f"{world.salesforce}/_sandbox/stats"))["requests"]
    assert (requests["POST /jobs/query"], requests["POST /jobs/ingest"]) == (1, 1)
    assert b"+47" not in said


async def _count(world, wanted):
    return sum((await written(world)).values()) == wanted
