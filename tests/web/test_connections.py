"""No stranger gets a connection beyond the limits, or a reserved file descriptor."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from ipaddress import ip_network

import pytest
from web.listening import POST

from connector.telemetry.log_events import TOO_MANY_CONNECTIONS, Lifecycle, RequestRejected
from connector.web.connections import LEAST_CONNECTIONS, RESERVED_DESCRIPTORS, UNIX, Connections

BEGUN = b"Content-Length: 500\r\n\r\nx"
FAR = "192.0.2.%d"


@contextlib.asynccontextmanager
async def slow(port, request, number):
    """So many connections that have sent the head and one byte."""
    writers = []
    try:
        for _ in range(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            await writer.drain()
            writers.append((reader, writer))
        yield writers
    finally:
        for _, writer in writers:
            writer.close()


async def status(reader):
    async with asyncio.timeout(30):
        return int((await reader.readline()).split()[1])


async def until_served(port, request):
    """Ask again, on new connections, until there is room for one."""
    for _ in range(10_000):
        async with slow(port, request, 1) as ((reader, _),):
            with contextlib.suppress(ConnectionError, IndexError):
                if await status(reader) == 200:
                    return
    pytest.fail("no connection was taken again")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def limited():
    facts, clock = [], Clock()

    def make(most=5, of_one=2, proxies=()):
        made = Connections(most=most, of_one_address=of_one, emit=facts.append, monotonic=clock, proxies=proxies)
        made.facts, made.clock = facts, clock
        return made

    return make


def test_the_number_of_connections_is_limited_by_address_and_in_total(limited):
    connections = limited(most=LEAST_CONNECTIONS)
    connections.most = 5
    assert [connections.enter(FAR % 1) for _ in range(3)] == [True, True, False]
    assert [connections.enter("127.0.0.1") for _ in range(4)] == [True, True, True, False]
    connections.leave("127.0.0.1")
    assert connections.enter(FAR % 2)
    connections.leave(FAR % 1)
    assert connections.enter(FAR % 1)


def test_a_trusted_proxy_may_have_all_connections(limited):
    connections = limited(most=50, of_one=1, proxies=[ip_network("192.0.2.1/32")])
    assert all(connections.enter(FAR % 1) for _ in range(50))
    assert not connections.enter(FAR % 1)


def test_callers_on_a_unix_socket_may_have_all_connections(limited):
    connections = limited(most=50, of_one=1)
    assert all(connections.enter(UNIX) for _ in range(50))


def test_addresses_of_one_ipv6_network_count_together(limited):
    connections = limited(most=50, of_one=2)
    assert [connections.enter(f"2001:db8::{number}") for number in (1, 2, 3)] == [True, True, False]
    assert connections.enter("2001:db8:1::1")


def test_refused_connections_are_counted_and_logged_once_a_minute(limited):
    connections = limited(of_one=1)
    connections.enter(FAR % 1)

    def lines():
        return [fact.details["times"] for fact in connections.facts if isinstance(fact, Lifecycle)]

    for _ in range(10):
        assert not connections.enter(FAR % 1)
    assert lines() == ["1"]
    connections.clock.now += 60
    connections.enter(FAR % 1)
    assert lines() == ["1", "10"]
    counted = [fact for fact in connections.facts if isinstance(fact, RequestRejected)]
    assert len(counted) == 11
    assert {fact.why for fact in counted} == {TOO_MANY_CONNECTIONS}


def test_only_missing_descriptors_are_reported_as_such(limited):
    connections = limited()
    assert not connections.not_accepted(ValueError())
    assert not connections.not_accepted(OSError(13, "no right"))
    assert connections.not_accepted(OSError(24, "too many open files"))
    assert any(isinstance(fact, Lifecycle) and "file descriptor" in fact.message for fact in connections.facts)


def test_the_limit_leaves_descriptors_in_reserve(limited):
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limited(most=10**6).most == files - RESERVED_DESCRIPTORS


async def test_a_connection_over_the_limit_gets_503_and_the_next_is_served(app):
    here = await app()
    here.limit(most=16)
    async with slow(here.port, POST + BEGUN, 16):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        assert await status(reader) == 503
        writer.close()
    await until_served(here.port, POST + b"Content-Length: 1\r\n\r\nx")


SCARCE = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from datetime import timedelta
from aiohttp import web
from connector.web.listener import Listener
from connector.web.connections import Connections

async def handle(request):
    return web.Response(text="ok")

async def main():
    facts = []
    limit = Connections(most=1000, of_one_address=1000, emit=facts.append, monotonic=asyncio.get_running_loop().time)
    limit.most = 1000  # as if the reserve had been used up by something else
    listener = Listener(handle, host="127.0.0.1", port=0, linger=timedelta(0), connections=limit)
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(await listener.start(), flush=True)
    while not any("descriptor" in getattr(fact, "message", "") for fact in facts):
        await asyncio.sleep(0.05)
    print("told", flush=True)
    await end
    print(sum("descriptor" in getattr(fact, "message", "") for fact in facts), flush=True)
    await listener.stop()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_missing_descriptors_make_one_log_line_and_connections_resume():
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCARCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        port = int((await done.stdout.readline()).decode().strip().rsplit(":", 1)[1])
        async with slow(port, b"GET / HTTP/1.1\r\n", 100):
            assert (await done.stdout.readline()).strip() == b"told"
        await until_served(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        out, err = await done.communicate(b"\n")
        assert (out.strip(), err) == (b"1", b"")
    finally:
        if done.returncode is None:
            os.kill(done.pid, signal.SIGKILL)
            await done.wait()
