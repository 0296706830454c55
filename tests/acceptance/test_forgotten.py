"""The daemon as a process: after a person is forgotten, they are in no byte of its files, its log and its metrics."""

import asyncio
from datetime import UTC, datetime

from acceptance.test_privacy import CANARIES, DONOR, canaries, idle, what_arrives
from flow.world import SECRETS

from connector.store.backups import make_backup

PERSON = [one for one in CANARIES if one not in SECRETS.values()]


async def test_a_forgotten_person_is_in_no_file_log_or_metric(world, service):
    config = world.base / "config.yaml"
    config.write_text(f"logs: {{level: debug, format: json}}\n{config.read_text()}")
    await service.start()
    dials = {name: f"{service.url}/hooks/strex/{name[:-4]}/{SECRETS['HOOK_SECRET']}" for name in ("mo_url", "dlr_url")}
    await world.post(f"{world.strex}/_sandbox/config", dials, method="PUT")
    await what_arrives(world, service)
    assert found(world)
    await world.bin((await world.contact(DONOR))["id"])  # the charity erases it in the CRM first

    said = await command(world, service, "person_forget", {"phone": "0047 900 00 321", "confirm": True})
    assert (said["finished"], said["log_emptied"]) == (True, True), said
    async with world.http.get(f"{service.admin_url}/metrics") as response:
        metrics = await response.text()
    await asyncio.to_thread(make_backup, service.path, world.base / "after.db", now=datetime.now(UTC))
    assert found(world) == set()
    assert idle(service)
    assert await service.stop() == 0
    assert found(world) == set()
    assert [line for line in service.said.decode().splitlines() if canaries(line)] == []
    assert canaries(metrics) == []


def found(world):
    """What of the person is in which file beside the config, byte for byte."""
    files = [one for one in world.base.iterdir() if one.is_file()]
    return {(one.name, word) for one in files for word in PERSON if word.encode() in one.read_bytes()}


async def command(world, service, name, payload):
    token = (world.base / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with world.http.post(f"{service.admin_url}/admin/{name}", json=payload, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()
