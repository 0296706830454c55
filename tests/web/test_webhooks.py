import asyncio
import gzip
import json
import socket
import zlib

import aiohttp
import pytest
from web.listening import LINGER, NOW, POST

from connector.model.errors import HttpRejected, StoreUnavailable
from connector.model.http import HttpResponse
from connector.telemetry.log_events import RequestRejected, WorkerFailed
from connector.web.listener import Listener


async def test_a_callback_is_passed_on_unchanged(app, client):
    here = await app(public_url="https://Hooks.example.org:443/sms/")
    headers = [("X-One", "1"), ("X-Two", "a"), ("X-Two", "b")]
    async with client.post(f"{here.base}/hooks/strex/mo/s%2Fecret?A=%2B&b", data=b"body", headers=headers) as answer:
        assert (answer.status, await answer.read()) == (200, b"OK")
    (request,) = here.requests
    assert (request.method, request.instance, request.endpoint, request.secret) == ("POST", "strex", "mo", "s/ecret")
    assert request.url == "https://hooks.example.org/sms/hooks/strex/mo/s%2Fecret?A=%2B&b"
    assert (request.query, request.body, request.peer, request.received_at) == ("A=%2B&b", b"body", "127.0.0.1", NOW)
    assert (request.headers["x-one"], request.headers["x-two"]) == ("1", "a, b")


async def test_without_a_public_url_the_address_of_the_listener_is_used(app, client):
    here = await app()
    async with client.post(f"{here.base}/hooks/strex/mo", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 200
    assert here.requests[0].url == f"{here.base}/hooks/strex/mo"
    assert here.requests[0].secret is None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/hooks",
        "/hooks/strex",
        "/hooks/strex/dlr",
        "/hooks/other/mo",
        "/hooks/strex/mo/a/b",
        "/hooks//mo",
        "/hooks/strex//",
        "/x/strex/mo",
    ],
)
async def test_all_unknown_addresses_get_the_same_404(app, client, path):
    here = await app()
    async with client.post(here.base + path) as answer:
        assert (answer.status, await answer.read()) == (404, b"")
    assert here.requests == []
    assert here.facts == [RequestRejected(provider="", endpoint="", status=404, why="no such endpoint")]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_a_wrong_method_gets_405_with_the_right_one(app, client, method):
    here = await app()
    async with client.request(method, f"{here.base}/hooks/strex/mo") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert here.requests == []


@pytest.mark.parametrize("size", [1024, 1025, 1_000_000])
@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_the_size_limit_is_refused(app, client, size, chunked):
    async def parts():
        for start in range(0, size, 1000):
            yield b"x" * min(1000, size - start)

    here = await app(body_limit=1024)
    try:
        async with client.post(f"{here.base}/hooks/strex/mo", data=parts() if chunked else b"x" * size) as answer:
            assert answer.status == (200 if size <= 1024 else 413)
    except aiohttp.ClientOSError:
        assert size == 1_000_000  # the rest of it met a closed connection.
    assert len(here.requests) == (1 if size <= 1024 else 0)


async def test_a_body_that_does_not_arrive_in_time_gets_408(app):
    here = await app(body_time=0.05)
    assert await here.raw(b"POST /hooks/strex/mo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab") == 408
    assert here.facts[0].why == "body too slow"


@pytest.mark.parametrize(
    "word", ["identity", "none", "", "UTF-8", "utf8", "iso-8859-1", "binary", "evil", "utf-8, identity"]
)
async def test_a_content_encoding_without_compression_is_ignored(app, client, word):
    here = await app()
    async with client.post(f"{here.base}/hooks/strex/mo", data=b"x", headers={"Content-Encoding": word}) as answer:
        assert answer.status == 200
    assert here.requests[0].body == b"x"


@pytest.mark.parametrize("word", ["br", "zstd", "compress", "gzip, gzip", "deflate, gzip", "BR"])
async def test_an_unsupported_compression_gets_415_with_the_supported_ones(app, client, word):
    here = await app()
    async with client.post(f"{here.base}/hooks/strex/mo", data=b"x", headers={"Content-Encoding": word}) as answer:
        assert (answer.status, answer.headers["Accept-Encoding"]) == (415, "gzip, deflate")
    assert here.requests == []
    assert here.facts == [RequestRejected(provider="strex", endpoint="mo", status=415, why="compressed body")]


@pytest.mark.parametrize("word", ["gzip", "GZIP", "x-gzip", "utf-8, gzip"])
async def test_a_compressed_body_is_passed_on_decompressed(app, client, word):
    here = await app()
    async with client.post(
        f"{here.base}/hooks/strex/mo", data=gzip.compress(b"body"), headers={"Content-Encoding": word}
    ) as answer:
        assert answer.status == 200
    assert here.requests[0].body == b"body"


