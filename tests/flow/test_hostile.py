"""Hostile requests to the running daemon: each gets 2xx, 4xx or 503, and unauthenticated ones store nothing.

Sources of the corpus: inputs that make simple handlers respond with 500 (lone surrogates, deep nesting, odd charsets,
NaN), OWASP's REST and webhook advice, and RFC 9112 on messages with two framings.
"""

import asyncio
import gzip
import json
from itertools import count

from flow.world import SECRETS
from yarl import URL

from connector.model.event import Event
from connector.model.phone import Phone
from connector.model.states import EventState
from connector.telemetry.log_events import Alarm, WorkerFailed

SECRET = SECRETS["HOOK_SECRET"]
ENDPOINT = f"/hooks/strex/dlr/{SECRET}"
CANARY = "never-let-in"  # in every request without the secret: it must not be found in the file
DONOR = "+4790000001"
NUMBERS = count()


def envelope(**more):
    return {"transactionId": f"h-{next(NUMBERS)}", "sender": "2002", "recipient": DONOR, "statusCode": "Ok", **more}


def with_text(text):
    """A report one of whose properties is this piece of JSON, as it stands."""
    return json.dumps(envelope(properties={"x": "HERE"})).replace('"HERE"', text).encode("utf-8", "surrogatepass")


UNREADABLE = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "no JSON": b"<xml/>",
    "half of it": b'{"transactionId": "a", "sen',
    "a form": b"transactionId=a&sender=2002",
    "zeros": b"\x00" * 100,
    "random bytes": bytes(range(256)),
    "UTF-7 in disguise": b'{"transactionId": "+AGE-"}garbage',
    "two surrogates as names": b'{"transactionId": "a", "\\udfff": 1, "\\ud800": 2}',
    "the same name twice": b'{"transactionId": "a", "transactionId": "b"}',
    "the same name twice, one as escapes": b'{"transactionId": "a", "\\u0074ransactionId": "b"}',
    "the same name in two casings": b'{"transactionId": "a", "TransactionId": "b"}',
    "deep arrays": b"[" * 30_000,
    "deep objects": b'{"a":' * 10_000,
    "deep and whole": with_text("[" * 5000 + "]" * 5000),
    "deep objects and whole": with_text('{"a":' * 5000 + "1" + "}" * 5000),
    "null": b"null",
    "a number": b"42",
    "a text": b'"a"',
    "an array": b"[]",
    "an array of nothing": b"[null, 1]",
    "an empty object": b"{}",
    "a bare Properties block": b'Properties: {"SystemAction": "Unsubscribe"}',
    "no id": b'{"sender": "2002", "recipient": "+4790000001"}',
    "an id of null": b'{"transactionId": null}',
    "an id of blanks": b'{"transactionId": "   "}',
    "an id that is an object": b'{"transactionId": {"a": 1}}',
    "an id that is a list": b'{"transactionId": ["a", "b"]}',
    "an id that is a fraction": b'{"transactionId": 1.5}',
    "properties of text": b'{"transactionId": "a", "properties": "x"}',
    "properties in a list": b'{"transactionId": "a", "properties": [1]}',
}
ODD = {
    "a null byte inside": b'{"transactionId": "odd-1\x00b"}',
    "not UTF-8": '{"transactionId": "odd-å"}'.encode("latin-1"),
    "UTF-16": '{"transactionId": "odd-2"}'.encode("utf-16"),
    "an overlong slash": b'{"transactionId": "odd-\xc0\xaf"}',
    "a raw surrogate": b'{"transactionId": "odd-3\xed\xa0\x80"}',
    "an escaped surrogate": b'{"transactionId": "odd-4\\ud800"}',
    "a surrogate as a name": b'{"transactionId": "odd-5", "\\udfff": 1}',
    "NaN": b'{"transactionId": "odd-6", "price": NaN}',
    "infinity": b'{"transactionId": "odd-7", "price": -Infinity}',
    "a price beyond all": json.dumps(envelope(price=10**18)).encode(),
    "a price with 5000 digits": with_text("1").replace(b'"statusCode"', b'"price": ' + b"9" * 5000 + b', "statusCode"'),
    "a number beyond a double": with_text("1e999"),
    "a number with 5000 digits": with_text("9" * 5000),
    "a negative zero": with_text("-0.0"),
    "a null byte as an escape": with_text('"a\\u0000b"'),
    "a null byte in the id": json.dumps(envelope(transactionId="a\x00b")).encode(),
    "a line break in the id": json.dumps(envelope(transactionId="a\r\nSet-Cookie: a")).encode(),
    "a very long id": json.dumps(envelope(transactionId="x" * 50_000)).encode(),
    "emojis and turned writing": json.dumps(envelope(statusCode="\U0001f4a9\u202e\u200b")).encode(),
    "markup": json.dumps(envelope(properties={"SystemAction": "<script>alert(1)</script>"})).encode(),
    "SQL": json.dumps(envelope(transactionId="'; DROP TABLE inbox; --")).encode(),
    "SOQL": json.dumps(envelope(properties={"SystemAction": "Unsubscribe", "Keyword": "' OR Name LIKE '%"})).encode(),
    "a template": json.dumps(
        envelope(properties={"SystemAction": "{msisdn.__class__}", "Keyword": "{{7*7}}"})
    ).encode(),
    "names like Python's": json.dumps(envelope(properties={"__class__": "x", "__proto__": {"a": 1}})).encode(),
    "a number that is none": json.dumps(envelope(recipient="+47" + "9" * 5000)).encode(),
    "a number that is an object": json.dumps(envelope(recipient={"a": 1}, sender=[1])).encode(),
    "types all wrong": json.dumps(
        envelope(statusCode=[1], price="x", received=7, keywordId={}, delivered="?")
    ).encode(),
    "a time before all": json.dumps(envelope(received="0001-01-01T00:00:00+14:00")).encode(),
    "a time beyond all": json.dumps(envelope(received="9999-12-31T23:59:59-14:00")).encode(),
    "ten thousand properties": json.dumps(envelope(properties={f"p{n}": n for n in range(4000)})).encode(),
    "a lookup of nonsense": json.dumps(envelope(properties={"l": {"firstName": [1], "lastName": {"a": 1}}})).encode(),
    "a lookup in broken text": json.dumps(envelope(properties={"l": '{"firstName": "x", "lastName'})).encode(),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(envelope()).encode(),
}


