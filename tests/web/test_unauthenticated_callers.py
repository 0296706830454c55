"""Unauthenticated callers: rejected before their bodies are read, and without taking an authenticated caller's place."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from web.listening import POST, until

KNOWN = POST.replace(b"/mo", b"/mo/s")
WRONG = POST.replace(b"/mo", b"/mo/wrong")
BEHIND_A_PROXY = {"trusted_proxies": ["127.0.0.1"], "body_time": 3600, "in_flight": 8}


def begun(head, address="192.0.2.1", length=2):
    """The first packet of a callback whose body has two bytes."""
    return head + f"X-Forwarded-For: {address}\r\nContent-Length: {length}\r\n\r\n".encode() + b"{"


@asynccontextmanager
async def connection(here):
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def slow(here, *heads):
    """Callers who have sent all but the end of their bodies."""
    before, writers = here.hooks.bodies_awaited, []
    for head in heads:
        _, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writers.append(writer)
        writer.write(head)
    await until(lambda: here.hooks.bodies_awaited == before + len(heads))
    try:
        yield writers
    finally:
        for writer in writers:
            writer.close()


async def in_two_packets(here, head):
    """The status that a callback gets whose body's end comes once its beginning is seen to be waited for."""
    async with slow(here, head) as (writer,):
        assert here.requests == []
        writer.write(b"}")
        await until(lambda: here.requests)
    return here.requests.pop().body


@pytest.mark.parametrize("head", [WRONG + b"Content-Length: 500\r\n\r\n{", WRONG + b"Transfer-Encoding: chunked\r\n\r\n",
                                  WRONG + b"Expect: 100-continue\r\nContent-Length: 500\r\n\r\n"])  # fmt: skip
async def test_a_wrong_secret_is_refused_before_the_body_is_read(app, head):
    here = await app(body_time=3600)
    async with connection(here) as (reader, writer):
        writer.write(head)
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()
    assert [fact.why for fact in here.facts] == ["wrong path secret"]


async def test_an_unread_body_is_not_parsed_as_a_request(app):
    here = await app(body_time=3600)
    async with connection(here) as (reader, writer):
        writer.write(WRONG + b"Content-Length: 900\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        hidden = KNOWN + b"Content-Length: 0\r\n\r\n"
        writer.write(hidden + b" " * (900 - len(hidden)) + hidden)
        async with asyncio.timeout(30):
            assert await reader.read() == b""
    assert here.requests == []


async def test_a_compressed_body_of_an_unauthenticated_caller_is_not_decompressed(app):
    here = await app()
    assert await here.raw(WRONG + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b") == 401


async def test_unauthenticated_callers_do_not_use_places_of_authenticated_ones(app):
    here = await app(**BEHIND_A_PROXY)
    async with slow(here, *(begun(POST, f"192.0.2.{number}") for number in range(8))):
        assert await here.raw(begun(POST, "192.0.2.99")) == 503
        assert here.facts.pop().why == "too many unauthenticated callers at once"
        assert await in_two_packets(here, begun(KNOWN)) == b"{}"


async def test_authenticated_callers_do_not_use_places_of_unauthenticated_ones(app):
    here = await app(**BEHIND_A_PROXY)
    async with slow(here, *[begun(KNOWN)] * 8):
        assert await here.raw(begun(KNOWN)) == 503
        assert here.facts.pop().why == "too many at once"
        assert await in_two_packets(here, begun(POST)) == b"{}"


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [("192.0.2.1", "192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
     ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2")],
)  # fmt: skip
async def test_one_address_may_use_a_quarter_of_the_unauthenticated_places(app, one, same, other):
    here = await app(**BEHIND_A_PROXY)
    async with slow(here, begun(POST, one), begun(POST, one)):
        assert await here.raw(begun(POST, same)) == 503
        assert here.facts.pop().why == "too many at once from one address"
        assert await in_two_packets(here, begun(POST, other)) == b"{}"
        assert await in_two_packets(here, begun(KNOWN, one)) == b"{}"


async def test_a_shared_address_may_use_all_unauthenticated_places(app):
    here = await app(in_flight=8, body_time=3600)
    async with slow(here, *[begun(POST)] * 7):
        assert await in_two_packets(here, begun(POST)) == b"{}"


async def test_places_of_closed_connections_are_free_again(app):
    here = await app(**BEHIND_A_PROXY)
    for _ in range(3):
        async with slow(here, *[begun(POST)] * 2, *[begun(KNOWN)] * 8):
            pass
        await until(lambda: not here.hooks.bodies_awaited)
    assert await in_two_packets(here, begun(POST)) == b"{}"
