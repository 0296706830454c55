"""An operator's actions on the running process: SIGTERM, SIGHUP, and a second start on the same database."""

import asyncio
import signal

from flow.crowd import report

DONOR = "+4790000001"
SLOW = 3.0  # seconds that Salesforce takes: longer than the listeners linger, so that the delivery itself is waited for
UNDER_WAY = "SELECT 1 FROM inbox WHERE state IN ('pending', 'delivering')"
BESIDES = """
on: strex.delivery_report
rules:
  - name: {name}
    when: {{action: {action}}}
    do:
      - upsert: Contact
        key: {{SMS_Key__c: "{{msisdn}}"}}
        set: {{LastName: {name}}}
"""


async def test_sigterm_finishes_what_it_holds(world, service):
    await service.start()
    await world.fault(world.salesforce, fault="slow", seconds=SLOW, times=1, only="writes")
    await service.callback(report(1, 1))
    await world.until(lambda: struck(world))
    assert service.asked("SELECT state FROM units") == [("claimed",)]
    assert await service.stop() == 0
    assert service.asked("SELECT state FROM units UNION SELECT state FROM inbox") == [("delivered",)]
    assert (await world.contact(DONOR))["SMS_Monthly_Amount__c"] == 10
    assert not (service.path.with_name("c.db-wal")).exists()


async def struck(world):
    (fault,) = (await world.get(f"{world.salesforce}/_sandbox/faults"))["faults"]
    return fault["fired"]


async def test_what_is_answered_while_it_stops_is_stored(world, service):
    answered, enough = [], asyncio.Event()

    async def sender(person):
        for turn in range(1, 1000):
            await service.callback(report(person, turn))
            answered.append(f"t-{person}-{turn}")
            if len(answered) > 100:
                enough.set()

    await service.start()
    senders = [asyncio.create_task(sender(person)) for person in range(8)]
    await enough.wait()
    assert await service.stop() == 0
    for one in senders:
        one.cancel()
    await asyncio.wait(senders)
    kept = {row[0] for row in service.asked("SELECT json_extract(event, '$.transaction_id') FROM inbox")}
    assert set(answered) <= kept
    assert service.asked("SELECT count(*) FROM units WHERE state = 'claimed'") == [(0,)]


async def test_a_second_one_on_the_same_file_is_refused_with_the_pid_of_the_first(world, service):
    await service.start()
    code, said = await service.second()
    assert code == 3
    assert f"process {service.pid}" in said
    await service.callback(report(1, 1))
    assert await service.stop() == 0
    # A lock that was left lying by a kill is nobody's.
    await service.start()
    await service.kill()
    await service.start()
    assert await service.stop() == 0


async def test_sighup_takes_good_mappings_and_refuses_bad_ones_as_a_whole(world, service):
    mappings = world.base / "mappings"

    async def reload(words):
        since = len(service.lines)
        service.signal(signal.SIGHUP)
        return await service.emitted(words, since)

    async def name_after(action, turn):
        body = report(1, turn)
        await service.callback({**body, "properties": {**body["properties"], "SystemAction": action}})
        await world.until(lambda: not service.asked(UNDER_WAY))
        return (await world.contact(DONOR))["LastName"]

    await service.start()
    assert await name_after("First", 1) == "Unknown"

    (mappings / "first.yaml").write_text(BESIDES.format(name="Firstly", action="First"))
    accepted = await reload("reloaded the mappings")
    assert await name_after("First", 2) == "Firstly"

    (mappings / "second.yaml").write_text(BESIDES.format(name="Secondly", action="Second"))
    (mappings / "third.yaml").write_text(BESIDES.format(name="Thirdly", action="Third").replace("upsert", "upset"))
    refused = await reload("reload rejected")
    assert (refused["level"], refused["version"]) == ("error", accepted["version"])
    assert await name_after("Second", 3) == "Firstly"
    assert await name_after("First", 4) == "Firstly"

    (mappings / "third.yaml").unlink()
    await reload("reloaded the mappings")
    assert await name_after("Second", 5) == "Secondly"
    assert await service.stop() == 0


async def test_a_database_that_is_deleted_underneath_ends_the_process_within_seconds_and_the_next_one_goes_on(
    world, service
):
    await service.start()
    await service.callback(report(1, 1))
    for ending in ("", "-wal", "-shm"):
        service.path.with_name(f"c.db{ending}").unlink()
    # Nothing comes in: it looks by itself.
    async with asyncio.timeout(30):
        assert await service.ended() == 3
    assert b"c.db was deleted or moved away" in service.said.splitlines()[-1]
    await service.start()
    await service.emitted("c.db was missing, so a new, empty database was created")
    await service.callback(report(1, 2))
    assert service.asked("SELECT count(*) FROM inbox") == [(1,)]
    assert await service.stop() == 0
