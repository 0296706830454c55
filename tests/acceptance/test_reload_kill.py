"""kill -9 while a reload plans again what waits for a suspended rule: the next start plans the rest again."""

import asyncio
import signal
import sqlite3

from flow.crowd import report
from flow.world import ROOT

EVENTS = 500  # more than two transactions of planning again
RULE = """
on: strex.delivery_report
rules:
  - name: every report
    do:
      - upsert: SMS_Event__c
        key: {{Event_Key__c: "{{key}}"}}
        set: {{{field}: "{{action}}"}}
"""
KEPT = ("strex-subscription.yaml", "strex-messages.yaml", "salesforce-to-strex.yaml")
PLANNED = "SELECT mapping, count(*) FROM inbox JOIN units ON event_id = inbox.id GROUP BY 1 ORDER BY 2"


async def test_what_a_kill_has_left_is_planned_again_at_the_next_start(world, service):
    mappings = world.base / "mappings"
    for file in mappings.iterdir():
        file.unlink()
    for name in KEPT:
        (mappings / name).write_text((ROOT / "mappings" / name).read_text())
    (mappings / "log.yaml").write_text(RULE.format(field="Missing__c"))
    await service.start()
    for person in range(EVENTS):
        await service.callback(report(person, 1))
    await world.until(lambda: suspended(service) == EVENTS)
    ((old, _),) = service.asked(PLANNED)

    (mappings / "log.yaml").write_text(RULE.format(field="Action__c"))
    # Who holds the file's lock decides how far the daemon comes.
    lock = sqlite3.connect(service.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    service.signal(signal.SIGHUP)
    while len(lock.execute(PLANNED).fetchall()) == 1:
        lock.execute("ROLLBACK")
        await asyncio.sleep(0.001)
        lock.execute("BEGIN IMMEDIATE")
    planned = dict(lock.execute(PLANNED).fetchall())
    assert 0 < planned[old] < EVENTS
    await service.kill()
    lock.close()

    await service.start()
    await world.until(lambda: service.asked("SELECT DISTINCT state FROM inbox") == [("delivered",)])
    ((new, count),) = service.asked(PLANNED)
    assert (new != old, count) == (True, EVENTS)
    rows = await world.records("SMS_Event__c")
    assert (len(rows), {row["Action__c"] for row in rows}) == (EVENTS, {"AlterPrice"})
    assert await service.stop() == 0


def suspended(service):
    ((count,),) = service.asked("SELECT count(*) FROM units WHERE reason = 'configuration'")
    return count
