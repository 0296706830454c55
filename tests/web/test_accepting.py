"""Silent connections are closed, incomplete headers do not block, and the operator is served without a free descriptor."""

import asyncio
import re
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from web.listening import POST, until

from connector.web.connections import SpareDescriptors

EMPTY = POST + b"Content-Length: 0\r\n\r\n"
HEARD = b"\r\n\r\nOK"


@asynccontextmanager
async def connected(here, count, sent=b""):
    """Connections that have sent these bytes; their readers and writers."""
    pairs = []
    for _ in range(count):
        pairs.append(await asyncio.open_connection("127.0.0.1", here.port))
        pairs[-1][1].write(sent)
    try:
        yield pairs
    finally:
        for _, writer in pairs:
            writer.close()


async def is_closed(reader):
    async with asyncio.timeout(30):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


async def test_beyond_the_limit_the_oldest_silent_connection_is_closed(app):
    here = await app(silence=0)
    here.limit(3)
    async with connected(here, 1, EMPTY) as ((kept, provider),), connected(here, 2) as ((oldest, _), _):
        await kept.readuntil(HEARD)
        assert await here.raw(EMPTY) == 200
        assert await is_closed(oldest)
        provider.write(EMPTY)
        assert (await kept.readline()).split()[1] == b"200"
    assert here.facts == []


async def test_without_a_silent_connection_the_oldest_idle_one_is_closed(app):
    here = await app(silence=0)
    here.limit(2)
    async with connected(here, 2, EMPTY) as ((oldest, _), (newer, _)):
        await oldest.readuntil(HEARD)
        await newer.readuntil(HEARD)
        assert await here.raw(EMPTY) == 200
        assert await is_closed(oldest)


async def test_a_connection_with_a_request_under_way_is_not_closed(app):
    here = await app(silence=0)
    here.limit(2)
    here.gate.clear()
    async with connected(here, 2, EMPTY) as pairs:
        await until(lambda: len(here.requests) + here.waiting == 2)
        async with connected(here, 1) as ((refused, _),):
            assert (await refused.readline()).split()[1] == b"503"
        here.gate.set()
        for reader, _ in pairs:
            assert (await reader.readline()).split()[1] == b"200"


async def test_a_new_connection_is_not_closed_at_once(app):
    here = await app(silence=30)
    here.limit(2)
    async with connected(here, 2) as pairs:
        async with connected(here, 1) as ((refused, _),):
            assert (await refused.readline()).split()[1] == b"503"
        for reader, writer in pairs:
            writer.write(EMPTY)
            assert (await reader.readline()).split()[1] == b"200"


async def test_closed_connections_make_room_for_new_ones(app):
    here = await app()
    here.limit(2)
    for _ in range(5):
        assert await here.raw(EMPTY) == 200
        async with connected(here, 2, EMPTY[:9]) as pairs:
            assert len(pairs) == 2
        await until(lambda: here.listener.open_connections == 0)
    assert here.facts == []


@pytest.mark.parametrize("begun", [b"", b"POST /hooks/st", POST + b"X-A: "])
async def test_a_connection_with_incomplete_headers_is_closed(app, begun):
    here = await app(keepalive=0.2)
    async with connected(here, 1, begun) as ((reader, writer),):
        closed = asyncio.create_task(is_closed(reader))
        while not closed.done():
            writer.write(b"x" if begun else b"")
            await asyncio.wait([closed], timeout=0.05)
        assert closed.result()
    assert here.requests == []


async def test_a_connection_with_slow_headers_after_a_request_is_closed(app):
    here = await app(keepalive=0.2)
    async with connected(here, 1, EMPTY) as ((reader, writer),):
        await reader.readuntil(HEARD)
        writer.write(EMPTY[:30])
        assert await is_closed(reader)
    assert len(here.requests) == 1


def test_spare_descriptors_are_freed_one_by_one_and_reserved_again():
    spare = SpareDescriptors(2)
    assert [spare.free_one() for _ in range(3)] == [True, True, False]
    spare.refill()
    assert spare.free_one()
    with spare:
        pass
    spare.refill()
    assert not spare.free_one()


# A process that may open 64 files, with a listener for everybody and one for the operator.
STARVED = """
import asyncio, logging, resource, sys, time
from aiohttp import web
from connector.telemetry.log_events import Lifecycle
from connector.web.connections import Connections, SpareDescriptors
from connector.web.listener import Listener
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
logging.basicConfig(stream=sys.stderr)
async def handle(request):
    return web.Response(text="OK")
async def main():
    def emit(fact):
        if isinstance(fact, Lifecycle):
            print("told", fact.message, flush=True)
    limit = Connections(most=1000, of_one_address=1000, emit=emit, monotonic=time.monotonic)
    limit.most = 1000  # as if the reserve had been used up by something else
    public = await Listener(handle, host="127.0.0.1", port=0, connections=limit).start()
    operators = await Listener(handle, host="127.0.0.1", port=0, spare=SpareDescriptors(4)).start()
    print(public.rpartition(":")[2], operators.rpartition(":")[2], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    spent = time.process_time()
    print("spent", spent, flush=True)
asyncio.run(main())
"""


def ask(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return caller.recv(100)[:12]


@pytest.mark.slow
def test_operators_are_served_without_free_descriptors():
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", STARVED],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root,
    ) as starved:  # fmt: skip
        public, operators = map(int, starved.stdout.readline().split())
        strangers = [socket.create_connection(("127.0.0.1", public), timeout=20) for _ in range(100)]
        assert "no file descriptor left" in starved.stdout.readline()
        for _ in range(20):
            assert ask(operators) == b"HTTP/1.1 200"
        for stranger in strangers:
            stranger.close()
        assert ask(public) == b"HTTP/1.1 200"
        assert ask(operators) == b"HTTP/1.1 200"
        said, errors = starved.communicate("")
    assert starved.returncode == 0
    assert errors == ""
    assert re.fullmatch(r"spent [0-9.]+\n", said)
    assert float(said.split()[1]) < 10
