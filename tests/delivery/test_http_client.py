import asyncio
import contextlib
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from aiohttp import ClientConnectorCertificateError, ClientConnectorSSLError, ClientOSError, web
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import aioresponses
from delivery.mocked import MockedResponse

from connector.delivery.http_client import TRIES, FixedCredentials, Transport, _describe_error
from connector.model.errors import ConnectorError, PeerMoved, PeerUnavailable
from connector.model.http import Failure, HttpCall, HttpError, HttpReply

GET = HttpCall(method="GET", path="/a", timeout=timedelta(seconds=20))
AGAIN = HttpCall(method="GET", path="/a", timeout=timedelta(seconds=20), repeatable=True)


class Pauses:
    """Stands in for the clock: notes how long it was to sleep, and wakes at once."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Tokens:
    """Credentials whose token gets a new number with every refresh."""

    def __init__(self, base: str, *, moved_to: str | None = None) -> None:
        self.base = base
        self.moved_to = moved_to
        self.number = 1
        self.stale: list[Mapping[str, str]] = []

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        return self.base, {"Authorization": f"Bearer {self.number}"}

    async def refresh(self, stale: Mapping[str, str]) -> None:
        self.stale.append(stale)
        self.number += 1
        self.base = self.moved_to or self.base


class Broken:
    """Credentials that cannot be had: at once, or when they are to be renewed."""

    def __init__(self, error: Exception, base: str | None = None) -> None:
        self.error = error
        self.base = base

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        if self.base is None:
            raise self.error
        return self.base, {}

    async def refresh(self, stale: Mapping[str, str]) -> None:
        raise self.error


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def transport(stack, pauses) -> Transport:
    return await stack.enter_async_context(Transport(sleep=pauses))


@pytest.fixture
def serve(stack) -> Callable:
    """Serve one handler for every path; gives the address."""

    async def start(handler) -> str:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await handler(request)

        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    return start


@pytest.fixture
def raw(stack) -> Callable:
    """Answer every request with these bytes as they are, and hang up; gives the address and the requests so far."""

    async def start(*answers: bytes) -> tuple[str, list[bytes]]:
        seen: list[bytes] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(answers[min(len(seen), len(answers) - 1)])
            seen.append(head)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        await stack.enter_async_context(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen

    return start


@pytest.fixture
def refused_address(stack) -> str:
    """Bound and not listening, so that nobody else can open it meanwhile."""
    bound = stack.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{bound.getsockname()[1]}"


async def ok(request: web.BaseRequest) -> web.Response:
    return web.Response(body=b"ok")


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
NOTHING = b""
TRUNCATED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"


async def test_a_call_and_its_reply_are_passed_on_whole(transport, serve):
    seen = []

    async def handler(request):
        seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return web.Response(status=207, body=b"answer", headers={"Sforce-Limit-Info": "api-usage=1/2"})

    client = transport.client(FixedCredentials(f"{await serve(handler)}/base/", {"Authorization": "key"}))
    call = HttpCall(method="PATCH", path="/x?q=%2B47", body=b"{}", headers={"Content-Type": "application/json"})
    (reply,) = await client.call_all([call])
    assert (reply.status, reply.body, reply.headers["sforce-limit-info"]) == (207, b"answer", "api-usage=1/2")
    ((method, path, headers, body),) = seen
    assert (method, path, body) == ("PATCH", "/base/x?q=%2B47", b"{}")
    assert (headers["Authorization"], headers["Content-Type"]) == ("key", "application/json")
    assert client.calls == 1


async def test_a_single_call_returns_its_reply_or_raises_its_failure(transport, serve):
    client = transport.client(FixedCredentials(await serve(ok)))
    assert (await client.call(GET)).status == 200
    with pytest.raises(HttpError) as failed:
        await transport.client(FixedCredentials("http://")).call(GET)
    assert (failed.value.failure, failed.value.detail) == (Failure.REFUSED, "the address in the config is not a URL")


async def test_an_empty_list_of_calls_has_no_replies(transport):
    assert await transport.client(FixedCredentials("http://")).call_all([]) == []


async def test_a_body_of_a_thousand_records_goes_out_without_a_warning(transport, serve):
    sizes = []

    async def handler(request):
        sizes.append((len(await request.content.read()), request.headers.get("Content-Length")))
        return web.Response()

    client = transport.client(FixedCredentials(await serve(handler)))
    big = 3 * 2**20
    (reply,) = await client.call_all([HttpCall(method="POST", path="/", body=b"x" * big)])
    assert reply.status == 200
    assert sizes == [(big, str(big))]


async def test_a_refused_token_is_renewed_once_and_the_call_sent_again(transport, serve):
    seen = []

    async def handler(request):
        seen.append((request.headers["Authorization"], await request.read()))
        return web.Response(status=200 if seen[-1][0] == "Bearer 2" else 401)

    tokens = Tokens(await serve(handler))
    (reply,) = await transport.client(tokens).call_all([HttpCall(method="POST", path="/", body=b"once")])
    assert reply.status == 200
    assert seen == [("Bearer 1", b"once"), ("Bearer 2", b"once")]
    assert tokens.stale == [{"Authorization": "Bearer 1"}]


async def test_a_renewed_token_may_belong_to_another_address(transport, serve):
    async def gone(request):
        return web.Response(status=401)

    tokens = Tokens(await serve(gone), moved_to=await serve(ok))
    (reply,) = await transport.client(tokens).call_all([GET])
    assert reply.body == b"ok"


async def test_a_second_401_is_returned(transport, serve):
    seen = []

    async def handler(request):
        seen.append(request.headers["Authorization"])
        return web.Response(status=401, body=b"no")

    (reply,) = await transport.client(Tokens(await serve(handler))).call_all([AGAIN])
    assert (reply.status, reply.body) == (401, b"no")
    assert seen == ["Bearer 1", "Bearer 2"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_leads_to_a_new_sign_in_that_names_the_new_address(transport, serve, status):
    seen = []

    async def moved(request):
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:9/elsewhere"})

    async def here(request):
        seen.append(request.headers["Authorization"])
        return web.Response(body=b"ok")

    tokens = Tokens(await serve(moved), moved_to=await serve(here))
    (reply,) = await transport.client(tokens).call_all([GET])
    assert reply.body == b"ok"
    assert seen == ["Bearer 2"]


async def test_a_redirect_that_a_new_sign_in_does_not_fix_is_returned_after_one_sign_in(transport, serve):
    seen = []

    async def moved(request):
        seen.append(request.path)
        return web.Response(status=301, headers={"Location": "/elsewhere"})

    tokens = Tokens(await serve(moved))
    (reply,) = await transport.client(tokens).call_all([GET])
    assert (reply.status, len(seen), len(tokens.stale)) == (301, 1, 1)


async def test_a_sign_in_service_at_another_address_is_reported_as_moved(transport):
    (reply,) = await transport.client(Broken(PeerMoved("write another url"))).call_all([GET])
    assert (reply.failure, reply.detail) == (Failure.MOVED, "write another url")


async def test_a_401_for_a_fixed_key_is_not_repeated(transport, serve):
    seen = []

    async def handler(request):
        seen.append(request.path)
        return web.Response(status=401)

    (reply,) = await transport.client(FixedCredentials(await serve(handler), {"K": "v"})).call_all([AGAIN])
    assert reply.status == 401
    assert seen == ["/a"]


@pytest.mark.parametrize("renewing", [False, True])
async def test_a_failed_sign_in_is_returned_as_a_failure_and_not_raised(transport, serve, renewing):
    async def handler(request):
        return web.Response(status=401)

    base = await serve(handler) if renewing else None
    client = transport.client(Broken(ConnectorError("the password is wrong: set another"), base))
    (reply,) = await client.call_all([AGAIN])
    assert (reply.failure, reply.detail) == (Failure.CREDENTIALS, "the password is wrong: set another")
    assert client.calls == int(renewing)


async def test_an_unreachable_sign_in_service_is_not_reported_as_wrong_credentials(transport):
    (reply,) = await transport.client(Broken(PeerUnavailable("the token service is out of order"))).call_all([GET])
    assert reply.failure is Failure.REFUSED


async def test_a_bug_while_signing_in_is_reported_as_a_failed_sign_in(transport):
    (reply,) = await transport.client(Broken(KeyError("+4790000001"))).call_all([GET])
    assert reply.failure is Failure.CREDENTIALS
    assert "KeyError" in reply.detail
    assert "+47" not in reply.detail


@pytest.mark.parametrize("value", ["two\nlines", "two\rlines", "nul\0"])
def test_a_secret_of_two_lines_is_refused_before_anything_is_sent(value):
    with pytest.raises(ConnectorError, match="X-Key holds a line break"):
        FixedCredentials("http://127.0.0.1", {"X-Key": value})


async def test_a_closed_port_is_reported_as_a_refused_connection(transport, refused_address, pauses):
    (reply,) = await transport.client(FixedCredentials(refused_address)).call_all([GET])
    assert reply.failure is Failure.REFUSED
    assert pauses.seconds == []


async def test_an_invalid_address_is_reported_as_a_refused_connection(transport):
    (reply,) = await transport.client(FixedCredentials("http://")).call_all([GET])
    assert reply.failure is Failure.REFUSED


async def test_a_failure_is_reported_without_the_address_and_its_query(transport, refused_address):
    call = HttpCall(method="GET", path="/hooks/s3cret?msisdn=4790000001")
    for base in (refused_address, "http://", "ftp://127.0.0.1"):
        (reply,) = await transport.client(FixedCredentials(base)).call_all([call])
        assert reply.detail
        assert "s3cret" not in reply.detail
        assert "4790000001" not in reply.detail
        assert "None" not in reply.detail


async def test_a_connection_closed_without_a_reply_is_reported_as_lost(transport, raw):
    base, seen = await raw(NOTHING)
    (reply,) = await transport.client(FixedCredentials(base)).call_all([GET])
    assert (reply.failure, reply.detail) == (Failure.LOST, "the connection was closed without an answer")
    assert len(seen) == 1


async def test_a_connection_closed_within_a_reply_is_reported_as_lost(transport, raw):
    base, _ = await raw(TRUNCATED)
    (reply,) = await transport.client(FixedCredentials(base)).call_all([GET])
    assert reply.failure is Failure.LOST


TLS_ALERT = b"\x15\x03\x01\r\n\r\n"
FLOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        TLS_ALERT,
        b"HTTP/1.1 banana\r\n\r\n",
        FLOOD + b"X-Long: " + b"x" * 200_000 + b"\r\n\r\nok",
        FLOOD + b"".join(b"X-%d: y\r\n" % number for number in range(5_000)) + b"\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_reply_that_is_not_valid_http_is_unreadable_and_not_requested_again(transport, raw, answer):
    base, seen = await raw(answer)
    (reply,) = await transport.client(FixedCredentials(base)).call_all([AGAIN])
    assert reply.failure is Failure.UNREADABLE, reply
    assert len(seen) == 1


async def test_a_thousand_interim_replies_are_skipped(transport, raw):
    base, _ = await raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + OK)
    (reply,) = await transport.client(FixedCredentials(base)).call_all([GET])
    assert reply.body == b"ok"


def zipped(size: int, filling: bytes = b"x", wbits: int = 31) -> bytes:
    """So many bytes, compressed; 31 makes gzip, 15 deflate with its frame, -15 without."""
    pack = zlib.compressobj(9, zlib.DEFLATED, wbits)
    block = filling * (2**20 // len(filling))
    return b"".join([pack.compress(block) for _ in range(size // 2**20)] + [pack.flush()])


def zipped_answer(body: bytes, coding: str = "gzip") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (coding.encode(), len(body)) + body


@pytest.mark.parametrize(("coding", "wbits"), [("gzip", 31), ("x-gzip", 31), ("deflate", 15), ("deflate", -15)])
async def test_a_reply_in_each_compression_is_read(transport, raw, coding, wbits):
    base, _ = await raw(zipped_answer(zipped(2 * 2**20, wbits=wbits), coding))
    (reply,) = await transport.client(FixedCredentials(base)).call_all([GET])
    assert reply.body == b"x" * 2 * 2**20


async def test_all_members_of_a_gzip_reply_are_read(transport, raw):
    base, _ = await raw(zipped_answer(zipped(2**20) + zipped(2**20)))
    (reply,) = await transport.client(FixedCredentials(base)).call_all([GET])
    assert len(reply.body) == 2 * 2**20


async def test_a_truncated_compressed_reply_is_unreadable(transport, raw):
    base, _ = await raw(zipped_answer(zipped(2**20)[:-9]))
    (reply,) = await transport.client(FixedCredentials(base)).call_all([GET])
    assert (reply.failure, reply.detail) == (Failure.UNREADABLE, "the answer's compression is broken")


@pytest.mark.parametrize(("coding", "wbits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
async def test_compression_bombs_are_refused_while_they_are_decompressed(transport, raw, coding, wbits):
    bomb = zipped(200 * 2**20, wbits=wbits)
    assert len(bomb) < 250_000
    base, _ = await raw(zipped_answer(bomb, coding))
    tracemalloc.start()
    try:
        replies = await transport.client(FixedCredentials(base)).call_all([GET] * 4)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {reply.detail for reply in replies} == {"the answer is larger than 32 MiB"}
    assert {reply.failure for reply in replies} == {Failure.UNREADABLE}
    assert peak < 100 * 2**20


async def test_a_size_limit_of_a_call_or_of_the_config_overrides_the_default(stack, raw):
    base, _ = await raw(zipped_answer(zipped(2**20)))
    transport = await stack.enter_async_context(Transport(answer_limit=1000))
    client = transport.client(FixedCredentials(base))
    (refused,) = await client.call_all([GET])
    (taken,) = await client.call_all([HttpCall(method="GET", path="/", answer_limit=2**20)])
    assert (refused.failure, len(taken.body)) == (Failure.UNREADABLE, 2**20)


async def test_json_with_too_many_small_values_is_refused_and_a_table_is_not(transport, raw):
    base, _ = await raw(zipped_answer(zipped(3 * 2**20, b"[],")))
    client = transport.client(FixedCredentials(base))
    (refused,) = await client.call_all([GET])
    (taken,) = await client.call_all([HttpCall(method="GET", path="/", table=True)])
    assert (refused.failure, refused.detail) == (Failure.UNREADABLE, "the answer holds more than 500000 values")
    assert len(taken.body) > 3_000_000


async def test_a_reply_that_never_ends_is_reported_as_a_timeout(transport, serve):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x")
                await asyncio.sleep(0)
        return response

    client = transport.client(FixedCredentials(await serve(handler)))
    (reply,) = await client.call_all([HttpCall(method="GET", path="/", timeout=timedelta(milliseconds=200))])
    assert (reply.failure, reply.detail) == (Failure.TIMEOUT, "no whole answer within 0.2 seconds")


async def test_a_failed_connection_is_reported_with_its_cause(transport, refused_address, serve):
    async def emitted(base):
        (reply,) = await transport.client(FixedCredentials(base)).call_all([GET])
        return reply.failure, reply.detail

    failure, detail = await emitted("http://no-such-host.invalid")
    assert failure is Failure.REFUSED
    assert detail.startswith("the host name cannot be resolved (DNS: ")
    assert await emitted(refused_address) == (Failure.REFUSED, "no connection (connection refused)")
    failure, detail = await emitted((await serve(ok)).replace("http:", "https:"))
    assert failure is Failure.REFUSED
    assert detail.startswith("TLS failed (")


@pytest.mark.parametrize("repeatable", [False, True])
async def test_a_slow_reply_is_reported_as_a_timeout_and_the_call_not_repeated(transport, serve, repeatable):
    over = asyncio.Event()

    async def handler(request):
        await over.wait()
        return web.Response()

    client = transport.client(FixedCredentials(await serve(handler)))
    call = HttpCall(method="GET", path="/", timeout=timedelta(milliseconds=30), repeatable=repeatable)
    (reply,) = await client.call_all([call])
    over.set()
    assert reply.failure is Failure.TIMEOUT
    assert client.calls == 1


async def test_redirects_are_returned_and_not_followed(transport, serve):
    strangers = []

    async def stranger(request):
        strangers.append(request.headers)
        return web.Response()

    elsewhere = await serve(stranger)

    async def handler(request):
        return web.Response(status=307, headers={"Location": elsewhere})

    (reply,) = await transport.client(FixedCredentials(await serve(handler), {"K": "secret"})).call_all([GET])
    assert (reply.status, reply.headers["location"]) == (307, elsewhere)
    assert strangers == []


async def test_a_repeatable_call_is_repeated_after_growing_pauses(transport, raw, pauses):
    base, seen = await raw(NOTHING, TRUNCATED, OK)
    (reply,) = await transport.client(FixedCredentials(base)).call_all([AGAIN])
    assert isinstance(reply, HttpReply)
    assert reply.body == b"ok"
    assert len(seen) == len(pauses.seconds) + 1 == 3
    assert all(0 < seconds <= 2 for seconds in pauses.seconds)


async def test_a_repeatable_call_is_given_up_after_a_few_tries(transport, raw, refused_address, pauses):
    base, seen = await raw(NOTHING)
    (reply,) = await transport.client(FixedCredentials(base)).call_all([AGAIN])
    assert reply.failure is Failure.LOST
    assert len(seen) == TRIES
    client = transport.client(FixedCredentials(refused_address))
    (reply,) = await client.call_all([AGAIN])
    assert reply.failure is Failure.REFUSED
    assert client.calls == TRIES
    assert len(pauses.seconds) == 2 * (TRIES - 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
async def test_a_call_that_is_not_repeatable_is_sent_once(transport, raw, pauses, method):
    base, seen = await raw(NOTHING, OK)
    (reply,) = await transport.client(FixedCredentials(base)).call_all([HttpCall(method=method, path="/a")])
    assert reply.failure is Failure.LOST
    assert len(seen) == 1
    assert pauses.seconds == []


async def test_a_call_with_a_reply_is_never_repeated(transport, raw):
    base, seen = await raw(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    (reply,) = await transport.client(FixedCredentials(base)).call_all([AGAIN])
    assert reply.status == 503
    assert len(seen) == 1


async def test_calls_are_sent_at_the_same_time_and_their_replies_keep_the_order(transport, serve):
    answered = {name: asyncio.Event() for name in ("/0", "/1", "/2")}
    after = {"/0": "/1", "/1": "/2"}

    async def handler(request):
        if request.path in after:
            await answered[after[request.path]].wait()
        answered[request.path].set()
        return web.Response(text=request.path)

    calls = [HttpCall(method="GET", path=path, timeout=timedelta(seconds=5)) for path in answered]
    replies = await transport.client(FixedCredentials(await serve(handler))).call_all(calls)
    assert [reply.body for reply in replies] == [b"/0", b"/1", b"/2"]


async def test_the_number_of_simultaneous_calls_is_limited(transport, serve):
    arrived, go = asyncio.Semaphore(0), asyncio.Event()

    async def handler(request):
        arrived.release()
        await go.wait()
        return web.Response()

    client = transport.client(FixedCredentials(await serve(handler)), parallel=2)
    running = asyncio.create_task(client.call_all([GET] * 5))
    await arrived.acquire()
    assert client.calls == 2
    go.set()
    assert [reply.status for reply in await running] == [200] * 5
    assert client.calls == 5


async def test_one_failed_call_does_not_affect_the_others(transport, serve):
    async def handler(request):
        if request.path == "/drop":
            request.transport.abort()
        return web.Response()

    client = transport.client(FixedCredentials(await serve(handler)))
    lost, fine = await client.call_all([HttpCall(method="GET", path="/drop"), GET])
    assert lost.failure is Failure.LOST
    assert fine.status == 200


async def test_a_bug_in_one_call_is_raised_after_the_others_have_ended(transport, serve):
    arrived, go = asyncio.Event(), asyncio.Event()

    async def handler(request):
        arrived.set()
        await go.wait()
        return web.Response()

    client = transport.client(FixedCredentials(await serve(handler)))
    running = asyncio.create_task(client.call_all([HttpCall(method="NO METHOD", path="/"), GET]))
    await arrived.wait()
    assert not running.done()
    go.set()
    with pytest.raises(ValueError, match="Method"):
        await running


async def test_a_proxy_of_the_environment_is_not_used(transport, serve, monkeypatch):
    proxied = []

    async def proxy(request):
        proxied.append(request.path)
        return web.Response(body=b"proxy")

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, await serve(proxy))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (reply,) = await transport.client(FixedCredentials(await serve(ok))).call_all([GET])
    assert reply.body == b"ok"
    assert proxied == []


async def test_cookies_are_not_kept(transport, serve):
    seen = []

    async def handler(request):
        seen.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "session=1"})

    client = transport.client(FixedCredentials((await serve(handler)).replace("127.0.0.1", "localhost")))
    await client.call_all([GET])
    await client.call_all([GET])
    assert seen == [None, None]


async def test_a_call_after_closing_is_reported_as_refused():
    async with Transport() as transport:
        client = transport.client(FixedCredentials("http://127.0.0.1:1"))
    (reply,) = await client.call_all([GET])
    assert reply.failure is Failure.REFUSED
    assert client.calls == 0


async def test_a_client_needs_an_open_transport():
    with pytest.raises(AssertionError, match="async with"):
        Transport().client(FixedCredentials("http://127.0.0.1:1"))


async def test_a_single_outgoing_call_as_the_session_sees_it(transport):
    with aioresponses() as peer:
        peer.post("http://sms.example/api/ping", status=200, body="pong", response_class=MockedResponse)
        client = transport.client(FixedCredentials("http://sms.example", {"Authorization": "key"}))
        (reply,) = await client.call_all([HttpCall(method="POST", path="/api/ping", headers={"Accept": "text/plain"})])
    assert (reply.status, reply.body) == (200, b"pong")
    ((made,),) = peer.requests.values()
    assert made.kwargs["headers"] == {
        "Accept-Encoding": "gzip, deflate",
        "Accept": "text/plain",
        "Authorization": "key",
    }
    assert made.kwargs["allow_redirects"] is False


class TestWords:
    """What a failed connection is called."""

    PEER = ConnectionKey("sms.example.org", 443, True, True, None, None, None)

    def test_an_untrusted_certificate_is_reported_with_the_reason(self):
        untrusted = ssl.SSLCertVerificationError(1, "failed")
        untrusted.verify_message = "certificate has expired"
        error = ClientConnectorCertificateError(self.PEER, untrusted)
        assert _describe_error(error) == "its TLS certificate is not trusted (certificate has expired)"

    def test_a_failed_handshake_is_reported_with_the_message_of_the_library(self):
        failed = ssl.SSLError(1, "text with an address")
        failed.reason = "WRONG_VERSION_NUMBER"
        assert _describe_error(ClientConnectorSSLError(self.PEER, failed)) == "TLS failed (WRONG_VERSION_NUMBER)"
        assert _describe_error(ClientConnectorSSLError(self.PEER, OSError(5, "x"))) == "TLS failed (handshake failed)"

    def test_a_lost_connection_is_reported_with_the_message_of_the_system(self):
        assert _describe_error(ClientOSError(104, "x")) == "the connection was lost (connection reset by peer)"
        assert _describe_error(OSError("x")) == "the connection was lost (OSError)"