async def test_the_size_limit_applies_to_the_decompressed_body(app, client):
    here = await app(body_limit=1024)
    for size, status in ((1024, 200), (1025, 413), (10_000_000, 413)):
        headers = {"Content-Encoding": "deflate"}
        body = zlib.compress(b"0" * size)[:100_000]
        async with client.post(f"{here.base}/hooks/strex/mo", data=body, headers=headers) as answer:
            assert answer.status in ({413} if len(body) > 1024 else {status}), size
    assert len(here.requests) == 1


@pytest.mark.parametrize(
    "path",
    ["/hooks/strex/mo/s/", "/hooks/strex/mo/s//", "//hooks/strex/mo/s", "/hooks//strex/mo//s", "http://x.example/hooks/strex/mo/s",
     "HTTPS://x.example:8443/hooks/strex/mo/s", "http://x.example//hooks/strex/mo/s/"],
)  # fmt: skip
async def test_repeated_slashes_and_absolute_request_targets_are_accepted(app, path):
    here = await app(public_url="https://sms.example.org")
    assert await here.raw(f"POST {path}?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx".encode()) == 200
    (request,) = here.requests
    assert (request.secret, request.query, request.body) == ("s", "a=b", b"x")
    assert request.url.startswith("https://sms.example.org/")
    assert "x.example" not in request.url


@pytest.mark.parametrize("path", ["/hooks/strex/mo/", "/hooks/strex/mo//"])
async def test_a_slash_instead_of_the_secret_is_no_secret(app, path):
    here = await app()
    assert await here.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()) == 200
    assert not here.requests[0].secret


@pytest.mark.parametrize(
    "path", ["/Hooks/strex/mo", "/hooks/STREX/mo", "http://x.example", "http://x.example?/hooks/strex/mo", "*"]
)
async def test_addresses_are_case_sensitive_and_need_a_path(app, path):
    here = await app()
    assert await here.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()) in {400, 404}
    assert here.requests == []


@pytest.mark.parametrize(("length", "status"), [(9000, 200), (64 * 1024, 200), (64 * 1024 + 1, 414), (70_000, 400)])
async def test_a_query_may_be_as_long_as_a_body_and_no_longer(app, length, status):
    here = await app()
    asked = f"POST /hooks/strex/mo/s?{'x' * length} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    assert await here.raw(asked) == status
    assert [len(request.query) for request in here.requests] == ([length] if status == 200 else [])
    assert [fact.status for fact in here.facts] == ([] if status == 200 else [status])


