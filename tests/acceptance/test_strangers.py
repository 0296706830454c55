"""Strangers hold many connections: providers and the operator still get responses."""

import asyncio
import resource
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flow.crowd import report

STRANGERS = 400
HALF = b"POST /hooks/strex/dlr/no-secret HTTP/1.1\r\nHost: x\r\nX-A: "


@pytest.fixture
def few_files():
    """256 open files for a process that is started within; this one needs more for the strangers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_files(pid):
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


@asynccontextmanager
async def strangers(url):
    parts, writers = urlsplit(url), []
    for _ in range(STRANGERS):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(HALF)
        writers.append(writer)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


async def healthy(world, service):
    async with world.http.get(f"{service.admin_url}/healthz", headers={"Connection": "close"}) as answer:
        return answer.status == 200


async def test_silent_strangers_give_way_to_a_provider_where_few_files_may_be_opened(few_files, world, service):
    await service.start()
    few_files()
    async with strangers(service.url), asyncio.timeout(15):
        assert await healthy(world, service)
        await service.callback(report(1, 1))
    assert len([line for line in service.lines if line["level"] in {"warning", "error"}]) <= 1


async def test_out_of_descriptors_there_is_one_line_and_the_health_check_is_answered(world, service):
    await service.start()
    used = open_files(service.pid)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (used + 50, used + 50))
    async with strangers(service.url):
        line = await service.emitted("cannot accept connections")
        for _ in range(10):
            assert await healthy(world, service)
        async with world.http.get(f"{service.admin_url}/metrics") as answer:
            assert 'status="503",why="no file descriptor left"' in await answer.text()
    await service.callback(report(1, 1))
    assert line["level"] == "warning"
    assert "LimitNOFILE" in line["cure"]
    assert len([one for one in service.lines if "cannot accept connections" in one["message"]]) == 1