async def post(world, path, body, **more):
    # As it stands: the client would tidy up `..` and odd escapes.
    url = URL(world.app.url + path, encoded=True)
    async with world.http.post(url, data=body, **more) as response:
        await response.read()
        return response.status


def bugs(world):
    return world.emitted(WorkerFailed)


async def still_works(world):
    received = world.app.store.inbox.received()
    assert await world.callback("dlr", envelope()) == 200
    assert world.app.store.inbox.received() == received + 1
    assert bugs(world) == []


async def test_an_unreadable_body_is_stored_and_answered_with_200(world):
    for endpoint in ("dlr", "mo"):
        for name, body in UNREADABLE.items():
            before = world.app.store.inbox.received()
            assert await world.callback(endpoint, body) == 200, name
            assert world.app.store.inbox.received() == before + 1, name
            kept = world.app.store.inbox.get(before + 1)
            assert (kept.state, world.app.store.inbox.raw(kept.id)) == (EventState.UNREADABLE, body), name
            assert kept.detail, name
            # Strex repeats what was not answered; it is known then.
            assert await world.callback(endpoint, body) == 200
            assert world.app.store.inbox.received() == before + 1, name
    assert world.counts() == {"unreadable": 2 * len(UNREADABLE)}
    # Any of them may be a stop: a person is alerted, once in an hour for each endpoint.
    alarms = [alarm.about for alarm in world.emitted(Alarm) if alarm.kind == "unreadable"]
    assert alarms == ["strex.dlr", "strex.mo"]
    await still_works(world)


async def test_odd_callbacks_are_stored_and_reach_a_final_state(world):
    for name, body in ODD.items():
        before = world.app.store.inbox.received()
        assert await world.callback("dlr", body) == 200, name
        assert world.app.store.inbox.received() == before + 1, name
    await world.settled()
    assert world.balanced()
    ends = {letter.reason for letter in world.app.store.dead_letters.listing()}
    assert "bug" not in ends
    await still_works(world)


async def test_an_unreadable_body_is_replayed_by_a_corrected_reader(world):
    assert await world.callback("dlr", UNREADABLE["no id"]) == 200
    kept = world.app.store.inbox.get(1)
    status, said = await admin(world, "replay", {"id": kept.id})
    assert (status, "still cannot be read" in said["error"]) == (409, True)
    assert world.counts() == {"unreadable": 1}
    fixed = Event(
        key="strex-dlr-fixed",
        provider="strex",
        shape="delivery_report",
        action="AlterPrice",
        msisdn=Phone(DONOR),
        received_at=kept.received_at,
    )
    await world.app.store.inbox.replay(kept.id, fixed)
    world.app.wake("plan")
    await world.settled()
    assert world.counts() == {"delivered": 1}
    assert [one["Event_Key__c"] for one in await world.records("SMS_Event__c")] == ["strex-dlr-fixed"]