NO_HTTP = {
    "bad address": POST.replace(b"mo", b"HJ\xc6LP") + b"\r\n",
    "address or header too long": POST + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
    "bad request": POST + b"Content-Length: -1\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("why", NO_HTTP)
async def test_invalid_http_is_logged_without_its_bytes(app, caplog, why):
    here = await app()
    assert await here.raw(NO_HTTP[why]) == 400
    assert here.facts == [RequestRejected(provider="", endpoint="", status=400, why=why)]
    assert caplog.records == []  # the library itself would quote them


async def test_an_expect_100_continue_header_is_answered(app, client):
    here = await app()
    async with client.post(f"{here.base}/hooks/strex/mo", data=b"body", expect100=True) as answer:
        assert answer.status == 200
    assert here.requests[0].body == b"body"
    odd = b"POST /hooks/strex/mo HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nContent-Length: 5\r\n\r\n"
    assert await here.raw(odd) == 417


@pytest.mark.parametrize(
    "error", [ValueError("+4790000001"), StoreUnavailable("full"), TimeoutError(), RecursionError()]
)
async def test_a_bug_gives_503_and_never_500(app, client, error):
    here = await app()
    here.answer = error
    async with client.post(f"{here.base}/hooks/strex/mo", data=b"x") as answer:
        assert (answer.status, await answer.read()) == (503, b"")
        assert int(answer.headers["Retry-After"]) > 0
    failed, turned = here.facts
    assert isinstance(failed, WorkerFailed)
    assert type(error).__name__ in failed.error
    assert "+47" not in str(here.facts)
    assert turned == RequestRejected(provider="strex", endpoint="mo", status=503, why="bug")


async def test_a_refusal_has_the_header_that_its_status_needs(app, client):
    here = await app()
    for status, header in ((401, "WWW-Authenticate"), (503, "Retry-After")):
        here.answer = HttpResponse(status=status)
        async with client.post(f"{here.base}/hooks/strex/mo", data=b"x") as answer:
            assert answer.status == status
            assert header in answer.headers


async def test_a_raised_refusal_is_logged_once(app, client):
    here = await app()
    here.answer = HttpRejected(401, "no signature")
    async with client.post(f"{here.base}/hooks/strex/mo", data=b"x") as answer:
        assert (answer.status, await answer.read()) == (401, b"")
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert here.facts == [RequestRejected(provider="strex", endpoint="mo", status=401, why="no signature")]


async def test_requests_over_the_limit_get_503(app, client):
    here = await app(in_flight=1)
    here.gate.clear()
    first = asyncio.create_task(client.post(f"{here.base}/hooks/strex/mo", data=b"x"))
    await here.inside.wait()
    async with client.post(f"{here.base}/hooks/strex/mo", data=b"x") as answer:
        assert answer.status == 503
    here.gate.set()
    async with await first as answer:
        assert answer.status == 200
    async with client.post(f"{here.base}/hooks/strex/mo", data=b"x") as answer:
        assert answer.status == 200


async def test_the_address_of_a_caller_behind_trusted_proxies_is_found(app, client):
    here = await app(trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    headers = [("X-Forwarded-For", "1.1.1.1, 192.0.2.7"), ("X-Forwarded-For", "10.0.0.5")]
    async with client.post(f"{here.base}/hooks/strex/mo", data=b"x", headers=headers):
        pass
    assert here.requests[0].peer == "192.0.2.7"


async def test_shutting_down_answers_open_requests_and_closes(app, client):
    here = await app()
    here.gate.clear()
    under_way = asyncio.create_task(client.post(f"{here.base}/hooks/strex/mo", data=b"x"))
    await here.inside.wait()
    stopping = asyncio.create_task(here.listener.stop())
    await asyncio.sleep(0)
    here.gate.set()
    async with await under_way as answer:
        assert answer.status == 200
        assert answer.headers["Connection"] == "close"
    await stopping
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.post(f"{here.base}/hooks/strex/mo", data=b"x")


HOSTILE = {
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunked": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "odd length": POST + b"Content-Length: +5\r\n\r\nabcde",
    "huge length": POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "bad chunk later": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n",
    "unknown coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "long header": POST + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
    "many headers": POST + b"".join(b"X-%d: a\r\n" % number for number in range(500)) + b"\r\n",
    "long path": b"POST /hooks/strex/mo/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many slashes": b"POST " + b"/" * 7000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target": b"POST http://evil.example/hooks/strex/mo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "odd escapes": b"POST /hooks/strex/mo/%ff%00%zz?%ff HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "raw bytes in the path": b"POST /hooks/strex/mo/\xff\xfe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "raw bytes in a header": POST
    + b"X-ECDSA-Signature: \xff\xfe\r\nAuthorization: Basic \xff\r\nContent-Length: 0\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"BREW /hooks/strex/mo HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"POST /hooks/strex/mo\r\n\r\n",
    "http 3": b"POST /hooks/strex/mo HTTP/3.0\r\nHost: x\r\n\r\n",
    "no host": b"POST /hooks/strex/mo HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "http 1.0": b"POST /hooks/strex/mo HTTP/1.0\r\nContent-Length: 1\r\n\r\na",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nothing": b"",
    "zeros": b"\x00" * 1000,
    "upgrade": POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
    "cut body": POST + b"Content-Length: 50\r\n\r\nabc",
    "cut headers": POST + b"Content-Le",
    "charset": POST + b"Content-Type: application/json; charset=evil\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_requests_get_2xx_4xx_503_or_nothing(app, name):
    here = await app(body_time=0.5)
    status = await here.raw(HOSTILE[name], end=True)
    assert status is None or 200 <= status < 300 or 400 <= status < 500 or status == 503
    assert await here.raw(POST + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}") == 200


async def test_replies_contain_nothing_of_the_request(app):
    here = await app()
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(
        b"POST /hooks/strex/dlr/+4790000001?x=+4790000002 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    assert b"+47" not in await reader.read()
    writer.close()
    assert "+47" not in json.dumps(str(here.facts))


@pytest.mark.parametrize(
    "begun", [b"Content-Length: 5000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000 + b"\r\n"]
)
async def test_a_body_announced_as_too_large_gets_413_at_once(app, begun):
    here = await app(body_limit=1024, body_time=3600)
    assert await here.raw(b"POST /hooks/strex/mo HTTP/1.1\r\nHost: x\r\n" + begun) == 413


async def test_a_socket_passed_by_systemd_is_served(app, client):
    with socket.create_server(("127.0.0.1", 0)) as passed:
        port = passed.getsockname()[1]
        listener = Listener((await app()).hooks.handle, host="0.0.0.0", port=1, passed=passed, linger=LINGER)
        assert await listener.start() == f"http://127.0.0.1:{port}"
        async with client.post(f"http://127.0.0.1:{port}/hooks/strex/mo", data=b"x") as answer:
            assert answer.status == 200
        await listener.stop()