async def admin(world, command, payload):
    token = (world.base / "admin-token").read_text().strip()
    url = f"{world.app.admin_url}/admin/{command}"
    async with world.http.post(url, json=payload, headers={"Authorization": f"Bearer {token}"}) as response:
        return response.status, await response.json()


WRONG_SECRETS = [
    "",
    "/",
    "/wrong",
    f"/{SECRET[:-1]}",
    f"/{SECRET}x",
    f"/{SECRET.upper()}",
    f"/{SECRET}%00",
    f"/{SECRET}%20",
    f"/x/../{SECRET}",
    f"/%2e%2e/{SECRET}",
    f"/;/{SECRET}",
    "//wrong",
    "/wrong/",
    f"?secret={SECRET}",
    f"#{SECRET}",
    "/h%C3%B8%C3%B8k",
    "/%ff%fe%00",
    "/%",
    "/%zz",
    "/%ud800",
    f"/{'x' * 7000}",
]
HEADERS = [
    {"Authorization": f"Bearer {SECRET}"},
    {"Authorization": "Basic " + "=" * 100},
    {"X-Original-URL": ENDPOINT, "X-Rewrite-URL": f"/hooks/strex/dlr/{SECRET}"},
    {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    {"X-HTTP-Method-Override": "PUT"},
    {"X-ECDSA-Signature": "::::"},
    {"Content-Type": "application/json; charset=evil"},
]


async def test_a_callback_without_the_secret_is_refused_and_not_stored(world):
    bodies = [
        json.dumps(envelope(transactionId=CANARY)).encode(),
        b"[" * 5000 + CANARY.encode(),
        CANARY.encode() * 5000,
    ]
    for endpoint in ("dlr", "mo"):
        for secret in WRONG_SECRETS:
            for body in bodies:
                assert await post(world, f"/hooks/strex/{endpoint}{secret}", body) in {401, 404, 413}, secret
        for headers in HEADERS:
            assert await post(world, f"/hooks/strex/{endpoint}/wrong", bodies[0], headers=headers) == 401, headers
    for path in (
        f"/hooks/strex/admin/{SECRET}",
        f"/hooks/other/dlr/{SECRET}",
        f"/HOOKS/strex/dlr/{SECRET}",
        "/metrics",
    ):
        assert await post(world, path, bodies[0]) == 404, path
    assert world.app.store.inbox.received() == 0
    await still_works(world)
    await nothing_of_it_on_disk(world)


async def nothing_of_it_on_disk(world):
    for file in world.base.glob("c.db*"):
        assert CANARY.encode() not in file.read_bytes(), file.name


async def test_a_request_with_a_wrong_method_is_refused_and_not_stored(world):
    for method in (
        "GET",
        "HEAD",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "post",
        "P\x00ST",
    ):
        asked = f"{method} /hooks/strex/dlr/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
        assert await raw(world, asked) in {405, 400, 404}, method
    assert world.app.store.inbox.received() == 0
    await still_works(world)


async def test_compressed_bodies_are_decompressed_up_to_the_size_limit(world):
    bomb = gzip.compress(b"0" * 10_000_000)
    for coding, status in {"gzip": 413, "GZIP": 413, "identity, gzip": 413, "br": 415, "gzip, gzip": 415}.items():
        assert await post(world, ENDPOINT, bomb, headers={"Content-Encoding": coding}) == status, coding
    assert world.app.store.inbox.received() == 0
    packed = gzip.compress(json.dumps(envelope()).encode())
    assert await post(world, ENDPOINT, packed, headers={"Content-Encoding": "gzip"}) == 200
    assert world.counts().get("unreadable", 0) == 0
    await still_works(world)


async def test_the_body_is_read_as_utf_8_whatever_charset_is_named(world):
    charsets = ("evil", "utf-7", "utf-16", "rot13", "zlib_codec", "idna", "x" * 1000, '"')
    for charset in charsets:
        headers = {"Content-Type": f"application/json; charset={charset}"}
        assert await post(world, ENDPOINT, json.dumps(envelope()), headers=headers) == 200, charset
    await world.settled()
    assert world.counts() == {"delivered": len(charsets)}


async def test_an_oversized_body_is_refused_with_413_and_not_stored(world):
    big = json.dumps(envelope(text="x" * 70_000)).encode()
    assert await post(world, ENDPOINT, big) == 413
    assert world.app.store.inbox.received() == 0
    await still_works(world)


HEAD = f"POST /hooks/strex/dlr/{SECRET} HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = json.dumps({"transactionId": CANARY})
GET_IN = f"{HEAD}Content-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}"
FRAMES = {
    "two lengths": f"{HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
    "two equal lengths": f"{HEAD}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}",
    "a list of lengths": f"{HEAD}Content-Length: 2, 2\r\n\r\n{{}}",
    "a length and chunks": f"{HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{GET_IN}",
    "chunks and a length": f"{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{GET_IN}",
    "chunks behind a tab": f"{HEAD}Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{GET_IN}",
    "chunks with a blank": f"{HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "odd chunks": f"{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks twice": f"{HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a folded header": f"{HEAD}X-A: a\r\n b\r\nContent-Length: 2\r\n\r\n{{}}",
    "a negative length": f"{HEAD}Content-Length: -2\r\n\r\n{{}}",
    "a length with a sign": f"{HEAD}Content-Length: +2\r\n\r\n{{}}",
    "a length in hex": f"{HEAD}Content-Length: 0x2\r\n\r\n{{}}",
    "a length of a gigabyte": f"{HEAD}Content-Length: 1000000000\r\n\r\n{{}}",
    "a length beyond all": f"{HEAD}Content-Length: {'9' * 400}\r\n\r\n{{}}",
    "a chunk beyond all": f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{'f' * 20}\r\n",
    "a chunk of no hex": f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a chunk with a long extension": f"{HEAD}Transfer-Encoding: chunked\r\n\r\n2;{'x' * 20_000}\r\n{{}}\r\n0\r\n\r\n",
    "a chunk that lies": f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{}}\r\n0\r\n\r\n",
    "trailers": f"{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nX-A: {'x' * 20_000}\r\n\r\n",
    "a body cut short": f"{HEAD}Content-Length: 50\r\n\r\n{{}}",
    "a header cut short": f"{HEAD}Content-Le",
    "ten thousand headers": HEAD + "".join(f"X-{n}: a\r\n" for n in range(10_000)) + "\r\n",
    "a header of 100 kB": f"{HEAD}X-A: {'a' * 100_000}\r\nContent-Length: 2\r\n\r\n{{}}",
    "a path of 100 kB": f"POST /hooks/strex/dlr/{'a' * 100_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a null byte in a header": f"{HEAD}X-A: a\x00b\r\nContent-Length: 2\r\n\r\n{{}}",
    "a null byte in the path": "POST /hooks/strex/dlr/\x00 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "a lone line feed": HEAD.replace("\r\n", "\n") + "Content-Length: 2\n\n{}",
    "a lone carriage return": HEAD.replace("\r\n", "\r") + "Content-Length: 2\r\r{}",
    "HTTP/0.9": f"POST /hooks/strex/dlr/{SECRET}\r\n\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an absolute address": "POST http://other.example/hooks/strex/dlr/wrong HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "an address that is none": "POST http://[::1/hooks HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "an upgrade": f"{HEAD}Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{{}}",
    "an expectation": f"{HEAD}Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n{{}}",
    "two hosts": f"{HEAD}Host: y\r\nContent-Length: 2\r\n\r\n{{}}",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


# Nobody answers these before the caller has said that there is no more of them.
CUT = {"a body cut short", "a header cut short"}


async def raw(world, data, *, end=False):
    """The status of the first answer; None where the connection was closed without one. With `end` the caller says no more."""
    port = int(world.app.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data.encode("latin-1"))
        if end:
            writer.write_eof()
        async with asyncio.timeout(20):
            line = await reader.readline()
    except ConnectionError:
        return None
    else:
        return int(line.split()[1]) if line else None
    finally:
        writer.close()


async def test_a_request_in_any_framing_gets_2xx_4xx_or_503(world):
    for name, frame in FRAMES.items():
        before = world.app.store.inbox.received()
        status = await raw(world, frame, end=name in CUT)
        assert status is None or 200 <= status < 300 or 400 <= status < 500 or status == 503, (name, status)
        # No second request was smuggled in behind the first, and what was not whole is not taken for something.
        assert world.app.store.inbox.get(f"strex-dlr-{CANARY}--") is None, name
        assert world.app.store.inbox.received() <= before + (status == 200), name
        await still_works(world)
    assert bugs(world) == []


async def test_slow_callers_that_disconnect_leave_nothing(world):
    port = int(world.app.url.rsplit(":", 1)[1])
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(300)]
    for place, writer in enumerate(writers):
        writer.write(f"{HEAD}Content-Length: 100\r\n\r\n{{".encode()[: 10 + place])
        await writer.drain()
    await still_works(world)
    for writer in writers:
        writer.close()
    await still_works(world)
    assert world.app.store.inbox.received() == 2


async def test_a_thousand_broken_requests_on_open_connections_do_no_harm(world):
    for body in list(UNREADABLE.values()) * 10:
        assert await post(world, ENDPOINT, body) == 200
        assert await post(world, "/hooks/strex/dlr/wrong", body) == 401
    assert world.counts() == {"unreadable": len(UNREADABLE)}
    await still_works(world)
